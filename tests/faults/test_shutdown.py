"""How `trivyop run` ends: soon, with nothing left behind, and at once if told twice."""

from __future__ import annotations

import signal
from pathlib import Path

from tests.e2e.harness import NAMESPACE, Cluster, running_cluster
from tests.faults.replicas import ELECTED, Replica, holder, replica
from tests.faults.scanner import WITHOUT_DATABASE, Scanner, bare_pod, use_no_database
from tests.patience import patience
from trivyop.kube.resources import IMAGESCANS, PODS
from trivyop.sandbox.apiserver.faults import Rule

END_SECONDS = 6.0  # on an idle machine, and with all patience what Kubernetes grants
SCANS = 40
WATCHFUL = {"PYTHONDEVMODE": "1"}  # what is left open at the end is complained of


async def run_pods(cluster: Cluster, count: int) -> None:
    await use_no_database(cluster)
    await cluster.create(*(bare_pod(n) for n in range(count)))
    await cluster.until(
        lambda pods: len(pods) == count and all(one["status"]["phase"] == "Running" for one in pods), PODS
    )


async def until_some_succeeded(cluster: Cluster) -> None:
    await cluster.until(
        lambda scans: any(scan.get("status", {}).get("phase") == "Succeeded" for scan in scans),
        IMAGESCANS,
        NAMESPACE,
    )


async def ended(process: Replica, *, seconds: float) -> int:
    """Wait for the end; returns the exit code."""
    async with patience(seconds):
        return await process.process.wait()


async def test_end_in_the_middle_of_the_work_is_clean_and_the_next_start_goes_on(tmp_path: Path) -> None:
    scanner = Scanner.install(tmp_path / "programs")
    async with running_cluster(tmp_path, programs_first=scanner.directory) as cluster:
        await run_pods(cluster, SCANS)
        async with replica(cluster, "first", environ={**ELECTED, **WATCHFUL}) as first:
            await until_some_succeeded(cluster)
            first.process.terminate()
            assert await ended(first, seconds=END_SECONDS) == 0
            assert await holder(cluster) == "", "the next one need not wait for the Lease to run out"
        assert first.told("operator_stopped")
        assert [line for line in first.log.read_text().splitlines() if not line.startswith("{")] == []

        async with replica(cluster, "second", environ=ELECTED):
            await cluster.until_reported(*(f"shop/Pod/w{n}/app" for n in range(SCANS)), seconds=120)
            await cluster.until_settled()
    assert scanner.scanned().total() == SCANS
    assert set(scanner.scanned().values()) == {1}


async def test_server_that_does_not_answer_holds_up_no_end(tmp_path: Path) -> None:
    """Neither work in hand nor the Lease is waited for longer than that."""
    scanner = Scanner.install(tmp_path / "programs")
    async with running_cluster(tmp_path, programs_first=scanner.directory) as cluster:
        server = cluster.sandbox.server
        assert server is not None
        await run_pods(cluster, SCANS)
        async with replica(cluster, "only", environ={**WITHOUT_DATABASE, **WATCHFUL}) as only:
            await until_some_succeeded(cluster)
            server.faults.add(Rule(silent=True, user="only"))
            only.process.terminate()
            assert await ended(only, seconds=END_SECONDS) == 0
        assert only.told("work_cut_short")
        assert only.told("operator_stopped")
        assert [line for line in only.log.read_text().splitlines() if not line.startswith("{")] == []


async def test_second_signal_ends_at_once(tmp_path: Path) -> None:
    scanner = Scanner.install(tmp_path / "programs")
    async with running_cluster(tmp_path, programs_first=scanner.directory) as cluster:
        server = cluster.sandbox.server
        assert server is not None
        await run_pods(cluster, SCANS)
        environ = {**WITHOUT_DATABASE, "OPERATOR_DRAIN_TIMEOUT": "1h"}
        async with replica(cluster, "only", environ=environ) as only:
            await until_some_succeeded(cluster)
            server.faults.add(Rule(silent=True, user="only"))
            only.process.terminate()
            await only.until_told("operator_stopping")
            assert only.process.returncode is None
            only.process.terminate()
            assert await ended(only, seconds=1) == -signal.SIGTERM
