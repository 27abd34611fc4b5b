"""What it costs to mirror 5,000 pods: CPU against reading the same bytes, stalls, memory, and each change.

The bytes are those of the streamed list, over TLS, from a server in a process of its own. Reading is done by
a plain aiohttp session, and drops them. Memory and changes are measured in a process that does nothing else
(`python -m tests.bench.bench_informer KUBECONFIG`): memory by the growth of what is resident.
"""

from __future__ import annotations

import asyncio
import gc
import statistics
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from tests.bench.figures import Figure
from tests.bench.pods import pod
from tests.bench.server import server_kubeconfig
from trivyop.kube.client import Api
from trivyop.kube.config import ClusterConfig
from trivyop.kube.informer import Informer
from trivyop.kube.resources import NAMESPACES, PODS, ObjectKey
from trivyop.observe.logging import configure_logging
from trivyop.workload.objects import Pod, Slim
from trivyop.workload.owners import BY_CONTROLLER, controller_uids

_PODS = 5_000
_CHANGES = 1_000
_ROUNDS = 9
_TICK = 0.002
_STREAMED = {
    "watch": "true",
    "allowWatchBookmarks": "true",
    "sendInitialEvents": "true",
    "resourceVersionMatch": "NotOlderThan",
}


async def measure() -> list[Figure]:
    """Alternate reading and syncing, so that a slow moment of the machine hits both."""
    async with server_kubeconfig() as kubeconfig:
        config = await ClusterConfig.load(str(kubeconfig))
        async with Api(config) as api:
            await _fill(api)
            kept, change = await _alone(kubeconfig, api)
            gc.collect()
            gc.freeze()  # as the program does
            reading: list[float] = []
            streamed: list[float] = []
            paged: list[float] = []
            size = 0
            async with _plain_session(config) as session:
                for _ in range(_ROUNDS):
                    seconds, size = await _read(session)
                    reading.append(seconds)
                    streamed.append(await _sync(api))
                    paged.append(await _sync(api, streaming=False))
            stall = statistics.median([await _stall(api) for _ in range(5)])
            gc.unfreeze()
    bytes_read, sync = statistics.median(reading), statistics.median(streamed)
    return [
        Figure("informer", f"JSON of {_PODS} pods", size / 2**20, "MiB"),
        Figure("informer", "reading the bytes, CPU", bytes_read, "s"),
        Figure("informer", "sync, CPU", sync, "s"),
        Figure("informer", "sync from pages, CPU", statistics.median(paged), "s"),
        Figure("informer", "sync to reading", sync / bytes_read, "x", 1.6, at_least=False),
        Figure("informer", "longest stall of a sync", stall * 1000, "ms", 50, at_least=False),
        Figure("informer", "memory kept per pod", kept / 1024, "KiB", 6, at_least=False),
        Figure("informer", "a change, CPU", change * 1000, "ms"),
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


@asynccontextmanager
async def _plain_session(config: ClusterConfig) -> AsyncGenerator[aiohttp.ClientSession]:
    access = await config.access()
    connector = aiohttp.TCPConnector(ssl=access.ssl_context() or True)
    headers = {"Authorization": access.authorization, "Accept-Encoding": "identity"}
    async with aiohttp.ClientSession(access.server, connector=connector, headers=headers) as session:
        yield session


async def _read(session: aiohttp.ClientSession) -> tuple[float, int]:
    """Read the streamed list, and drop it; returns seconds of CPU, and how many bytes."""
    began, size, tail = time.process_time(), 0, b""
    async with session.get("/api/v1/pods", params=_STREAMED) as response:
        async for chunk in response.content.iter_any():
            size += len(chunk)
            tail = tail[-200:] + chunk[-200:]
            if b"k8s.io/initial-events-end" in tail:
                break
        spent = time.process_time() - began
        response.close()
    return spent, size


async def _sync(api: Api, *, streaming: bool = True) -> float:
    gc.collect()
    began = time.process_time()
    async with _synced(api, streaming=streaming):
        return time.process_time() - began


@asynccontextmanager
async def _synced(api: Api, *, streaming: bool = True) -> AsyncGenerator[Informer[Pod]]:
    informer: Informer[Pod] = Informer(
        api, PODS, Pod, transform=Slim(), indexes={BY_CONTROLLER: controller_uids}, streaming=streaming
    )
    task = asyncio.create_task(informer.run())
    try:
        await informer.wait_synced()
        assert len(informer.store) == _PODS
        yield informer
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _stall(api: Api) -> float:
    """The longest time that a sync keeps the event loop at work, with nobody else getting a turn."""
    longest = 0.0

    async def watch() -> None:
        nonlocal longest
        while True:
            began, worked = time.perf_counter(), time.process_time()
            await asyncio.sleep(_TICK)
            late = time.perf_counter() - began - _TICK
            longest = max(longest, min(late, time.process_time() - worked))

    watching = asyncio.create_task(watch())
    async with _synced(api):
        await asyncio.sleep(2 * _TICK)
    watching.cancel()
    return longest


async def _alone(kubeconfig: Path, api: Api) -> tuple[float, float]:
    """Bytes that a process of its own keeps per pod, and seconds of its CPU for each change of one."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", __name__, str(kubeconfig)), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    kept = float(await process.stdout.readline())
    for n in range(_CHANGES):
        body = pod(n)["metadata"]
        key = ObjectKey(body["namespace"], body["name"])
        await api.patch(PODS, key, {"metadata": {"labels": {"changed": "yes"}}})
    change = float(await process.stdout.readline())
    await process.wait()
    return kept, change


async def _main(kubeconfig: str) -> None:
    configure_logging("error")
    done = asyncio.Event()
    changed = 0

    def count(*_: object) -> None:
        nonlocal changed
        changed += 1
        if changed == _CHANGES:
            done.set()

    async with Api(await ClusterConfig.load(kubeconfig)) as api:
        await api.version()
        gc.collect()
        before = _resident()
        async with _synced(api) as informer:
            gc.collect()
            print((_resident() - before) / _PODS, flush=True)
            informer.add_handler(lambda _, old, _new: count() if old else None)
            began = time.process_time()
            await done.wait()
            print((time.process_time() - began) / _CHANGES, flush=True)


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1]))
