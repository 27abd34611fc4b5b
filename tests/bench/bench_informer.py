"""Informer sync of 5,000 pods over TLS: CPU against reading the same bytes, and memory kept per pod."""

from __future__ import annotations

import asyncio
import gc
import time
from pathlib import Path

from tests.bench.figures import Figure
from tests.bench.pods import pod
from tests.bench.server import separate_server
from trivyop.kube.client import Api
from trivyop.kube.informer import Informer
from trivyop.kube.resources import NAMESPACES, PODS
from trivyop.workload.objects import Pod, Slim
from trivyop.workload.owners import BY_CONTROLLER, controller_uids

_PODS = 5_000
_ROUNDS = 3


async def measure() -> list[Figure]:
    """Alternate reading and syncing, so that a slow moment of the machine hits both."""
    async with separate_server() as config, Api(config) as api:
        await _fill(api)
        size = len(await api.get_raw("/api/v1/pods"))
        reading, syncing = [], []
        for _ in range(_ROUNDS):
            reading.append(await _read(api))
            syncing.append(await _sync(api))
        kept = await _memory(api)
    return [
        Figure("informer", f"JSON of {_PODS} pods", size / 2**20, "MiB"),
        Figure("informer", "reading the bytes, CPU", min(reading), "s"),
        Figure("informer", "sync, CPU", min(syncing), "s"),
        Figure("informer", "sync to reading", min(syncing) / min(reading), "x", 1.6, at_least=False),
        Figure("informer", "memory kept per pod", kept / _PODS / 1024, "KiB", 6, at_least=False),
    ]


async def _fill(api: Api) -> None:
    for n in range(50):
        await api.create(NAMESPACES, {"metadata": {"name": f"team-{n}"}})
    numbers = iter(range(_PODS))

    async def create() -> None:
        for n in numbers:
            await api.create(PODS, pod(n))

    async with asyncio.TaskGroup() as group:
        for _ in range(16):
            group.create_task(create())


async def _read(api: Api) -> float:
    """Read the list page by page, and drop it."""
    began = time.process_time()
    token = ""
    while True:
        body = await api.get_raw(
            "/api/v1/pods", params={"limit": "500", **({"continue": token} if token else {})}
        )
        head = body[:2000] + body[-2000:]
        start = head.find(b'"continue":"')
        if start < 0:
            return time.process_time() - began
        token = head[start + 12 : head.index(b'"', start + 12)].decode()


async def _sync(api: Api) -> float:
    began = time.process_time()
    informer = _informer(api)
    task = asyncio.create_task(informer.run())
    await informer.wait_synced()
    spent = time.process_time() - began
    assert len(informer.store) == _PODS
    task.cancel()
    await asyncio.wait([task])
    return spent


def _informer(api: Api) -> Informer[Pod]:
    return Informer(api, PODS, Pod, transform=Slim(), indexes={BY_CONTROLLER: controller_uids})


async def _memory(api: Api) -> int:
    """Growth of the resident set from one more synced informer."""
    gc.collect()
    before = _resident()
    informer = _informer(api)
    task = asyncio.create_task(informer.run())
    await informer.wait_synced()
    gc.collect()
    grown = _resident() - before
    assert len(informer.store) == _PODS
    task.cancel()
    await asyncio.wait([task])
    return max(0, grown)


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096
