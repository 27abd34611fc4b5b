"""Drain: how much longer the operator takes for 500 scans than its slots alone would take.

Scans are a stub's (`stub_node`): each takes the same time and no CPU, so what is measured is the operator,
and with it the API server. 20 slots and 2 seconds are ten scans a second, of which two loaded cores are
capable. The clock starts when the operator has found all workloads, as on the day it is installed, and stops
with the last report. All times are the server's.
"""

from __future__ import annotations

import asyncio
import time

from tests.bench.cluster import (
    core_wait_seconds,
    made_up_cluster,
    operator_process,
    settle,
    unix_time,
)
from tests.bench.figures import Figure, quantile
from tests.bench.made_up import MadeUpWorkload, Patterns
from tests.bench.stub_node import PLATFORM, stub_node
from tests.kinds import REPORT_KINDS
from trivyop.report import keys
from trivyop.sandbox.apiserver.storage import Change
from trivyop.scan.imagescan import image_scan_name

_SCANS = 500
_SLOTS = 20
_SECONDS = 2.0
_PATIENCE_SECONDS = 600


class _Reports:
    """When the reports of each workload were accepted."""

    def __init__(self) -> None:
        self.first: dict[str, float] = {}  # by ReplicaSet
        self.last: dict[str, float] = {}
        self.complete = asyncio.Event()
        self._missing = _SCANS * len(REPORT_KINDS)

    def told(self, change: Change) -> None:
        assert change.new is not None
        now = time.monotonic()
        name = change.new.labels[keys.RESOURCE_NAME]
        self.first.setdefault(name, now)
        self.last[name] = now
        self._missing -= change.old is None
        if not self._missing:
            self.complete.set()


async def measure() -> list[Figure]:
    """Drain once."""
    async with made_up_cluster() as cluster, stub_node(cluster, seconds=_SECONDS) as node:
        patterns = await Patterns.make(cluster)
        workloads = [MadeUpWorkload(n, n) for n in range(_SCANS)]
        for workload in workloads:
            patterns.fill(cluster, workload, pods=1)
        reports = _Reports()
        for kind in REPORT_KINDS:
            cluster.listen(kind, reports.told)
        settle()
        environ = {"OPERATOR_CONCURRENT_SCAN_JOBS_LIMIT": str(_SLOTS)}
        offset = time.time() - time.monotonic()
        server_cpu = time.process_time()
        async with operator_process(cluster, environ) as operator:
            running = unix_time(await operator.until_told("operator_running")) - offset
            cpu, waited = operator.cpu_seconds(), operator.wait_seconds() + core_wait_seconds()
            async with asyncio.timeout(_PATIENCE_SECONDS):
                await reports.complete.wait()
            cpu = operator.cpu_seconds() - cpu
            waited = operator.wait_seconds() + core_wait_seconds() - waited
            server_cpu = time.process_time() - server_cpu
            await operator.stop()
    ended = max(reports.last.values())
    names = {image_scan_name(one.digest, PLATFORM): one.name for one in workloads}
    waits = [reports.last[name] - node.finished[scan] for scan, name in names.items()]
    ideal = _SCANS * _SECONDS / _SLOTS
    return [
        Figure("drain", f"{_SCANS} scans of {_SECONDS:g} s, {_SLOTS} at once", ended - running, "s"),
        Figure("drain", "most Jobs at once", node.most_at_once, ""),
        Figure("drain", "operator, CPU per scan", cpu / _SCANS * 1000, "ms"),
        Figure("drain", "API server, CPU per scan", server_cpu / _SCANS * 1000, "ms"),
        Figure("drain", "both waited for a core, per scan", waited / _SCANS * 1000, "ms"),
        Figure("drain", "drain to ideal", (ended - running) / ideal, "x", 1.15, at_least=False),
        Figure("drain", "Job finished to reports written, median", quantile(waits, 0.5) * 1000, "ms"),
        Figure(
            "drain",
            "Job finished to reports written, p99",
            quantile(waits, 0.99) * 1000,
            "ms",
            250,
            at_least=False,
        ),
    ]
