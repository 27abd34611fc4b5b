"""Process one large result as the operator does, from the log of the scan pod to reports in the API server.

A program of its own (log, kubeconfig, workloads), so that nothing else grows while its memory is measured;
prints what it measured as JSON.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgspec
from prometheus_client import CollectorRegistry

from tests.bench.large_log import DIGEST, IMAGE
from trivyop.control.clock import SystemClock
from trivyop.controllers.images.delivery import Delivery
from trivyop.controllers.images.results import Results, ScanResult
from trivyop.controllers.images.targets import Target
from trivyop.controllers.informers import Informers
from trivyop.controllers.jobpods import JobPod
from trivyop.controllers.metrics import ReportMetrics
from trivyop.controllers.reports import Reports
from trivyop.controllers.selecting import build_options
from trivyop.kube.client import Api
from trivyop.kube.config import ClusterConfig
from trivyop.kube.discovery import discover
from trivyop.kube.pages import Listing
from trivyop.kube.resources import ObjectKey
from trivyop.observe.logging import configure_logging
from trivyop.scan.imagescan import ImageScan
from trivyop.scan.job import ATTEMPT_ANNOTATION, ScanJob, scan_id
from trivyop.scan.podconfig import ScanVariant
from trivyop.settings import load_settings
from trivyop.workload.images import ContainerImage, ContainerKind, ImageKey
from trivyop.workload.resolve import Workload

PLATFORM = "linux/amd64"
NAMESPACE = "shop"
_NAME = "image-scan"
_TICK = 0.002


def large_scan_id() -> str:
    """What the log is to say it is the scan of."""
    return scan_id(_NAME, 1, "1234")


class _Pods(Api):
    """The API server, but for one pod, which it does not know; its log comes from a file."""

    log: Path

    async def list(self, *_: Any, **__: Any) -> Listing[Any]:
        ended = {"terminated": {"exitCode": 0, "reason": "Completed"}}
        status = {"containerStatuses": [{"name": "scan", "state": ended}]}
        pod = msgspec.convert({"metadata": {"name": "scan-pod"}, "status": status}, JobPod)
        return Listing([pod], "1")

    @asynccontextmanager
    async def logs(self, *_: Any, **__: Any) -> AsyncGenerator[AsyncIterator[bytes]]:
        async def chunks() -> AsyncIterator[bytes]:
            with self.log.open("rb") as file:
                while chunk := file.read(64 * 1024):
                    yield chunk

        yield chunks()


@dataclass
class _Stalls:
    """The longest time that the event loop did not get round: by the clock, and in work of this process.

    On a machine that others use, a stall by the clock may be their turn; one in which this process did not
    work was not made by it.
    """

    by_the_clock: float = 0.0
    at_work: float = 0.0

    async def watch(self) -> None:
        """Notice by how much a timer is late."""
        while True:
            began, worked = time.perf_counter(), time.process_time()
            await asyncio.sleep(_TICK)
            late = time.perf_counter() - began - _TICK
            self.by_the_clock = max(self.by_the_clock, late)
            self.at_work = max(self.at_work, min(late, time.process_time() - worked))


@asynccontextmanager
async def _measured(figures: dict[str, Any], what: str) -> AsyncGenerator[None]:
    stalls = _Stalls()
    watching = asyncio.create_task(stalls.watch())
    began = time.perf_counter()
    yield
    figures[what] = {"seconds": time.perf_counter() - began, **asdict(stalls)}
    watching.cancel()


async def main(log: Path, kubeconfig: str, workloads: int) -> dict[str, Any]:
    """Measure it all."""
    configure_logging("error")
    settings = load_settings({"OPERATOR_NAMESPACE": "trivy-system"})
    async with _Pods(await ClusterConfig.load(kubeconfig)) as api:
        api.log = log
        clock = SystemClock()
        informers = Informers(
            api, await discover(api), operator_namespace="trivy-system", watched_namespaces=("",), clock=clock
        )
        reports = Reports(
            api,
            informers,
            budget_bytes=settings.reports.size_budget_bytes,
            clock=clock,
            metrics=ReportMetrics(CollectorRegistry()),
        )
        delivery = Delivery(
            informers, reports, settings=settings, options=build_options(settings), clock=clock
        )
        gc.collect()
        gc.freeze()  # as the program does
        before = _resident()
        figures: dict[str, Any] = {"budget": settings.reports.size_budget_bytes}

        async with _measured(figures, "reading"):
            result = await Results(api, settings).read(_scan(), _job())
        assert isinstance(result, ScanResult)
        async with _measured(figures, "reporting"):
            targets = map(_target, range(workloads))
            refused = await delivery.deliver(targets, ImageKey(DIGEST, PLATFORM), result, "hash")
        assert not refused
    figures["grown"] = _most_resident() - before
    return figures


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def _most_resident() -> int:
    """The most so far; what `getrusage` tells begins with what the parent had."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * 1024


def _scan() -> ImageScan:
    spec = {"image": IMAGE, "digest": DIGEST, "platform": PLATFORM}
    return msgspec.convert({"metadata": {"name": _NAME, "uid": "1234"}, "spec": spec}, ImageScan)


def _job() -> ScanJob:
    metadata = {"name": "scan-job", "namespace": "trivy-system", "annotations": {ATTEMPT_ANNOTATION: "1"}}
    return msgspec.convert({"metadata": metadata}, ScanJob)


def _target(number: int) -> Target:
    container = ContainerImage("web", ContainerKind.REGULAR, IMAGE, DIGEST, PLATFORM)
    workload = Workload(
        kind="ReplicaSet",
        api_version="apps/v1",
        key=ObjectKey(NAMESPACE, f"web-{number}"),
        uid=f"1234-{number}",
        labels={},
        annotations={},
        containers=(container,),
        spec_hash="abcd",
    )
    return Target(workload, container, ScanVariant())


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))))
