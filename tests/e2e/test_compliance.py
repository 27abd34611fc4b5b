"""Compliance, end to end: specifications that people apply, answered from audits of the real Trivy."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson

from tests.e2e.auditing import auditing, create, role, until_idle, until_report
from tests.e2e.harness import Cluster, running_cluster
from tests.e2e.leaping import LeapingClock
from tests.e2e.looking import sample
from tests.e2e.test_permissions import USER, grant
from tests.parity.golden import GOLDEN
from tests.patience import patience
from tests.unit.compliance.reports import spec_document
from trivyop.app import Operator
from trivyop.controllers.compliance.due import DUE, PAUSE_SECONDS, SETTLE_SECONDS
from trivyop.kube.resources import (
    CLUSTERCOMPLIANCEREPORTS,
    CRDS,
    EVENTS,
    RBACASSESSMENTREPORTS,
    ROLES,
    ObjectKey,
)
from trivyop.kube.times import parse_time

Json = dict[str, Any]
CHECK = "AVD-KSV-0113"  # fails for Roles that may read Secrets


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


async def until_said(
    cluster: Cluster, name: str, wanted: Mapping[str, str], *, but: Json | None = None, seconds: float = 90
) -> Json:
    """Wait until the status says this of these controls, and none of it is `but`; the whole report."""

    def says(report: Json) -> bool:
        found = {number: row.get("result") for number, row in results(report).items()}
        return report["metadata"]["name"] == name and (
            found.items() >= dict(wanted).items() and but not in results(report).values()
        )

    found = await cluster.until(
        lambda reports: any(map(says, reports)),
        CLUSTERCOMPLIANCEREPORTS,
        seconds=seconds,
        what=f"{name}: {wanted}",
    )
    return next(filter(says, found))


def reads_of_all(cluster: Cluster) -> int:
    """How often all reports on roles were read, or watched anew."""
    path = RBACASSESSMENTREPORTS.path()
    return sum(one.method == "GET" and one.path == path for one in cluster.requests)


def evaluations(operator: Operator, reason: str) -> float:
    return sample(operator, "trivyop_compliance_evaluations_total", reason=reason)


async def get(cluster: Cluster, name: str) -> Json:
    found = await cluster.api.get_dict(CLUSTERCOMPLIANCEREPORTS, ObjectKey("", name))
    assert found is not None
    return found


async def test_status_follows_what_audits_find(tmp_path: Path) -> None:
    """Within a minute, and without reading all reports again; what others own stays theirs."""
    clock = LeapingClock()
    async with running_cluster(tmp_path) as cluster:
        await create(cluster, ROLES, role("reader"), role("other"))
        async with auditing(cluster, clock=clock) as operator:
            await until_report(cluster, RBACASSESSMENTREPORTS, "role-reader", check=CHECK)
            other = await until_report(cluster, RBACASSESSMENTREPORTS, "role-other", check=CHECK)
            await apply(cluster, spec("ours", control("1", CHECK), control("2")))
            first = await until_said(cluster, "ours", {"1": "fail", "2": "manual"})
            before = reads_of_all(cluster)

            for name in ("reader", "other"):
                await cluster.api.patch(ROLES, ObjectKey("shop", name), {"rules": []})
            await until_report(cluster, RBACASSESSMENTREPORTS, "role-other", but=other)
            changed = clock.now()
            clock.leap(SETTLE_SECONDS + PAUSE_SECONDS)
            passed = await until_said(cluster, "ours", {"1": "pass"})
            after = reads_of_all(cluster)
            await apply(cluster, spec("ours", control("1", CHECK), control("2")))
            clock.leap(60)
            await until_idle(operator)
            last = await get(cluster, "ours")

            assert evaluations(operator, "status-missing") == 1
            assert 1 <= evaluations(operator, "answers-changed") <= 2
            assert evaluations(operator, "scheduled") == 0

    assert results(first)["1"]["totalFail"] == 2
    assert [row["target"] for row in results(first)["1"]["checks"]] == ["shop/role-other", "shop/role-reader"]
    assert results(passed)["1"]["totalFail"] == 0
    assert (parse_time(passed["status"]["updateTimestamp"]) - changed).total_seconds() < 60
    assert after == before
    assert last["status"] == passed["status"]
    assert last["metadata"]["generation"] == 1
    owners = {entry["manager"]: entry.get("subresource") for entry in last["metadata"]["managedFields"]}
    assert owners == {"kubectl": None, "trivyop": "status"}


async def test_restart_changes_nothing_and_a_schedule_does(tmp_path: Path) -> None:
    clock = LeapingClock()
    async with running_cluster(tmp_path) as cluster:
        await create(cluster, ROLES, role("reader"))
        async with auditing(cluster, clock=clock):
            await until_report(cluster, RBACASSESSMENTREPORTS, "role-reader", check=CHECK)
            await apply(
                cluster, spec("ours", control("1", CHECK), timeZone="Asia/Kolkata", cron="30 8 * * *")
            )
            first = await until_said(cluster, "ours", {"1": "fail"})
        async with auditing(cluster, clock=clock) as operator:
            await until_reconciled(operator)
            restarted = await get(cluster, "ours")
            assert sum(evaluations(operator, reason) for reason in DUE) == 0
            clock.leap_to(first["status"]["nextRun"])
            found = await cluster.until(
                lambda reports: reports[0]["status"]["updateTimestamp"] > first["status"]["nextRun"],
                CLUSTERCOMPLIANCEREPORTS,
            )
            assert evaluations(operator, "scheduled") == 1

    assert first["status"]["nextRun"].endswith("T03:00:00Z")
    assert restarted["status"] == first["status"]
    assert results(found[0]) == results(first)


async def until_reconciled(operator: Operator) -> None:
    """Wait until a specification was looked at with all reports read."""
    done = {"controller": "compliance", "outcome": "done"}
    async with patience(60):
        while (operator.registry.get_sample_value("trivyop_reconcile_total", done) or 0.0) < 3:  # noqa: ASYNC110 - nobody notifies
            await asyncio.sleep(0.1)


async def test_what_no_scanner_looks_at_is_not_passed(tmp_path: Path) -> None:
    """Though reports of a time when it was on are still there."""
    off = {"OPERATOR_RBAC_ASSESSMENT_SCANNER_ENABLED": "false"}
    async with running_cluster(tmp_path) as cluster:
        await create(cluster, ROLES, {**role("harmless"), "rules": []})
        controls = (control("1", CHECK), control("2", "KCV-0001"), control("3", "KSV-0001"))
        async with auditing(cluster):
            await until_report(cluster, RBACASSESSMENTREPORTS, "role-harmless")
            await apply(cluster, spec("ours", *controls))
            await until_said(cluster, "ours", {"1": "pass"})
        async with auditing(cluster, off):
            without_roles = await until_said(cluster, "ours", {"1": "not evaluated"})
        async with auditing(cluster, {"OPERATOR_CONFIG_AUDIT_SCANNER_ENABLED": "false"}):
            nothing = await until_said(
                cluster, "ours", {"3": "not evaluated"}, but=results(without_roles)["3"]
            )

    assert results(without_roles)["1"]["reason"] == "ScannerOff"
    assert results(without_roles)["2"]["reason"] == "ScannerOff"
    assert results(without_roles)["3"]["reason"] == "NothingAudited"
    assert {row["reason"] for row in results(nothing).values()} == {"ScannerOff"}
    assert nothing["status"]["summary"]["passCount"] == 0


async def test_specification_with_a_mistake_says_so_and_harms_no_other(tmp_path: Path) -> None:
    async with running_cluster(tmp_path) as cluster:
        await create(cluster, ROLES, role("reader"))
        broken = spec("broken", control("1", CHECK))
        broken["spec"]["compliance"]["controls"][0]["severity"] = "SEVERE"
        async with lenient_schema(cluster), auditing(cluster):
            await until_report(cluster, RBACASSESSMENTREPORTS, "role-reader", check=CHECK)
            await apply(cluster, spec("never", control("1", CHECK), cron="0 0 31 2 *"))
            await apply(cluster, spec("unknown", control("1", "KSV-9999"), control("2", CHECK)))
            await cluster.api.apply(CLUSTERCOMPLIANCEREPORTS, broken, field_manager="kubectl")
            malformed = spec("malformed")
            del malformed["spec"]["cron"]
            await cluster.api.apply(CLUSTERCOMPLIANCEREPORTS, malformed, field_manager="kubectl")
            await apply(cluster, spec("sound", control("1", CHECK)))
            found = {
                name: await until_said(cluster, name, {"1": said})
                for name, said in (("never", "fail"), ("unknown", "not evaluated"), ("broken", "fail"))
            }
            sound = await until_said(cluster, "sound", {"1": "fail"})
            reports = await cluster.until(
                lambda them: any(one["metadata"]["name"] == "malformed" and "status" in one for one in them),
                CLUSTERCOMPLIANCEREPORTS,
            )
            found["malformed"] = next(one for one in reports if one["metadata"]["name"] == "malformed")
            events = await cluster.until(
                lambda them: len([one for one in them if one.get("reason") == "SpecificationProblem"]) == 4,
                EVENTS,
            )

    messages = {name: valid(report)["message"] for name, report in found.items()}
    assert messages["never"].startswith("spec.cron: ")
    assert messages["unknown"] == "control 1: there is no check KSV-9999"
    assert messages["broken"].startswith("spec.compliance.controls[0].severity: ")
    assert "cron" in messages["malformed"]
    assert {valid(report)["status"] for report in found.values()} == {"False"}
    assert "nextRun" not in found["never"]["status"]
    assert valid(sound)["status"] == "True"
    told = {one["involvedObject"]["name"]: one["message"] for one in events if one["type"] == "Warning"}
    assert {name: told[name] for name in messages} == messages


@asynccontextmanager
async def lenient_schema(cluster: Cluster) -> AsyncGenerator[None]:
    """A definition of the kind that takes any specification, as that of a later version may."""
    key = ObjectKey("", CLUSTERCOMPLIANCEREPORTS.name)
    crd = await cluster.api.get_dict(CRDS, key)
    assert crd is not None
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    schema["properties"]["spec"] = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    await cluster.api.replace(CRDS, key, crd)
    yield


def valid(report: Json) -> Json:
    return next(one for one in report["status"]["conditions"] if one["type"] == "Valid")


async def test_changes_of_a_specification_are_answered(tmp_path: Path) -> None:
    """One that is edited, one that goes, one that trivy-operator had answered: nothing stays behind."""
    async with running_cluster(tmp_path) as cluster:
        await create(cluster, ROLES, role("reader"))
        await grant(cluster)
        async with auditing(cluster, user=USER):
            await until_report(cluster, RBACASSESSMENTREPORTS, "role-reader", check=CHECK)
            theirs = orjson.loads((GOLDEN / "reports/clustercompliancereports/k8s-nsa-1.0.json").read_bytes())
            meta = {"name": "k8s-nsa-1.0"}
            created = await cluster.api.create(
                CLUSTERCOMPLIANCEREPORTS,
                {**theirs, "metadata": meta, "spec": {**theirs["spec"], "reportType": "summary"}},
            )
            status = {**created, "status": theirs["status"]}
            await cluster.api.replace(
                CLUSTERCOMPLIANCEREPORTS,
                ObjectKey("", "k8s-nsa-1.0"),
                status,
                subresource="status",
                field_manager="trivy-operator",
            )
            await apply(cluster, spec("ours", control("1", CHECK)))
            await apply(cluster, spec("gone", control("1", CHECK)))
            first = await until_said(cluster, "ours", {"1": "fail"})
            await cluster.api.delete(CLUSTERCOMPLIANCEREPORTS, ObjectKey("", "gone"))
            await apply(cluster, spec("ours", control("9", CHECK), reportType="summary"))
            edited = await until_said(cluster, "ours", {"9": "fail"})
            taken_over = await until_said(cluster, "k8s-nsa-1.0", {"1.0": "not evaluated"})
            names = {one["metadata"]["name"] for one in await cluster.list(CLUSTERCOMPLIANCEREPORTS)}

    assert first["status"]["observedGeneration"] == 1
    assert edited["status"]["observedGeneration"] == 2
    assert "detailReport" not in edited["status"]
    assert set(results(edited)) == {"9"}
    assert "detailReport" not in taken_over["status"]
    assert len(results(taken_over)) == len(theirs["spec"]["compliance"]["controls"])
    assert names == {"ours", "k8s-nsa-1.0"}
