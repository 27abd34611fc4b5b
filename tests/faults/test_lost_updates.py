"""No lost update: whatever the API server does meanwhile, the reports come out as if it had done nothing.

The same workloads, with the same uids, are served once in peace and then again under each disturbance, by way
of a snapshot of the cluster from before. While the operator works, workloads come, change and go, and
somebody deletes a report.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.harness import Cluster, deployment, named, pod, running_cluster, running_operator
from tests.e2e.looking import until_phase
from tests.faults.scanner import WITHOUT_DATABASE, Scanner, image
from tests.kinds import REPORT_KINDS
from tests.patience import patience
from trivyop.errors import AlreadyExistsError, TransientError
from trivyop.kube.resources import (
    CLUSTERSBOMREPORTS,
    DEPLOYMENTS,
    EXPOSEDSECRETREPORTS,
    PODS,
    VULNERABILITYREPORTS,
    ObjectKey,
)
from trivyop.sandbox.apiserver.faults import Rule
from trivyop.sandbox.apiserver.server import ApiServer

pytestmark = pytest.mark.timeout(900)  # the first test waits for the runs that all of them look at

Json = dict[str, Any]
Disturbance = Callable[[ApiServer], Awaitable[None]]

SEED = 20260102
_PATIENCE_SECONDS = 120  # a server that restarts all the time gets little done on a busy machine
ENVIRON = {**WITHOUT_DATABASE, "OPERATOR_SCAN_JOB_RETRY_AFTER": "1s"}
_OPERATOR = "trivyop"  # its user agent; the sandbox's own parts are spared
_HASH = "trivyop.dev/content-hash"
_OF_ITS_TIME = {_HASH, "trivyop.dev/scanned-at"}

# what has to be reported on in the end, and how many images that is
REPORTED = {
    *(f"shop/ReplicaSet/d{n}/{container}" for n in range(3) for container in ("app", "side")),
    *(f"shop/Pod/p{n}/app" for n in range(8)),
    *(
        f"{pod}/{container}"
        for pod in ("shop/Pod/comes", "bank/Pod/private")
        for container in ("app", "side")
    ),
}
IMAGES = {*range(8), 21, 30, 31}


@dataclass(frozen=True)
class Report:
    """A report without what depends on when, and on which cluster, it was made."""

    says: Json
    owner: str
    content_hash: str


Reports = dict[str, Report]


def read(report: Json) -> Report:
    meta = report["metadata"]
    annotations = {key: value for key, value in meta["annotations"].items() if key not in _OF_ITS_TIME}
    body = {field: value for field, value in report["report"].items() if field != "updateTimestamp"}
    owners = meta.get("ownerReferences", [])
    says = {"labels": meta["labels"], "annotations": annotations, "report": body}
    return Report(says, owners[0]["uid"] if owners else "", meta["annotations"][_HASH])


async def reports(cluster: Cluster) -> Reports:
    """All there are; of bills of materials of images only those of images that are reported on."""
    found = {kind: await cluster.list(kind) for kind in (*REPORT_KINDS, CLUSTERSBOMREPORTS)}
    digests = {digest_of(one) for kind in REPORT_KINDS for one in found[kind]}
    return {
        f"{kind.kind} {one['metadata'].get('namespace', '')}/{one['metadata']['name']}": read(one)
        for kind in found
        for one in found[kind]
        if digest_of(one) in digests
    }


def digest_of(report: Json) -> str:
    return report["metadata"]["annotations"]["trivyop.dev/image-digest"]


def differences(found: Reports, wanted: Reports) -> list[str]:
    """What is not as it was in peace; content hashes are compared where the owner is the very same."""
    told = [f"lost: {name}" for name in wanted.keys() - found.keys()]
    told += [f"too many: {name}" for name in found.keys() - wanted.keys()]
    for name in wanted.keys() & found.keys():
        if found[name].says != wanted[name].says:
            told.append(f"different: {name}")
        elif found[name].owner == wanted[name].owner and found[name] != wanted[name]:
            told.append(f"another hash: {name}")
    return sorted(told)


async def start_with(cluster: Cluster) -> None:
    await cluster.create(
        *(deployment(f"d{n}", "shop", replicas=2, app=image(n), side=image(n + 1)) for n in range(3)),
        *(pod(f"p{n}", "shop", app=image(n)) for n in range(8)),
        pod("goes", "shop", app=image(20)),
        pod("private", "bank", app=image(21), side=image(0)),
    )
    await cluster.until(
        lambda pods: len(pods) == 16 and all(one["status"]["phase"] == "Running" for one in pods), PODS
    )


async def change(cluster: Cluster) -> None:
    """What users do meanwhile: a workload comes, one changes, one goes, and a report is deleted."""
    await surely(lambda: cluster.create(pod("comes", "shop", app=image(30), side=image(2))))
    await surely(lambda: cluster.api.delete(PODS, ObjectKey("shop", "goes"), grace_seconds=0))
    containers = [{"name": "app", "image": image(31)}, {"name": "side", "image": image(1)}]
    template = {"spec": {"template": {"spec": {"containers": containers}}}}
    await surely(lambda: cluster.api.patch(DEPLOYMENTS, ObjectKey("shop", "d0"), template))
    private = ObjectKey("bank", "pod-private-app")
    await surely(lambda: cluster.api.delete(VULNERABILITYREPORTS, private))


async def surely(do: Callable[[], Awaitable[object]]) -> None:
    """Do it, also if the server is away for the moment."""
    while True:
        try:
            await do()
        except AlreadyExistsError:
            return  # an earlier try came through
        except TransientError:
            await asyncio.sleep(0.1)
        else:
            return


async def until_some(cluster: Cluster) -> None:
    """Until the work is well on its way, and the report is there that is to be deleted."""
    await cluster.until(
        lambda found: len(found) >= 5 and any(one["metadata"]["name"] == "pod-private-app" for one in found),
        VULNERABILITYREPORTS,
    )


# disturbances: each goes on until it is cancelled


async def at_work(server: ApiServer, writes: int, agent: str = "") -> None:
    """Until so many more writes came through: the work goes on, so a disturbance ends when it is done."""
    await server.until_answered(
        writes, lambda one: one.method != "GET" and one.status < 400 and agent in one.agent
    )


async def peace(_server: ApiServer) -> None:
    return


async def cut_watches(server: ApiServer) -> None:
    while True:
        await at_work(server, 15, _OPERATOR)
        server.drop_watches(_OPERATOR)


async def forget(server: ApiServer) -> None:
    """Every watch that is resumed finds its version expired, and lists in pages lose their thread."""
    while True:
        await at_work(server, 15, _OPERATOR)
        server.faults.forget_history()
        server.drop_watches(_OPERATOR)


async def refuse(server: ApiServer) -> None:
    for code in (429, 500, 503, 504):
        server.faults.add(Rule(code=code, probability=0.02, user_agent=_OPERATOR))
    while True:
        await at_work(server, 15, _OPERATOR)
        server.drop_watches(_OPERATOR)


async def restart(server: ApiServer) -> None:
    while True:
        await at_work(server, 100)  # the whole sandbox comes back, not only the operator
        again = asyncio.ensure_future(server.restart())
        try:
            await asyncio.shield(again)
        finally:
            await again  # half a restart would leave no server


DISTURBANCES: dict[str, Disturbance] = {
    "watches cut again and again": cut_watches,
    "history forgotten again and again": forget,
    "429 and 5xx for every twelfth request": refuse,
    "restarts": restart,
}
RESTORED = "restored from an earlier snapshot"


@asynccontextmanager
async def disturbed(disturb: Disturbance, server: ApiServer) -> AsyncGenerator[None]:
    task = asyncio.ensure_future(disturb(server))
    try:
        yield
        assert not task.done() or task.exception() is None
    finally:
        task.cancel()
        await asyncio.wait([task])
        server.faults.clear()


async def until_all_there(cluster: Cluster, wanted: Reports | None) -> Reports:
    """Wait until the reports are as wanted; as they have to be, where nothing is wanted yet."""
    if wanted is None:
        await cluster.until_reported(*REPORTED, seconds=_PATIENCE_SECONDS)
    else:
        told: list[str] = []
        try:
            async with patience(_PATIENCE_SECONDS):
                while True:
                    with suppress(TransientError):
                        if not (told := differences(await reports(cluster), wanted)):
                            break
                    await asyncio.sleep(0.2)
        except TimeoutError:
            raise AssertionError(f"{told}") from None
    await cluster.until_settled(seconds=_PATIENCE_SECONDS)
    found: Reports = {}

    async def note() -> None:
        nonlocal found
        found = await reports(cluster)

    await surely(note)
    return found


async def serve(
    cluster: Cluster,
    server: ApiServer,
    disturb: Disturbance,
    wanted: Reports | None,
    *,
    restored: bool = False,
) -> Reports:
    """Let the operator work under a disturbance until all is well; answers with the reports."""
    async with disturbed(disturb, server), running_operator(cluster, environ=ENVIRON):
        await until_some(cluster)
        earlier = server.snapshot()
        await change(cluster)
        found = await until_all_there(cluster, wanted)
        if restored:
            server.restore(earlier)
            await change(cluster)  # it was undone with all the rest
            found = await until_all_there(cluster, wanted)
    assert not differences(await reports(cluster), found), "what a stop leaves behind"
    return found


@dataclass(frozen=True)
class Outcomes:
    """The reports in peace, and what differed from them, or why it did not come to that."""

    wanted: Reports
    told: dict[str, list[str]]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    return asyncio.run(_outcomes(tmp_path_factory.mktemp("updates")))


async def _outcomes(directory: Path) -> Outcomes:
    scanner = Scanner.install(directory / "programs")
    async with running_cluster(directory, programs_first=scanner.directory) as cluster:
        server = cluster.sandbox.server
        assert server is not None
        server.faults.reseed(SEED)
        await start_with(cluster)
        before = server.snapshot()
        wanted = await serve(cluster, server, peace, None)
        told: dict[str, list[str]] = {}
        for name, disturb in {**DISTURBANCES, RESTORED: peace}.items():
            server.restore(before)
            try:
                found = await serve(cluster, server, disturb, wanted, restored=name == RESTORED)
                told[name] = differences(found, wanted)
            except* AssertionError as failed:
                told[name] = [str(error) for error in failed.exceptions]
        return Outcomes(wanted, told)


@pytest.mark.parametrize("name", [*DISTURBANCES, RESTORED])
def test_reports_are_those_of_an_undisturbed_run(name: str, outcomes: Outcomes) -> None:
    assert outcomes.told[name] == []


def test_undisturbed_run_reported_on_everything(outcomes: Outcomes) -> None:
    assert len(outcomes.wanted) == 3 * len(REPORTED) + len(IMAGES)


async def test_report_told_of_when_its_workload_is_past_it_goes(tmp_path: Path) -> None:
    """The operator wrote it, but was not told of it yet when it looked for what the old revision leaves."""
    scanner = Scanner.install(tmp_path / "programs")
    scanner.slow_down(2)
    async with running_cluster(tmp_path, programs_first=scanner.directory) as cluster:
        server = cluster.sandbox.server
        assert server is not None
        await cluster.create(deployment("web", "shop", app=image(0)))
        async with running_operator(cluster, environ=WITHOUT_DATABASE):
            await until_phase(cluster, image(0), "Running")
            blind = [
                server.faults.add(
                    Rule(code=503, user_agent=_OPERATOR, verb=verb, resource="exposedsecretreports")
                )
                for verb in ("list", "watch")
            ]
            server.drop_watches(_OPERATOR)
            (old,) = await cluster.until(bool, EXPOSEDSECRETREPORTS)
            containers = [{"name": "app", "image": image(1)}]
            template = {"spec": {"template": {"spec": {"containers": containers}}}}
            await cluster.api.patch(DEPLOYMENTS, ObjectKey("shop", "web"), template)
            await cluster.until(lambda found: not named(found) & named([old]), VULNERABILITYREPORTS)

            for rule in blind:
                server.faults.rules.remove(rule)
            await cluster.until(lambda found: not named(found) & named([old]), EXPOSEDSECRETREPORTS)
            await cluster.until_reported("shop/ReplicaSet/web/app")
