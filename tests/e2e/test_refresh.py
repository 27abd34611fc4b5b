"""Refreshing: results that are due are matched again or scanned again, and stay visible until then."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.harness import NAMESPACE, TRIVY, Cluster, pod, running_cluster, running_operator
from tests.e2e.leaping import LeapingClock
from tests.e2e.looking import reports_deleted, sample, until_event, until_phase, until_status
from tests.kinds import REPORT_KINDS
from trivyop.kube.resources import (
    CLUSTERSBOMREPORTS,
    CONFIGMAPS,
    IMAGESCANS,
    VULNERABILITYREPORTS,
    ObjectKey,
)
from trivyop.sandbox.registry.faults import Fault
from trivyop.sandbox.registry.filesystems import Package, alpine
from trivyop.sandbox.registry.oci import Image
from trivyop.sandbox.registry.samples import SAMPLE_IMAGES, sample_images
from trivyop.sandbox.registry.vulndb import build_newer_database

Json = dict[str, Any]
DAY = 24 * 3600 + 60
ALL_FIELDS = "Description,Links,CVSS,Target,Class,PackageType,PackagePath"


async def versions(cluster: Cluster) -> dict[str, tuple[str, str]]:
    """Uid and resource version of every report."""
    return {
        f"{kind.kind}/{one['metadata']['name']}": (
            one["metadata"]["uid"],
            one["metadata"]["resourceVersion"],
        )
        for kind in REPORT_KINDS
        for one in await cluster.list(kind)
    }


async def scanned(cluster: Cluster, image: str) -> Json:
    """Wait for the first result and its reports; returns the status of the scan."""
    status = await until_phase(cluster, image, "Succeeded")
    await cluster.until_settled()
    return status


def found(report: Mapping[str, Any]) -> set[str]:
    return {one["vulnerabilityID"] for one in report["report"]["vulnerabilities"]}


async def test_result_that_is_due_is_matched_again_without_a_job(tmp_path: Path) -> None:
    """What comes out the same is not written again, but the scan says how fresh it is."""
    clock = LeapingClock()
    async with running_cluster(tmp_path, clock=clock) as cluster:
        image = cluster.image("shop/web:1.0")
        await cluster.create(pod("web", "shop", web=image))
        async with running_operator(cluster, clock=clock):
            before = await scanned(cluster, image)
            reports = await versions(cluster)
            clock.leap(DAY)
            after = await until_status(cluster, image, lambda status: status.get("source") == "Rematch")
        still = await versions(cluster)

    assert len(reports) == 3
    assert still == reports
    assert reports_deleted(cluster) == []
    assert cluster.scan_jobs_created() == after["attempts"] == 1
    assert after["lastSuccess"] > before["lastSuccess"]
    assert after["nextRefresh"] > before["nextRefresh"]
    assert after["summary"] == before["summary"]


async def test_match_says_the_same_as_a_scan_of_every_image(tmp_path: Path) -> None:
    """All fields are asked for: a report must not change because of the way it was made."""
    clock = LeapingClock()
    async with running_cluster(tmp_path, clock=clock) as cluster:
        await cluster.api.patch(
            CONFIGMAPS,
            ObjectKey(NAMESPACE, "trivy-operator-trivy-config"),
            {"data": {"trivy.additionalVulnerabilityReportFields": ALL_FIELDS}},
        )
        pods = [
            pod(f"pod-{number}", "shop", app=cluster.image(name)) for number, name in enumerate(SAMPLE_IMAGES)
        ]
        await cluster.create(*pods)
        async with running_operator(cluster, clock=clock) as operator:
            await cluster.until(lambda found: len(found) == len(pods), VULNERABILITYREPORTS)
            await cluster.until_settled()
            before = {one["metadata"]["name"]: one for one in await cluster.list(VULNERABILITYREPORTS)}
            clock.leap(DAY)
            await cluster.until(
                lambda scans: all(scan["status"]["source"] == "Rematch" for scan in scans),
                IMAGESCANS,
                what="all matched again",
            )
            unchanged = sample(
                operator, "trivyop_report_writes_total", kind="VulnerabilityReport", result="unchanged"
            )
        after = {one["metadata"]["name"]: one for one in await cluster.list(VULNERABILITYREPORTS)}

    assert any(one["report"]["vulnerabilities"] for one in before.values())
    assert after == before
    assert unchanged == len(pods)


async def test_newer_database_brings_its_findings_without_a_job(tmp_path: Path) -> None:
    clock = LeapingClock()
    async with running_cluster(tmp_path, clock=clock) as cluster:
        registry = cluster.sandbox.registry
        assert registry is not None
        image = cluster.image("shop/web:1.0")
        await cluster.create(pod("web", "shop", web=image), pod("copy", "other", web=image))
        async with running_operator(cluster, clock=clock):
            before = await scanned(cluster, image)
            old = await cluster.list(VULNERABILITYREPORTS)
            registry.move_tag("trivy-db", "2", build_newer_database())
            clock.leap(12 * 3600)  # the database is looked for, the report's own time is not over
            after = await until_status(cluster, image, lambda status: status.get("source") == "Rematch")
            new = await cluster.list(VULNERABILITYREPORTS)
        jobs = cluster.scan_jobs_created()

    assert len(old) == len(new) == 2
    assert all(found(one) > found(old[0]) for one in new)
    assert jobs == 1
    assert after["database"]["updatedAt"] > before["database"]["updatedAt"]
    assert sum(after["summary"].values()) > sum(before["summary"].values())
    assert {one["metadata"]["uid"] for one in new} == {one["metadata"]["uid"] for one in old}


@pytest.mark.parametrize(
    "setting",
    [
        {"OPERATOR_REMATCH_ENABLED": "false"},
        {"OPERATOR_CLUSTER_SBOM_CACHE_ENABLED": "false"},
        {"OPERATOR_SBOM_GENERATION_ENABLED": "false"},
        {"OPERATOR_TRIVY_PROGRAM": "/nowhere/trivy"},
    ],
    ids=lambda setting: next(iter(setting)),
)
async def test_result_that_cannot_be_matched_is_scanned_again(
    setting: dict[str, str], tmp_path: Path
) -> None:
    clock = LeapingClock()
    async with running_cluster(tmp_path, clock=clock) as cluster:
        image = cluster.image("library/single:1")
        await cluster.create(pod("app", "shop", app=image))
        async with running_operator(cluster, clock=clock, environ=setting):
            before = await scanned(cluster, image)
            reports = await versions(cluster)
            clock.leap(DAY)
            after = await until_status(
                cluster, image, lambda status: status.get("lastSuccess", "") > before["lastSuccess"]
            )
        still = await versions(cluster)

    assert after["source"] == "Scan"
    assert cluster.scan_jobs_created() == 2
    assert still == reports


async def test_failed_refresh_keeps_reports_and_says_so(tmp_path: Path) -> None:
    clock = LeapingClock()
    async with running_cluster(tmp_path, clock=clock) as cluster:
        registry = cluster.sandbox.registry
        assert registry is not None
        image = cluster.image("library/single:1")
        await cluster.create(pod("app", "shop", app=image))
        async with running_operator(cluster, clock=clock, environ={"OPERATOR_REMATCH_ENABLED": "false"}):
            before = await scanned(cluster, image)
            reports = await versions(cluster)
            registry.faults.set("library/single", Fault.DENIED)
            clock.leap(DAY)
            failed = await until_phase(cluster, image, "Failed")
            await until_event(cluster, "shop", "app", "ImageScanFailed")
            still = await versions(cluster)
            registry.faults.clear("library/single")
            clock.leap_to(failed["nextRetry"])
            healed = await until_phase(cluster, image, "Succeeded")

    assert failed["reason"] == "auth"
    assert failed["lastSuccess"] == before["lastSuccess"]
    assert failed["summary"] == before["summary"]
    assert still == reports
    assert healed["lastSuccess"] > before["lastSuccess"]


async def test_failed_match_is_followed_by_a_scan(tmp_path: Path) -> None:
    """A bill of materials that Trivy cannot read any more must not be tried for ever."""
    clock = LeapingClock()
    program = tmp_path / "trivy-that-cannot-match"
    program.write_text(
        f'#!/bin/sh\n[ "$1" = sbom ] && {{ echo "no idea" >&2; exit 1; }}\nexec {TRIVY} "$@"\n'
    )
    program.chmod(0o755)
    async with running_cluster(tmp_path, clock=clock) as cluster:
        image = cluster.image("library/single:1")
        await cluster.create(pod("app", "shop", app=image))
        async with running_operator(cluster, clock=clock, environ={"OPERATOR_TRIVY_PROGRAM": str(program)}):
            before = await scanned(cluster, image)
            reports = await versions(cluster)
            clock.leap(DAY)
            failed = await until_phase(cluster, image, "Failed")
            clock.leap_to(failed["nextRetry"])
            healed = await until_phase(cluster, image, "Succeeded")
            still = await versions(cluster)

    assert "no idea" in failed["message"]
    assert failed["lastSuccess"] == before["lastSuccess"]
    assert healed["source"] == "Scan"
    assert cluster.scan_jobs_created() == 2
    assert still == reports


async def test_user_who_asks_for_a_new_scan_gets_one(tmp_path: Path) -> None:
    async with running_cluster(tmp_path) as cluster:
        image = cluster.image("library/single:1")
        await cluster.create(pod("app", "shop", app=image))
        async with running_operator(cluster):
            before = await scanned(cluster, image)
            reports = await versions(cluster)
            (scan,) = await cluster.list(IMAGESCANS)
            key = ObjectKey(NAMESPACE, scan["metadata"]["name"])
            moment = LeapingClock().now().isoformat()
            await cluster.api.patch(
                IMAGESCANS, key, {"spec": {"rescanAfter": moment}}, field_manager="kubectl"
            )
            after = await until_status(
                cluster,
                image,
                lambda status: status.get("attempts") == 2 and status["phase"] == "Succeeded",
            )
            await cluster.until_settled()
            (scan,) = await cluster.list(IMAGESCANS)
        still = await versions(cluster)

    assert after["source"] == "Scan"
    assert after["lastAttempt"] > before["lastAttempt"]
    assert scan["spec"]["rescanAfter"] == moment, "it is the user's field"
    assert cluster.scan_jobs_created() == 2
    assert still == reports


async def test_bill_of_materials_that_lost_only_what_matching_does_not_need_is_matched(
    tmp_path: Path,
) -> None:
    """The size budget takes licenses and hashes first."""
    clock = LeapingClock()
    budget = {"OPERATOR_REPORT_SIZE_BUDGET_BYTES": "10000"}
    packages = [Package(f"library-{n}", "1.0-r0", license="Long" * 250) for n in range(6)]
    licensed = Image.build(alpine("3.18.3", Package("busybox", "1.36.1-r6"), *packages))
    images = {**sample_images(), "shop/licensed:1": licensed}
    async with running_cluster(tmp_path, clock=clock, images=images) as cluster:
        image = cluster.image("shop/licensed:1")
        await cluster.create(pod("app", "shop", app=image))
        async with running_operator(cluster, clock=clock, environ=budget):
            await scanned(cluster, image)
            (bom,) = await cluster.list(CLUSTERSBOMREPORTS)
            clock.leap(DAY)
            await until_status(cluster, image, lambda status: status.get("source") == "Rematch")
        jobs = cluster.scan_jobs_created()

    assert bom["metadata"]["annotations"]["trivyop.dev/omitted"] == "licenses"
    assert jobs == 1


async def test_result_that_no_match_can_refresh_is_scanned_again_and_says_why(tmp_path: Path) -> None:
    """Packages of Alpine's edge are matched by its advisories, and a bill of materials does not say so."""
    clock = LeapingClock()
    edge = Image.build(alpine("3.18.3", Package("busybox", "1.36.1-r6"), repositories=("v3.18", "edge")))
    plain = Image.build(alpine("3.18.3", Package("busybox", "1.36.1-r6"), repositories=("v3.18",)))
    images = {**sample_images(), "shop/edge:1": edge, "shop/plain:1": plain}
    async with running_cluster(tmp_path, clock=clock, images=images) as cluster:
        mixed, pure = cluster.image("shop/edge:1"), cluster.image("shop/plain:1")
        await cluster.create(pod("mixed", "shop", app=mixed), pod("pure", "shop", app=pure))
        async with running_operator(cluster, clock=clock) as operator:
            before = {image: await scanned(cluster, image) for image in (mixed, pure)}
            reports = await versions(cluster)
            clock.leap(DAY)
            after = {
                image: await until_status(
                    cluster,
                    image,
                    lambda status: status.get("lastSuccess", "") > before[mixed]["lastSuccess"],
                )
                for image in (mixed, pure)
            }
            still = await versions(cluster)
            counted = sample(operator, "trivyop_scans_not_matchable_total", reason="PackageRepositories")

    assert [after[image]["source"] for image in (mixed, pure)] == ["Scan", "Rematch"]
    assert cluster.scan_jobs_created() == 3
    assert still == reports
    assert counted == 2
    assert matchable(before[pure])["status"] == "True"
    condition = matchable(after[mixed])
    assert (condition["status"], condition["reason"]) == ("False", "PackageRepositories")
    assert "edge" in condition["message"]


def matchable(status: Mapping[str, Any]) -> Mapping[str, Any]:
    return next(one for one in status["conditions"] if one["type"] == "Matchable")


async def test_bill_of_materials_without_a_proof_is_not_matched(tmp_path: Path) -> None:
    """One that an earlier version kept; the scan that refreshes its result brings the proof."""
    clock = LeapingClock()
    async with running_cluster(tmp_path, clock=clock) as cluster:
        image = cluster.image("library/single:1")
        await cluster.create(pod("app", "shop", app=image))
        async with running_operator(cluster, clock=clock):
            await scanned(cluster, image)
        (bom,) = await cluster.list(CLUSTERSBOMREPORTS)
        key = ObjectKey("", bom["metadata"]["name"])
        patch = {
            "metadata": {"annotations": {"trivyop.dev/matchable": None, "trivyop.dev/content-hash": "of-old"}}
        }
        await cluster.api.patch(CLUSTERSBOMREPORTS, key, patch)
        async with running_operator(cluster, clock=clock):
            before = await scanned(cluster, image)
            clock.leap(DAY)
            scan = await until_status(
                cluster, image, lambda status: status.get("lastSuccess", "") > before["lastSuccess"]
            )
            await cluster.until_settled()
            clock.leap(DAY)
            match = await until_status(cluster, image, lambda status: status.get("source") == "Rematch")

    assert scan["source"] == "Scan"
    assert match["attempts"] == 2
