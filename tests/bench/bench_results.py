"""A made-up result of 200 MB, from the scan pod's log to the reports of 20 workloads: memory, and stalls."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path
from typing import Any

import orjson

from tests.bench.figures import Figure
from tests.bench.large_log import write_log
from tests.bench.large_result import NAMESPACE, large_scan_id
from tests.bench.server import server_kubeconfig
from trivyop.cli.manifests import crds
from trivyop.kube.client import Api
from trivyop.kube.config import ClusterConfig
from trivyop.kube.resources import CRDS, NAMESPACES, SBOMREPORTS, VULNERABILITYREPORTS, Resource
from trivyop.report.budget import Omitted, size_of

_BYTES = 200_000_000
_WORKLOADS = 20


async def measure() -> list[Figure]:
    """Have another process do it, and look at the reports."""
    with tempfile.TemporaryDirectory(prefix="trivyop-bench-") as directory:
        log = Path(directory, "pod.log")
        found = await asyncio.to_thread(write_log, log, large_scan_id(), _BYTES)
        async with (
            server_kubeconfig() as kubeconfig,
            Api(await ClusterConfig.load(str(kubeconfig))) as api,
        ):
            for crd in crds():
                await api.apply(CRDS, crd)
            await api.create(NAMESPACES, {"metadata": {"name": NAMESPACE}})
            measured = await _process(log, kubeconfig)
            report = await _one(api, VULNERABILITYREPORTS)
            bom = await _one(api, SBOMREPORTS)
    counted = sum(report["report"]["summary"].values())
    omitted = Omitted.of(report["metadata"]["annotations"]).findings
    shown = len(report["report"]["vulnerabilities"])
    reading, reporting = measured["reading"], measured["reporting"]
    return [
        Figure("results", "JSON of the result", _BYTES / 2**20, "MiB"),
        Figure("results", "reading and parsing it", reading["seconds"], "s"),
        Figure("results", f"reports of {_WORKLOADS} workloads", reporting["seconds"], "s"),
        Figure("results", "memory grown by", measured["grown"] / 2**20, "MiB", 100, at_least=False),
        Figure("results", "longest stall, reading", reading["at_work"] * 1000, "ms", 100, at_least=False),
        Figure("results", "longest stall, reporting", reporting["at_work"] * 1000, "ms", 100, at_least=False),
        Figure("results", "the same by the clock, reading", reading["by_the_clock"] * 1000, "ms"),
        Figure("results", "the same by the clock, reporting", reporting["by_the_clock"] * 1000, "ms"),
        Figure("results", "report to budget", size_of(report) / measured["budget"], "x", 1, at_least=False),
        Figure(
            "results",
            "bill of materials to budget",
            size_of(bom) / measured["budget"],
            "x",
            1,
            at_least=False,
        ),
        Figure("results", "vulnerabilities shown", shown, ""),
        Figure("results", "vulnerabilities left out", omitted, ""),
        Figure(
            "results",
            "miscounted",
            abs(counted - found) + abs(shown + omitted - found),
            "",
            0,
            at_least=False,
        ),
    ]


async def _process(log: Path, kubeconfig: Path) -> dict[str, Any]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.bench.large_result", str(log), str(kubeconfig), str(_WORKLOADS)),
        stdout=asyncio.subprocess.PIPE,
    )
    printed, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError("processing the result failed")
    return orjson.loads(printed)


async def _one(api: Api, kind: Resource) -> dict[str, Any]:
    """The report that was written first, as it was sent."""
    async for page in api.list_pages(kind, type=dict[str, Any], namespace=NAMESPACE, limit=1):
        report = page.items[0]
        kept = ("name", "namespace", "labels", "annotations", "ownerReferences")
        report["metadata"] = {name: report["metadata"][name] for name in kept}
        return report
    raise RuntimeError(f"no {kind.kind} was written")
