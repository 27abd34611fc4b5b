"""Memory that one report takes in the operator's caches: a small one, and one of 900 KB."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE
from typing import Any

import orjson

from tests.bench.cluster import MadeUpCluster, made_up_cluster, settle
from tests.bench.figures import Figure
from tests.bench.history import History
from tests.bench.made_up import MadeUpWorkload, Patterns
from trivyop.kube.resources import VULNERABILITYREPORTS

_SMALL, _LARGE = 10_000, 300  # so many of each
_LARGE_BYTES = 900_000


async def measure() -> list[Figure]:
    """Have another process cache the reports of two namespaces; every report is of an image of its own."""
    async with made_up_cluster() as cluster:
        history = await History.make(cluster, await Patterns.make(cluster))
        small = _fill(cluster, history, "team-0", _SMALL)
        large = _fill(cluster, history, "team-1", _LARGE, _LARGE_BYTES)
        settle()
        kept = (await _kept(cluster, "team-0", _SMALL), await _kept(cluster, "team-1", _LARGE))
    return [
        Figure("memory", "size of a small report", small / 1024, "KiB"),
        Figure("memory", "size of a large report", large / 1024, "KiB"),
        Figure("memory", "small report in the caches", kept[0] / 1024, "KiB", 2, at_least=False),
        Figure("memory", "large report in the caches", kept[1] / 1024, "KiB", 2, at_least=False),
    ]


def _fill(cluster: MadeUpCluster, history: History, namespace: str, number: int, size: int = 0) -> int:
    """Put vulnerability reports of at least that size into a namespace; returns their size."""
    served = cluster.served(VULNERABILITYREPORTS)
    stored = None
    for n in range(number):
        workload = MadeUpWorkload(n * 100 + int(namespace.rpartition("-")[2]), n)
        name = history.fill(cluster, workload, kinds=(VULNERABILITYREPORTS,))
        stored = served.bucket.get(namespace, name)
        assert stored is not None
        if size:
            report: dict[str, Any] = served.obj(stored)
            rows = report["report"]["vulnerabilities"]
            report["report"]["vulnerabilities"] = rows * (size // len(orjson.dumps(rows)) + 1)
            cluster.put(VULNERABILITYREPORTS, report)
    stored = served.bucket.get(namespace, stored.name) if stored else None
    assert stored is not None
    return len(stored.body)


async def _kept(cluster: MadeUpCluster, namespace: str, number: int) -> float:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.bench.kept", str(cluster.kubeconfig), namespace), stdout=PIPE
    )
    printed, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError("measuring failed")
    kept, count = map(int, printed.split())
    assert count == number
    return kept / count
