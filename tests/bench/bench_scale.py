"""Scale: an operator on 10,000 workloads with 20,000 pods and 30,000 reports, of 1,000 images.

Everything is as an earlier life of the operator has left it, so the start is what a restart costs: all of it
is read, every workload is looked at, nothing is written. Starts alternate with bare reading of the same
bytes (`reader`), so that what else the machine does hits both; of each the best counts. Then workloads get
new revisions, one after the other, and the time until each one's scan Job is accepted is measured.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from dataclasses import dataclass

from tests.bench.cluster import (
    MadeUpCluster,
    OperatorProcess,
    made_up_cluster,
    operator_process,
    settle,
    unix_time,
)
from tests.bench.figures import Figure, quantile
from tests.bench.history import History
from tests.bench.made_up import MadeUpWorkload, Patterns
from tests.bench.stub_node import PLATFORM, node_object
from trivyop.kube.resources import JOBS, NODES
from trivyop.sandbox.apiserver.storage import Change
from trivyop.scan.imagescan import image_scan_name
from trivyop.scan.job import IMAGE_SCAN_LABEL

_WORKLOADS = 10_000
_PODS_EACH = 2
_IMAGES = 1_000
_NODES = 100
_ROUNDS = 2
_CHANGES = 200
_PAUSE_SECONDS = 0.05  # after a Job, so that the operator is done with one change before the next
_STEPS = ("-m", "tests.bench.steps", "run")
_REPORTS_GROUP = "/apis/aquasecurity.github.io/"


@dataclass(frozen=True, slots=True)
class _Start:
    """What one start took."""

    synced: float  # seconds from the end of the imports to full stores
    running: float  # to readiness
    total: float  # from the start of the program to readiness
    cpu: float  # to readiness
    all_cpu: float  # until nothing was left to do
    settled: int  # bytes, once there is nothing left to do
    peak: int


async def measure() -> list[Figure]:
    """Fill a cluster, and measure."""
    async with made_up_cluster() as cluster:
        patterns = await Patterns.make(cluster)
        await _fill(cluster, patterns)
        settle()
        starts: list[_Start] = []
        readings: list[dict[str, float]] = []
        async with operator_process(cluster, program=_STEPS) as operator:
            await _started(operator)
            await operator.stop()
        longest = operator.told["longest_step"]["seconds"] * 1000
        requests = _streams(cluster)
        waits: list[float] = []
        for n in range(_ROUNDS):
            readings.append(await _read(cluster, requests))
            last = n == _ROUNDS - 1
            environ = {"OPERATOR_CONCURRENT_SCAN_JOBS_LIMIT": str(2 * _CHANGES)}
            async with operator_process(cluster, environ) as operator:
                starts.append(await _started(operator))
                if last:
                    waits = await _changes(cluster, patterns)
                await operator.stop()
    return _figures(starts, readings, longest, waits)


def _figures(
    starts: list[_Start], readings: list[dict[str, float]], longest: float, waits: list[float]
) -> list[Figure]:
    reading = min(one["seconds"] for one in readings)
    reading_cpu = min(one["cpu"] for one in readings)
    synced = min(one.synced for one in starts)
    mib = 2**20
    return [
        Figure("scale", "bytes read at the start", readings[0]["bytes"] / mib, "MiB"),
        Figure("scale", "reading them", reading, "s"),
        Figure("scale", "the same, CPU", reading_cpu, "s"),
        Figure("scale", "start to caches synced", synced, "s"),
        Figure("scale", "synced to reading", synced / reading, "x", 1.5, at_least=False),
        Figure("scale", "program start to ready", min(one.total for one in starts), "s"),
        Figure("scale", "the same, CPU", min(one.cpu for one in starts), "s"),
        Figure("scale", "until nothing was left to do, CPU", min(one.all_cpu for one in starts), "s"),
        Figure(
            "scale",
            "resident memory, settled",
            max(one.settled for one in starts) / mib,
            "MiB",
            200,
            at_least=False,
        ),
        Figure(
            "scale",
            "resident memory, peak",
            max(one.peak for one in starts) / mib,
            "MiB",
            300,
            at_least=False,
        ),
        Figure("scale", "longest step of the event loop", longest, "ms", 100, at_least=False),
        Figure("scale", "change to Job, median", quantile(waits, 0.5) * 1000, "ms"),
        Figure("scale", "change to Job, p99", quantile(waits, 0.99) * 1000, "ms", 100, at_least=False),
    ]


async def _fill(cluster: MadeUpCluster, patterns: Patterns) -> None:
    history = await History.make(cluster, patterns)
    for n in range(_NODES):
        cluster.put(NODES, node_object(f"node-{n}"))
    for n in range(_WORKLOADS):
        workload = MadeUpWorkload(n, n % _IMAGES)
        patterns.fill(cluster, workload, pods=_PODS_EACH)
        history.fill(cluster, workload)
        if n < _IMAGES:
            history.scan(cluster, workload)


async def _started(operator: OperatorProcess) -> _Start:
    """Wait until it is ready, and then until it has nothing left to do."""
    running = unix_time(await operator.until_told("operator_running"))
    cpu = operator.cpu_seconds()
    await operator.until_quiet()
    all_cpu = operator.cpu_seconds()
    settled, peak = operator.memory()
    began = unix_time(operator.told["operator_starting"])
    return _Start(
        synced=unix_time(operator.told["informer_synced"]) - began,
        running=running - began,
        total=running - operator.began,
        cpu=cpu,
        all_cpu=all_cpu,
        settled=settled,
        peak=peak,
    )


def _streams(cluster: MadeUpCluster) -> list[tuple[str, str, bool]]:
    """What the operator has read at its start."""
    return [
        (request.path, request.query, request.path.startswith(_REPORTS_GROUP))
        for request in cluster.server.requests
        if "sendInitialEvents=true" in request.query or "limit=" in request.query
    ]


async def _read(cluster: MadeUpCluster, requests: list[tuple[str, str, bool]]) -> dict[str, float]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.bench.reader", str(cluster.kubeconfig)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    printed, _ = await process.communicate(json.dumps(requests).encode())
    if process.returncode:
        raise RuntimeError("reading failed")
    return json.loads(printed)


async def _changes(cluster: MadeUpCluster, patterns: Patterns) -> list[float]:
    """Seconds from a new revision's pod, which tells its digest, to the Job of its image."""
    came: dict[str, asyncio.Future[float]] = {}

    def told(change: Change) -> None:
        if change.old is None and change.new is not None:
            came[change.new.labels[IMAGE_SCAN_LABEL]].set_result(time.perf_counter())

    cluster.listen(JOBS, told)
    waits: list[float] = []
    for n in range(_CHANGES):
        workload = MadeUpWorkload(n * 37, _IMAGES + n, revision=2)
        scan = image_scan_name(workload.digest, PLATFORM)
        came[scan] = asyncio.get_running_loop().create_future()
        patterns.fill(cluster, workload, pods=1)
        began = time.perf_counter()
        async with asyncio.timeout(60):
            waits.append(await came[scan] - began)
        await asyncio.sleep(_PAUSE_SECONDS)
    return waits
