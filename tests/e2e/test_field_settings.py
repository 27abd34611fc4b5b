"""Field cases of settings: one text means the same to scan pods, to refreshes and to the operator."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.field_cases import create_case, read_case
from tests.e2e.harness import (
    NAMESPACE,
    Cluster,
    deployment,
    operator_process,
    running_cluster,
    running_operator,
)
from tests.e2e.leaping import LeapingClock
from tests.e2e.looking import until_status
from tests.patience import patience
from trivyop.kube.resources import CONFIGMAPS, PODS, SECRETS, VULNERABILITYREPORTS, ObjectKey
from trivyop.sandbox.registry.samples import EXPECTED_FINDINGS
from trivyop.settings.trivy import TrivySettings

TRIVY_CONFIG = ObjectKey(NAMESPACE, "trivy-operator-trivy-config")
IMAGE = "shop/web:1.0"
WEB = EXPECTED_FINDINGS[IMAGE, "linux/amd64"].vulnerabilities
SEVERE = {one for one in WEB if one[2] in ("CRITICAL", "HIGH")}
OS_ONLY = {one for one in WEB if one[1] not in ("lodash", "minimist")}


async def set_trivy(cluster: Cluster, data: dict[str, str]) -> None:
    await cluster.api.patch(CONFIGMAPS, TRIVY_CONFIG, {"data": data})


async def in_secret(cluster: Cluster, data: dict[str, str]) -> None:
    meta = {"name": TRIVY_CONFIG.name, "namespace": TRIVY_CONFIG.namespace}
    await cluster.api.create(
        SECRETS, {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "stringData": data}
    )


async def found_by_scan_and_refresh(
    cluster: Cluster, clock: LeapingClock, environ: dict[str, str] | None = None
) -> list[set[tuple[str, str, str]]]:
    """Run the operator on one workload: what a scan finds, and what the refresh after it does."""
    image = cluster.image(IMAGE)
    await cluster.create(deployment("web", "shop", web=image))
    found: list[set[tuple[str, str, str]]] = []
    async with running_operator(cluster, clock=clock, environ=environ):
        await cluster.until_reported("shop/ReplicaSet/web/web")
        await cluster.until_settled()
        found.append(findings(await cluster.list(VULNERABILITYREPORTS)))
        clock.leap(25 * 3600)
        await until_status(cluster, image, lambda status: status.get("source") == "Rematch")
        await cluster.until_settled()
        found.append(findings(await cluster.list(VULNERABILITYREPORTS)))
    return found


def findings(reports: list[dict[str, Any]]) -> set[tuple[str, str, str]]:
    (report,) = reports
    return {
        (one["vulnerabilityID"], one["resource"], one["severity"])
        for one in report["report"]["vulnerabilities"]
    }


async def test_blank_in_severity(tmp_path: Path) -> None:
    clock = LeapingClock()
    async with running_cluster(tmp_path, clock=clock) as cluster:
        await create_case("blank-in-severity", cluster)

        assert await found_by_scan_and_refresh(cluster, clock) == [SEVERE, SEVERE]


@pytest.mark.parametrize("namespace", ["", "workload's"])
async def test_the_same_in_the_secret_in_lower_case_with_blanks_in_other_lists(
    namespace: str, tmp_path: Path
) -> None:
    """And a policy, an ignore file in YAML under another name, both in the Secret."""
    clock = LeapingClock()
    async with running_cluster(tmp_path, clock=clock) as cluster:
        place = f"{cluster.registry}/trivy-java-db:1"
        hidden = "CVE-2021-23337"
        await set_trivy(cluster, {"trivy.severity": "LOW", "trivy.javaDbRepository": f"{place} , {place},"})
        await in_secret(
            cluster,
            {
                "trivy.severity": "critical,\nhigh,",
                "trivy.skipDirs": "/Program Files",
                "trivy.ignoreFile": f"vulnerabilities:\n  - id: {hidden}\n",
                "trivy.noProxy": "127.0.0.1, .svc",
            },
        )
        if namespace:
            meta = {"name": "trivy-operator", "namespace": NAMESPACE}
            body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta}
            await cluster.api.apply(
                CONFIGMAPS, {**body, "data": {"vulnerabilityReports.scanJobsInSameNamespace": "true"}}
            )

        found = await found_by_scan_and_refresh(cluster, clock)

    wanted = {one for one in SEVERE if one[0] != hidden}
    assert found == [wanted, wanted]


@pytest.mark.parametrize(("text", "wanted"), [(None, WEB), (" Library,os ", WEB), ("OS", OS_ONLY)])
async def test_types_of_packages(text: str | None, wanted: set[Any], tmp_path: Path) -> None:
    clock = LeapingClock()
    async with running_cluster(tmp_path, clock=clock) as cluster:
        if text is None:
            await create_case("vuln-type-both", cluster)
        else:
            await set_trivy(cluster, {"trivy.vulnType": text})

        assert await found_by_scan_and_refresh(cluster, clock) == [wanted, wanted]


async def test_scanner_tag_with_digest(tmp_path: Path) -> None:
    async with running_cluster(tmp_path) as cluster:
        (case,) = read_case("scanner-tag-with-digest", cluster)
        await create_case("scanner-tag-with-digest", cluster)
        await cluster.create(deployment("web", "shop", web=cluster.image(IMAGE)))
        async with running_operator(cluster):
            (pod,) = await cluster.until(lambda found: len(found) == 1, PODS, NAMESPACE)

    wanted = f"{TrivySettings().repository}:{case['data']['trivy.tag']}"
    spec = pod["spec"]
    assert {one["image"] for one in (*spec["containers"], *spec["initContainers"])} == {wanted}
    assert wanted.count("@sha256:") == 1


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (None, ("trivy.tag", "'0.50.1'", "0.57.0")),
        ({"trivy.tag": "0.69.5"}, ("trivy.tag", "malicious", "CVE-2026-33634")),
        ({"trivy.repository": "ghcr.io/aquasecurity/trivy:0.76.0"}, ("trivy.repository", "has a tag")),
    ],
)
async def test_scanner_that_cannot_be_used_ends_the_start(
    data: dict[str, str] | None, words: tuple[str, ...], tmp_path: Path
) -> None:
    log = tmp_path / "log"
    async with running_cluster(tmp_path) as cluster:
        if data is None:
            await create_case("old-scanner-tag", cluster)
        else:
            await set_trivy(cluster, data)
        async with operator_process(cluster, log=log) as process:
            assert await process.wait() == 1

    text = log.read_text()
    assert all(word in text for word in words), text
    assert "Traceback" not in text


@pytest.mark.parametrize(
    ("value", "for_people"), [("1", True), ("T", True), ("true", True), ("0", False), ("", False)]
)
async def test_log_for_people_is_asked_for_as_go_reads_truth(
    value: str, for_people: bool, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    environ = {"OPERATOR_LOG_DEV_MODE": value}
    async with (
        running_cluster(tmp_path) as cluster,
        operator_process(cluster, log=log, environ=environ) as process,
    ):
        line = await until_logged(log, "operator_starting")
        process.send_signal(signal.SIGTERM)
        await process.wait()

    assert line.startswith("{") is not for_people


async def until_logged(log: Path, word: str) -> str:
    """Wait for a line with a word; returns it."""
    async with patience(60):
        while True:
            text = await asyncio.to_thread(log.read_text)
            for line in text.splitlines(keepends=True):
                if word in line and line.endswith("\n"):
                    return line
            await asyncio.sleep(0.05)
