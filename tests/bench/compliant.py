"""What it costs to read the reports of audits in a cluster, and to answer its specifications; prints it.

A program of its own (kubeconfig), so that nothing else is counted. One line for all reports, another once a
status has changed again.
"""

from __future__ import annotations

import asyncio
import gc
import json
import random
import re
import sys
import time
from pathlib import Path
from typing import Any, cast

from prometheus_client import CollectorRegistry

from tests.bench.cluster import ENVIRON
from tests.unit.compliance.reports import NAMES, spec_document, specification
from trivyop.control.clock import SystemClock
from trivyop.controllers.audits.concern import Auditing
from trivyop.controllers.compliance.reading import PAGE
from trivyop.controllers.compliance.reconciler import ComplianceReconciler
from trivyop.controllers.context import ControllerContext, SharedMetrics
from trivyop.kube.client import Api
from trivyop.kube.config import ClusterConfig
from trivyop.kube.discovery import discover
from trivyop.kube.resources import CONFIGAUDITREPORTS
from trivyop.observe.health import Health
from trivyop.observe.logging import configure_logging
from trivyop.report.findings import Severity
from trivyop.settings import load_settings

_CONTINUE = re.compile(rb'"continue":\s*"([^"]+)"')
_TICK = 0.01  # of which there are so few that they cost nothing


class _Auditor:
    """What Trivy and the policies would say."""

    def __init__(self) -> None:
        specifications = [specification(spec_document(name)) for name in NAMES]
        self._checks = {
            check: Severity.HIGH
            for one in specifications
            for control in one.controls
            for check in control.checks
        }

    async def checks(self) -> dict[str, Severity]:
        return self._checks

    def policies_hash(self, _kind: str) -> str:
        return "p1"

    def undecided(self, _kind: str) -> bool:
        return False


class _Auditing:
    def __init__(self) -> None:
        self.auditor = _Auditor()

    def absent_kinds(self) -> frozenset[str]:
        return frozenset()


async def main(kubeconfig: str) -> None:
    configure_logging("error")
    settings = load_settings(
        {
            **ENVIRON,
            "OPERATOR_CONFIG_AUDIT_SCANNER_ENABLED": "true",
            "OPERATOR_CLUSTER_COMPLIANCE_ENABLED": "true",
        }
    )
    async with Api(await ClusterConfig.load(kubeconfig)) as api, asyncio.TaskGroup() as group:
        context = ControllerContext(
            api,
            await discover(api),
            settings,
            metrics=SharedMetrics(CollectorRegistry()),
            health=Health(),
            clock=SystemClock(),
            rng=random.Random(1),
            active=lambda: True,
        )
        tasks = [group.create_task(context.informers.run())]
        await context.informers.wait_synced()
        listing = await _list_bytes(api)
        reconciler = ComplianceReconciler(context, cast("Auditing", _Auditing()))
        controller = context.controller(
            "compliance", reconciler.reconcile, reconciler.queue, reconciler.keys, workers=1
        )
        tasks.append(group.create_task(reconciler.specifications.run()))
        await reconciler.specifications.wait_settled()
        gc.collect()
        gc.freeze()  # as the program does
        before, began = _resident(), time.process_time()
        watching = _Watching()
        watch = group.create_task(watching.run())
        reconciler.listen()
        tasks.append(group.create_task(controller.run()))
        first = await _until(reconciler, {})
        spent = time.process_time() - began
        watch.cancel()
        gc.collect()
        memory = _resident() - before
        listing = (
            listing + await _list_bytes(api)
        ) / 2  # before and after, as the machine may have its moods
        print(
            json.dumps(
                {
                    "listing": listing,
                    "answering": spent,
                    "stall": watching.longest,
                    "memory": memory,
                    "peak": watching.resident - before,
                }
            ),
            flush=True,
        )
        began = time.process_time()
        await _until(reconciler, first)
        print(json.dumps({"cpu": time.process_time() - began}), flush=True)
        for task in tasks:
            task.cancel()


class _Watching:
    """The longest time that the event loop was kept at work, with nobody else getting a turn, and memory."""

    longest = 0.0
    resident = 0

    async def run(self) -> None:
        while True:
            began, worked = time.perf_counter(), time.thread_time()
            await asyncio.sleep(_TICK)
            late = time.perf_counter() - began - _TICK
            self.resident = max(self.resident, _resident())
            self.longest = max(self.longest, min(late, time.thread_time() - worked))


async def _list_bytes(api: Api) -> float:
    """Read the pages that compliance reads, and drop them; returns seconds of CPU."""
    began = time.process_time()
    params: dict[str, str] = {"limit": str(PAGE)}
    while True:
        body = await api.get_raw(CONFIGAUDITREPORTS.path(), params=params)
        found = _CONTINUE.search(body)
        if found is None:
            return time.process_time() - began
        params["continue"] = found[1].decode()


async def _until(reconciler: ComplianceReconciler, but: dict[str, Any]) -> dict[str, Any]:
    """Wait until all specifications are answered, and one of them otherwise than `but`."""
    while True:
        said = {name: held.said.answers for name in NAMES if (held := reconciler.specifications.get(name))}
        whole = all(
            held.said.summary is not None
            for name in NAMES
            if (held := reconciler.specifications.get(name)) is not None
        )
        if whole and len(said) == len(NAMES) and said != but:
            return said
        await asyncio.sleep(0.05)


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
