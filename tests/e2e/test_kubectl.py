"""The commands that the documentation tells users to type, typed."""

from __future__ import annotations

import shlex
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from tests.e2e.harness import NAMESPACE, Cluster, deployment, running_cluster, running_operator
from tests.e2e.programs import ROOT, Kubectl
from trivyop.kube.resources import (
    CLUSTERSBOMREPORTS,
    DEPLOYMENTS,
    EXPOSEDSECRETREPORTS,
    IMAGESCANS,
    NAMESPACES,
    SBOMREPORTS,
    VULNERABILITYREPORTS,
    ObjectKey,
)

REPORTS = (VULNERABILITYREPORTS, EXPOSEDSECRETREPORTS, SBOMREPORTS)


@asynccontextmanager
async def scanned(directory: Path) -> AsyncGenerator[tuple[Cluster, Kubectl]]:
    """A cluster with an operator at work and one Deployment that has its reports."""
    async with running_cluster(directory) as cluster:
        kubectl = Kubectl(directory, await cluster.kubeconfig())
        await cluster.api.create(
            NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}
        )
        await cluster.api.create(DEPLOYMENTS, deployment("web", "shop", web=cluster.image("shop/web:1.0")))
        async with running_operator(cluster):
            for kind in (*REPORTS, CLUSTERSBOMREPORTS):
                await cluster.until(lambda found: len(found) == 1, kind)
            await cluster.until_settled()
            yield cluster, kubectl


def documented(page: str, word: str) -> list[str]:
    """The one command of a page with that word in it, line continuations joined; its arguments."""
    text = (ROOT / "docs" / page).read_text().replace("\\\n", "")
    (line,) = (line for line in text.splitlines() if line.startswith("    kubectl") and word in line)
    return shlex.split(line)[1:]


async def test_reports_of_a_workload_are_found_by_label(tmp_path: Path) -> None:
    async with scanned(tmp_path) as (_, kubectl):
        revision = (
            (await kubectl("get", "replicasets", "-n", "shop", "-o", "name")).out.strip().partition("/")[2]
        )
        arguments = [
            argument.replace("web-5d9c7b8f6d", revision) for argument in documented("reports.md", "get vuln")
        ]

        found = await kubectl(*arguments, "-o", "name")

    assert found.out == f"vulnerabilityreport.aquasecurity.github.io/replicaset-{revision}-web\n"


async def test_patch_of_a_scan_asks_for_a_new_one(tmp_path: Path) -> None:
    async with scanned(tmp_path) as (cluster, kubectl):
        (scan,) = await cluster.list(IMAGESCANS, NAMESPACE)
        name, before = scan["metadata"]["name"], scan["status"]["attempts"]
        arguments = documented("reports.md", "patch imagescan")
        now = datetime.now(UTC).isoformat()  # finer than seconds, for an attempt was made in this one
        arguments = [one.replace("NAME", name).replace("$(date -u +%FT%TZ)", now) for one in arguments]

        await kubectl(*arguments)
        await cluster.until(
            lambda found: (
                found[0]["status"]["attempts"] > before and found[0]["status"]["phase"] == "Succeeded"
            ),
            IMAGESCANS,
            NAMESPACE,
        )

        assert cluster.scan_jobs_created() == 2


async def test_deleted_report_comes_back_from_a_new_scan(tmp_path: Path) -> None:
    async with scanned(tmp_path) as (cluster, kubectl):
        await kubectl("delete", "vuln", "--all", "-n", "shop")

        await cluster.until(lambda found: len(found) == 1, VULNERABILITYREPORTS, "shop")

        assert cluster.scan_jobs_created() == 2


async def test_deleted_workload_takes_its_reports_along(tmp_path: Path) -> None:
    async with scanned(tmp_path) as (cluster, kubectl):
        await kubectl("delete", "deployment", "web", "-n", "shop")

        for kind in REPORTS:
            await cluster.until(lambda found: not found, kind, "shop")


async def test_scan_can_be_waited_for(tmp_path: Path) -> None:
    async with scanned(tmp_path) as (cluster, kubectl):
        (scan,) = await cluster.list(IMAGESCANS, NAMESPACE)
        done = await kubectl(
            *("wait", f"imagescan/{scan['metadata']['name']}", "-n", NAMESPACE, "--timeout=150s"),
            "--for=jsonpath={.status.phase}=Succeeded",
        )

    assert "condition met" in done.out


async def test_kinds_explain_themselves(tmp_path: Path) -> None:
    async with running_cluster(tmp_path) as cluster:
        kubectl = Kubectl(tmp_path, await cluster.kubeconfig())
        explained = {
            path: (await kubectl("explain", path)).out
            for path in (
                "imagescans.status.phase",
                "imagescans.spec.rescanAfter",
                "vulnerabilityreports.report",
                "sbomreports.report.components",
            )
        }

    assert all("DESCRIPTION" in text for text in explained.values())


async def test_scan_that_is_deleted_starts_anew(tmp_path: Path) -> None:
    """Its state is kept nowhere else, and the reports that are there say enough."""
    async with scanned(tmp_path) as (cluster, kubectl):
        (before,) = await cluster.list(IMAGESCANS, NAMESPACE)
        await kubectl("delete", "imagescans", "--all", "-n", NAMESPACE)

        (after,) = await cluster.until(
            lambda found: [one.get("status", {}).get("phase") for one in found] == ["Succeeded"],
            IMAGESCANS,
            NAMESPACE,
        )
        report = await cluster.api.get_dict(
            VULNERABILITYREPORTS,
            ObjectKey("shop", (await cluster.list(VULNERABILITYREPORTS))[0]["metadata"]["name"]),
        )

        assert after["metadata"]["uid"] != before["metadata"]["uid"]
        assert report is not None
