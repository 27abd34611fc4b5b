"""Compliance of a cluster with 20,000 reports of audits: reading them, answering, and following a change.

The server is in this process; what is measured runs in another (`python -m tests.bench.compliant
KUBECONFIG`), which first has the metadata of all reports in its caches, as every operator has. Reports say
what trivy-operator's say of four workloads, under 20,000 names.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from asyncio.subprocess import PIPE
from itertools import cycle
from typing import Any

import orjson
import yaml

from tests.bench.cluster import MadeUpCluster, made_up_cluster, settle
from tests.bench.figures import Figure
from tests.bench.made_up import uid
from tests.parity.golden import GOLDEN
from tests.unit.compliance.reports import MANIFESTS, NAMES
from trivyop.kube.resources import CLUSTERCOMPLIANCEREPORTS, CONFIGAUDITREPORTS, ObjectKey
from trivyop.report import keys

_REPORTS = 20_000
_PATTERNS = ("shop_replicaset-web", "shop_pod-debug", "shop_statefulset-orders", "data_daemonset-agent")


async def measure() -> list[Figure]:
    """Fill the cluster, have another process answer, and change one report."""
    async with made_up_cluster() as cluster:
        size = _fill(cluster)
        for name in NAMES:
            document = yaml.safe_load((MANIFESTS / f"{name}.yaml").read_text())
            document["spec"]["reportType"] = "all"
            await cluster.api.apply(CLUSTERCOMPLIANCEREPORTS, document)
        settle()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.bench.compliant", str(cluster.kubeconfig)), stdout=PIPE
        )
        assert process.stdout is not None
        first = json.loads(await process.stdout.readline())
        requests = len(cluster.server.requests)
        began = time.monotonic()
        cluster.put(CONFIGAUDITREPORTS, _report(0, {"report": {"checks": []}}))
        changed = json.loads(await process.stdout.readline())
        followed = time.monotonic() - began
        requests = len(cluster.server.requests) - requests
        await process.wait()
    return [
        Figure("compliance", f"{_REPORTS} reports", size / 2**20, "MiB"),
        Figure("compliance", "listing their bytes, CPU", first["listing"], "s"),
        Figure("compliance", "reading and answering, CPU", first["answering"], "s"),
        Figure("compliance", "to listing", first["answering"] / first["listing"], "x", 3, at_least=False),
        Figure("compliance", "longest stall", first["stall"] * 1000, "ms", 50, at_least=False),
        Figure("compliance", "memory added", first["memory"] / 2**20, "MiB"),
        Figure("compliance", "memory added, at most", first["peak"] / 2**20, "MiB", 60, at_least=False),
        Figure("compliance", "a change, until the status has it", followed, "s", 60, at_least=False),
        Figure("compliance", "a change, CPU", changed["cpu"], "s"),
        Figure("compliance", "a change, requests", requests, "", 20, at_least=False),
    ]


def _fill(cluster: MadeUpCluster) -> int:
    """Put the reports; returns their size in bytes."""
    folder = GOLDEN / "reports" / CONFIGAUDITREPORTS.plural
    likes = [orjson.loads(next(folder.glob(f"{name}*")).read_bytes()) for name in _PATTERNS]
    size = 0
    for number, like in zip(range(_REPORTS), cycle(likes), strict=False):
        cluster.put(CONFIGAUDITREPORTS, _report(number, like))
    for number in range(len(likes)):
        key = ObjectKey(*_place(number))
        stored = cluster.served(CONFIGAUDITREPORTS).bucket.get(*key)
        assert stored is not None
        size += len(stored.body)
    return size * _REPORTS // len(likes)


def _place(number: int) -> tuple[str, str]:
    return f"team-{number % 50}", f"replicaset-web-{number}"


def _report(number: int, like: dict[str, Any]) -> dict[str, Any]:
    """A report of ours that says the same."""
    namespace, name = _place(number)
    checks = like["report"]["checks"]
    return {
        "apiVersion": CONFIGAUDITREPORTS.api_version,
        "kind": CONFIGAUDITREPORTS.kind,
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": uid("ConfigAuditReport", number),
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": {
                keys.RESOURCE_KIND: "ReplicaSet",
                keys.RESOURCE_NAME: f"web-{number}",
                keys.RESOURCE_NAMESPACE: namespace,
                keys.POLICIES_HASH: "p1",
            },
            "annotations": {
                keys.CONTENT_HASH: f"{number:032x}{len(checks):032x}",
                keys.SUMMARY: "c=0,h=1,m=2,l=3,u=0",
            },
        },
        "report": {
            "scanner": {"name": "Trivy", "vendor": "Aqua Security", "version": "0.76.0"},
            "summary": {"criticalCount": 0, "highCount": 1, "mediumCount": 2, "lowCount": 3},
            "updateTimestamp": "2026-01-01T00:00:00Z",
            "checks": checks,
        },
    }
