"""Reports that the server does not take: made smaller, or told of; never sent for ever."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.harness import Cluster, pod, reported, running_cluster, running_operator
from tests.e2e.leaping import LeapingClock
from tests.e2e.looking import looks, until_event, until_looked, until_status
from tests.faults.scanner import WITHOUT_DATABASE, Scanner, bare_pod, image
from trivyop.kube.resources import EXPOSEDSECRETREPORTS, SBOMREPORTS, VULNERABILITYREPORTS
from trivyop.sandbox.apiserver.faults import Rule

REPORT = "/apis/aquasecurity.github.io/v1alpha1/namespaces/shop/vulnerabilityreports/pod-w0-app"
CONTAINER = "shop/Pod/w0/app"
ENVIRON = {**WITHOUT_DATABASE, "OPERATOR_RESYNC_INTERVAL": "60s"}


def refusal(code: int, message: str, *, times: int | None = None) -> Rule:
    """The server's answer to the operator where it writes a vulnerability report."""
    return Rule(
        code=code,
        message=message,
        times=times,
        user_agent="trivyop",
        verb="patch",
        resource="vulnerabilityreports",
    )


ETCD = (500, "etcdserver: request is too large")
GRPC = (500, "rpc error: code = ResourceExhausted desc = trying to send message larger than max (2 vs. 1)")
ENTITY = (413, "Request entity too large: limit is 3145728")
INVALID = (422, 'VulnerabilityReport "pod-w0-app" is invalid: report.summary: Required value')


def writes(cluster: Cluster) -> int:
    """How often the report was sent."""
    assert cluster.sandbox.server is not None
    return sum(one.method == "PATCH" and one.path == REPORT for one in cluster.sandbox.server.requests)


def delivered(status: dict[str, Any]) -> dict[str, Any]:
    """The condition that says whether all reports are written."""
    conditions: list[dict[str, Any]] = status.get("conditions", [])
    return next((one for one in conditions if one["type"] == "Delivered"), dict[str, Any]())


@pytest.mark.parametrize("answer", [ETCD, GRPC, ENTITY])
async def test_report_that_is_too_large_for_the_server_is_made_smaller(
    answer: tuple[int, str], tmp_path: Path
) -> None:
    """The budget was fine by us: how much a server takes is its own affair."""
    scanner = Scanner.install(tmp_path / "programs")
    async with running_cluster(tmp_path, programs_first=scanner.directory) as cluster:
        assert cluster.sandbox.server is not None
        cluster.sandbox.server.faults.add(refusal(*answer, times=2))
        await cluster.create(bare_pod(0))
        async with running_operator(cluster, environ=ENVIRON):
            (report,) = await cluster.until(bool, VULNERABILITYREPORTS)
            status = await until_status(
                cluster, image(0), lambda status: delivered(status).get("status") == "True"
            )

    assert writes(cluster) == 3
    assert "findings=" in report["metadata"]["annotations"]["trivyop.dev/omitted"]
    assert report["report"]["summary"]["criticalCount"] == status["summary"]["criticalCount"]


@pytest.mark.parametrize(("answer", "tries"), [(ETCD, 4), (ENTITY, 4), (INVALID, 1)])
async def test_refused_report_is_told_of_and_not_sent_again(
    answer: tuple[int, str], tries: int, tmp_path: Path
) -> None:
    """However often the scan is looked at; the other reports are written. After an hour it may be fine."""
    clock = LeapingClock()
    scanner = Scanner.install(tmp_path / "programs")
    async with running_cluster(tmp_path, programs_first=scanner.directory) as cluster:
        server = cluster.sandbox.server
        assert server is not None
        server.faults.add(refusal(*answer))
        await cluster.create(bare_pod(0))
        async with running_operator(cluster, environ=ENVIRON, clock=clock) as operator:
            refused = await until_status(
                cluster, image(0), lambda status: delivered(status).get("status") == "False"
            )
            event = await until_event(cluster, "shop", "w0", "ReportRefused")
            for kind in (EXPOSEDSECRETREPORTS, SBOMREPORTS):
                await cluster.until(lambda found: reported(found) == {CONTAINER}, kind)
            for _ in range(20):  # of the resync, within half an hour
                before = looks(operator)
                clock.leap(90)
                await until_looked(operator, before)
            sent = writes(cluster)
            jobs = cluster.scan_jobs_created()

            server.faults.clear()
            clock.leap(1800)
            await cluster.until(lambda found: reported(found) == {CONTAINER}, VULNERABILITYREPORTS)
            healed = await until_status(
                cluster, image(0), lambda status: delivered(status).get("status") == "True"
            )

    assert sent == tries
    assert jobs == 1
    assert delivered(refused)["reason"] == "Refused"
    for told in (delivered(refused)["message"], event["message"]):
        assert "VulnerabilityReport shop/pod-w0-app" in told
        assert answer[1] in told
    assert (refused["phase"], healed["phase"]) == ("Undelivered", "Succeeded")
    assert event["type"] == "Warning"
    since = [datetime.fromisoformat(delivered(one)["lastTransitionTime"]) for one in (refused, healed)]
    assert since[1] > since[0]


async def test_refusal_of_a_report_made_from_another_is_told_too(tmp_path: Path) -> None:
    """A second workload runs an image that was scanned before, so nothing is scanned."""
    scanner = Scanner.install(tmp_path / "programs")
    async with running_cluster(tmp_path, programs_first=scanner.directory) as cluster:
        assert cluster.sandbox.server is not None
        await cluster.create(bare_pod(0))
        async with running_operator(cluster, environ=ENVIRON):
            await cluster.until_reported(CONTAINER)
            cluster.sandbox.server.faults.add(refusal(*INVALID))
            await cluster.create(pod("second", "shop", app=image(0)))
            await until_event(cluster, "shop", "second", "ReportRefused")
            status = await until_status(
                cluster, image(0), lambda status: delivered(status).get("status") == "False"
            )

    assert "VulnerabilityReport shop/pod-second-app" in delivered(status)["message"]
    assert scanner.scanned().total() == 1
