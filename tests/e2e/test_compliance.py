"""Compliance, end to end: specifications that people apply, answered from audits of the real Trivy."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.e2e.auditing import auditing, create, role, until_report
from tests.e2e.harness import Cluster, running_cluster
from tests.e2e.leaping import LeapingClock
from tests.unit.compliance.reports import spec_document
from trivyop.controllers.compliance.due import PAUSE_SECONDS, SETTLE_SECONDS
from trivyop.kube.resources import (
    CLUSTERCOMPLIANCEREPORTS,
    RBACASSESSMENTREPORTS,
    ROLES,
)

Json = dict[str, Any]
SECRETS = "KSV-0113"  # fails for Roles that may read Secrets


def spec(name: str, *controls: Json, **fields: Any) -> Json:
    """A specification with these controls."""
    document = spec_document("k8s-pss-baseline-0.1")
    document["metadata"] = {"name": name}
    document["spec"] |= {"cron": "0 3 * * *", "reportType": "all", **fields}
    document["spec"]["compliance"] |= {"id": name, "controls": list(controls)}
    return document


def control(number: str, *checks: str) -> Json:
    return {
        "id": number,
        "name": f"control {number}",
        "severity": "HIGH",
        "checks": [{"id": c} for c in checks],
    }


async def apply(cluster: Cluster, document: Json) -> None:
    await cluster.api.apply(CLUSTERCOMPLIANCEREPORTS, document, field_manager="kubectl")


def results(report: Json) -> dict[str, Json]:
    """The answers of a report, by id of the control."""
    status: Json = report.get("status", {})
    rows = status.get("detailReport", {}).get("results") or status.get("summaryReport", {}).get(
        "controlCheck"
    )
    return {row["id"]: row for row in rows or ()}


async def until_said(cluster: Cluster, name: str, wanted: Mapping[str, str], *, seconds: float = 90) -> Json:
    """Wait until the status says this of these controls; the whole report."""

    def says(report: Json) -> bool:
        found = {number: row["result"] for number, row in results(report).items()}
        return report["metadata"]["name"] == name and found.items() >= dict(wanted).items()

    found = await cluster.until(
        lambda reports: any(map(says, reports)),
        CLUSTERCOMPLIANCEREPORTS,
        seconds=seconds,
        what=f"{name}: {wanted}",
    )
    return next(filter(says, found))


async def test_status_follows_what_audits_find(tmp_path: Path) -> None:
    clock = LeapingClock()
    async with running_cluster(tmp_path) as cluster:
        await create(cluster, ROLES, role("reader"))
        await apply(
            cluster, spec("ours", control("1", "AVD-KSV-0113"), control("2", "KSV-9999"), control("3"))
        )
        async with auditing(cluster, clock=clock):
            await until_report(cluster, RBACASSESSMENTREPORTS, "role-reader")
            clock.leap(SETTLE_SECONDS + PAUSE_SECONDS)
            found = await until_said(cluster, "ours", {"1": "fail", "2": "not evaluated", "3": "manual"})
            print(found["status"])
