"""Leaders that die or are cut off in the middle of their work, in processes of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.e2e.harness import IMAGES_ONLY, NAMESPACE, Cluster, running_cluster
from tests.faults.replicas import ELECTED, holder, replica, until_held_by_another
from tests.faults.scanner import Scanner, bare_pod, use_no_database
from tests.kinds import REPORT_KINDS
from trivyop.kube.objects import Object
from trivyop.kube.resources import IMAGESCANS, PODS
from trivyop.sandbox.apiserver.faults import Rule

SCANS = 200
TAKE_OVER_SECONDS = 15.0


async def run_pods(cluster: Cluster, count: int, *, first: int = 0) -> None:
    """Bare pods with an image each, numbered from `first` on; returns when they run."""
    await cluster.create(*(bare_pod(n) for n in range(first, first + count)))
    await cluster.until(
        lambda pods: len(pods) >= first + count and all(one["status"]["phase"] == "Running" for one in pods),
        PODS,
    )


async def until_succeeded(cluster: Cluster, count: int, *, seconds: float) -> None:
    def enough(scans: list[dict[str, Any]]) -> bool:
        return [scan.get("status", {}).get("phase") for scan in scans].count("Succeeded") >= count

    await cluster.until(enough, IMAGESCANS, NAMESPACE, seconds=seconds, what=f"{count} succeeded")


@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_standby_finishes_the_work_of_a_leader_that_is_killed(tmp_path: Path) -> None:
    """Scans that ran when it died are collected by the next leader, and none is begun anew."""
    scanner = Scanner.install(tmp_path / "programs")
    async with running_cluster(tmp_path, programs_first=scanner.directory) as cluster:
        await use_no_database(cluster)
        await run_pods(cluster, SCANS)
        environ = {**ELECTED, **IMAGES_ONLY}
        async with replica(cluster, "first", environ=environ) as first:
            await first.until_told("operator_running")
            async with replica(cluster, "second", environ=environ) as second:
                await second.until_told("standing_by")
                await until_succeeded(cluster, SCANS // 4, seconds=120)

                before = await holder(cluster)
                first.process.kill()
                await until_held_by_another(cluster, before, seconds=TAKE_OVER_SECONDS)

                await until_succeeded(cluster, SCANS, seconds=240)
                await cluster.until_settled()
                for kind in REPORT_KINDS:
                    assert len((await cluster.api.list(kind, type=Object, metadata_only=True)).items) == SCANS
                assert second.told("scan_job_created"), "it finished what was not begun, too"
        scans = await cluster.list(IMAGESCANS, NAMESPACE)
        assert [scan["status"] for scan in scans if scan["status"]["attempts"] != 1] == []
        assert cluster.scan_jobs_created() == SCANS
        assert scanner.scanned().total() == SCANS
        assert set(scanner.scanned().values()) == {1}


@pytest.mark.slow
async def test_leader_that_is_cut_off_writes_nothing_more_and_ends(tmp_path: Path) -> None:
    """It is not answered any more, but still told of changes; meanwhile another leads."""
    scanner = Scanner.install(tmp_path / "programs")
    async with running_cluster(tmp_path, programs_first=scanner.directory) as cluster:
        server = cluster.sandbox.server
        assert server is not None
        await use_no_database(cluster)
        await run_pods(cluster, 30)
        async with replica(cluster, "first", environ=ELECTED) as first:
            await first.until_told("operator_running")
            async with replica(cluster, "second", environ=ELECTED) as second:
                await second.until_told("standing_by")
                await until_succeeded(cluster, 3, seconds=60)

                before = await holder(cluster)
                rule = server.faults.add(Rule(silent=True, user="first"))
                await until_held_by_another(cluster, before, seconds=TAKE_OVER_SECONDS)
                since = len(server.requests)
                server.faults.rules.remove(rule)
                await cluster.until_settled()

                assert await first.process.wait() != 0
                assert first.told("leadership_lost")[0]["error"] == "no answer in time"
                late = [one for one in list(server.requests)[since:] if one.user == "first"]
                assert not [one for one in late if one.method != "GET"]
        assert set(scanner.scanned().values()) == {1}
