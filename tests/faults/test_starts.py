"""API servers that start as real ones do: for a second they are not ready, deny everything, and are busy.

Nothing may come of that: no failed scan, no report lost or written twice, no lease lost, no Job left over,
and no Event on a user's workload.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.harness import IMAGES_ONLY, NAMESPACE, Cluster, running_cluster, running_operator
from tests.e2e.test_permissions import KINDS, OWN_SECRETS_ONLY, USER, grant
from tests.faults.replicas import ELECTED, LEASE, holder, replica
from tests.faults.scanner import WITHOUT_DATABASE, Scanner, bare_pod, use_no_database
from tests.faults.test_leaders import run_pods
from tests.kinds import REPORT_KINDS
from trivyop.kube.objects import Object
from trivyop.kube.resources import EVENTS, IMAGESCANS, JOBS, LEASES, PODS, ObjectKey
from trivyop.sandbox.apiserver.server import LoggedRequest
from trivyop.sandbox.apiserver.starting import Starting

SCANS = 40
STARTS = 20
_ANSWERS = 10  # between two starts: fewer than an operator has watches, which it opens anew in any case
_DENIALS = 3  # enough for a delivery to be stopped half-way
REPORTS = "/apis/aquasecurity.github.io/"
IMAGES = {**WITHOUT_DATABASE, **IMAGES_ONLY}


async def until_reported(cluster: Cluster, count: int, *, seconds: float) -> None:
    for kind in REPORT_KINDS:
        await cluster.until(lambda found: len(found) == count, kind, seconds=seconds, what=f"{count} reports")


async def events_on_workloads(cluster: Cluster) -> list[dict[str, Any]]:
    """What the operator told people about their pods."""
    return [
        event
        for event in await cluster.list(EVENTS, "shop")
        if event.get("source", {}).get("component") == "trivyop"
    ]


def answered_to_operator(request: LoggedRequest) -> bool:
    return request.user.startswith("operator-") and request.status < 400


def renewal(request: LoggedRequest) -> bool:
    return (
        request.method == "PUT" and request.path.endswith(f"/leases/{LEASE.name}") and request.status == 200
    )


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("replicas", [1, 2])
async def test_twenty_starts_of_the_api_server_under_load_leave_no_trace(
    replicas: int, tmp_path: Path
) -> None:
    scanner = Scanner.install(tmp_path / "programs")
    starting = Starting(users="operator-")
    async with running_cluster(tmp_path, programs_first=scanner.directory, starting=starting) as cluster:
        server = cluster.sandbox.server
        assert server is not None
        await use_no_database(cluster)
        await run_pods(cluster, SCANS)
        async with AsyncExitStack() as stack:
            environ = {**IMAGES_ONLY, **(ELECTED if replicas > 1 else WITHOUT_DATABASE)}
            running = [
                await stack.enter_async_context(replica(cluster, f"operator-{n}", environ=environ))
                for n in range(replicas)
            ]
            await running[0].until_told("operator_running" if replicas == 1 else "operator_starting")
            leader = ""
            while replicas > 1 and not (leader := await holder(cluster)):  # noqa: ASYNC110 - as the harness waits
                await asyncio.sleep(0.1)
            for n in range(STARTS):
                await server.restart()
                # From the start of a scan to its delivery, at another point each time. A Lease takes a server
                # that answers between two starts: nobody keeps one without.
                await server.until_answered(_ANSWERS + n % 5, answered_to_operator)
                if replicas > 1:
                    await server.until_answered(1, renewal)
                if n % 5 == 4:  # one whose node says nothing of it for long is scanned by reference first
                    await run_pods(cluster, 1, first=SCANS + n // 5)
            count = SCANS + STARTS // 5
            await until_reported(cluster, count, seconds=120)
            await cluster.until_settled(seconds=60)
            lease = await cluster.api.get_dict(LEASES, LEASE)
            ended = [one.process.returncode for one in running]

        scans = await cluster.list(IMAGESCANS, NAMESPACE)
        jobs = (await cluster.api.list(JOBS, type=Object, namespace=NAMESPACE)).items
        created = cluster.scan_jobs_created()
        events = await events_on_workloads(cluster)
        written = Counter(
            one.path
            for one in server.requests
            if one.method != "GET" and one.path.startswith(REPORTS) and one.status in (200, 201)
        )

    assert set(starting.answers) == {403, 429, 503}, "the server did start like a real one"
    assert ended == [None] * replicas
    assert {scan["status"]["phase"] for scan in scans} == {"Succeeded"}
    again = [scan for scan in scans if scan["status"]["attempts"] != 1]
    assert again == [], [one for one in server.requests if again[0]["metadata"]["name"][7:30] in one.path]
    assert {scan["status"].get("consecutiveFailures", 0) for scan in scans} == {0}
    # A Job may have had two pods: the answer to the Job controller's own request was lost. That is not ours.
    assert created == count
    assert len(scans) == len(scanner.scanned()) == count
    assert jobs == []
    assert events == []
    assert max(written.values()) == 1, written.most_common(3)
    if replicas > 1:
        assert lease is not None
        assert lease["spec"]["holderIdentity"] == leader
        assert lease["spec"]["leaseTransitions"] == 0


@pytest.mark.timeout(200)
async def test_binding_that_is_away_for_a_second_loses_nothing(tmp_path: Path) -> None:
    """While fifty scans are delivered; somebody replaces the operator's roles."""
    scanner = Scanner.install(tmp_path / "programs")
    binding = ObjectKey("", "trivyop")
    async with running_cluster(tmp_path, programs_first=scanner.directory) as cluster:
        await use_no_database(cluster)
        await grant(cluster)
        kind = KINDS["ClusterRoleBinding"]
        saved = await cluster.api.get_dict(kind, binding)
        assert saved is not None
        del saved["metadata"]["resourceVersion"], saved["metadata"]["uid"]
        await cluster.create(*(bare_pod(n) for n in range(50)))
        await cluster.until(lambda pods: len(pods) == 50, PODS)
        async with running_operator(cluster, user=USER, environ={**IMAGES, **OWN_SECRETS_ONLY}):
            await cluster.until(lambda found: len(found) >= 5, REPORT_KINDS[0])
            await cluster.api.delete(kind, binding)
            await cluster.server.until_answered(_DENIALS, lambda one: one.user == USER and one.status == 403)
            half = len(await cluster.list(REPORT_KINDS[0]))
            early = await cluster.list(IMAGESCANS, NAMESPACE)
            await cluster.api.create(kind, saved)

            await until_reported(cluster, 50, seconds=60)
            await cluster.until_settled()
        scans = await cluster.list(IMAGESCANS, NAMESPACE)
        events = await events_on_workloads(cluster)

    assert half < 50
    succeeded = sum(scan.get("status", {}).get("phase") == "Succeeded" for scan in early)
    assert succeeded <= half, "none says that it succeeded whose report is missing"
    assert {(scan["status"]["phase"], scan["status"]["attempts"]) for scan in scans} == {("Succeeded", 1)}
    assert set(scanner.scanned().values()) == {1}
    assert events == []
