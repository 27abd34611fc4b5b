"""Permissions: the shipped ones are enough for everything, and a missing one costs only what needs it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from structlog.testing import capture_logs

from tests.e2e.harness import (
    NAMESPACE,
    Cluster,
    deployment,
    pod,
    reported,
    running_cluster,
    running_operator,
)
from tests.e2e.leaping import LeapingClock
from tests.e2e.looking import until_event, until_phase, until_readiness, until_status
from tests.e2e.programs import ROOT
from tests.e2e.test_adoption import is_ours, put_report, the_pod
from trivyop.app import Operator
from trivyop.kube.resources import (
    CLUSTERSBOMREPORTS,
    DEPLOYMENTS,
    EXPOSEDSECRETREPORTS,
    IMAGESCANS,
    JOBS,
    PODS,
    SBOMREPORTS,
    VULNERABILITYREPORTS,
    ObjectKey,
    Resource,
)

Json = dict[str, Any]
USER = f"system:serviceaccount:{NAMESPACE}:trivyop"
OWN_SECRETS_ONLY = {"OPERATOR_ACCESS_GLOBAL_SECRETS_SERVICE_ACCOUNTS": "false"}  # as shipped
BASE = ROOT / "deploy" / "kustomize" / "base"
RBAC = "rbac.authorization.k8s.io"
KINDS = {
    kind: Resource(group, "v1", f"{kind.lower()}s", kind, namespaced)
    for kind, group, namespaced in (
        ("ServiceAccount", "", True),
        ("Role", RBAC, True),
        ("RoleBinding", RBAC, True),
        ("ClusterRole", RBAC, False),
        ("ClusterRoleBinding", RBAC, False),
    )
}
SMALL_IMAGES = ("library/single:1", "library/cache:7", "library/clean:1")
DAY = 24 * 3600 + 60


def shipped(without: str = "", read_only: str = "") -> Iterator[Json]:
    """The accounts, roles and bindings of the base, as kustomize would put them into the namespace."""
    reading = {"resources": [read_only], "verbs": ["get", "list", "watch"]}
    for file in ("serviceaccounts.yaml", "rbac.yaml"):
        for body in yaml.safe_load_all((BASE / file).read_text()):
            if KINDS[body["kind"]].namespaced:
                body["metadata"]["namespace"] = NAMESPACE
            for subject in body.get("subjects", ()):
                subject["namespace"] = NAMESPACE
            for rule in body.get("rules", ()):
                left_out = (without, read_only)
                rule["resources"] = [name for name in rule["resources"] if name not in left_out]
            if read_only and body["kind"] == "ClusterRole":
                body["rules"].append({"apiGroups": [SBOMREPORTS.group], **reading})
            if "rules" in body:
                body["rules"] = [rule for rule in body["rules"] if rule["resources"]]
            yield body


async def grant(cluster: Cluster, without: str = "", read_only: str = "") -> None:
    for body in shipped(without, read_only):
        await cluster.api.apply(KINDS[body["kind"]], body)


@asynccontextmanager
async def running_as_shipped(cluster: Cluster, clock: LeapingClock | None = None) -> AsyncGenerator[Operator]:
    async with running_operator(cluster, user=USER, environ=OWN_SECRETS_ONLY, clock=clock) as operator:
        yield operator


def complaints(logs: list[Mapping[str, Any]], word: str) -> list[Mapping[str, Any]]:
    """Lines of the log that are at least warnings, and name something."""
    return [line for line in logs if line["log_level"] in ("warning", "error") and word in str(line)]


async def test_a_whole_life_needs_no_more_than_the_shipped_permissions(tmp_path: Path) -> None:
    """Scan, failure, adoption, refresh, request, removal, oblivion: nothing is answered "forbidden"."""
    clock = LeapingClock()
    async with running_cluster(tmp_path, clock=clock) as cluster:
        await grant(cluster)
        image, gone = cluster.image("shop/web:1.0"), cluster.image("shop/none:1")
        await cluster.create(
            deployment("web", "shop", web=image),
            pod("copy", "other", app=image),
            pod("bad", "shop", app=gone),
        )
        owner = await the_pod(cluster, ObjectKey("other", "copy"))
        await put_report(cluster, VULNERABILITYREPORTS, owner, "Pod", "app")
        await put_report(cluster, VULNERABILITYREPORTS, owner, "Pod", "former")
        async with running_as_shipped(cluster, clock):
            await until_event(cluster, "shop", "bad", "ImageScanFailed")
            await cluster.until_reported("shop/ReplicaSet/web/web", "other/Pod/copy/app")
            await cluster.until(lambda found: all(map(is_ours, found)), VULNERABILITYREPORTS, "other")
            clock.leap(DAY)
            await until_status(cluster, image, lambda status: status.get("source") == "Rematch")
            (report,) = await cluster.list(VULNERABILITYREPORTS, "other")
            await cluster.api.delete(VULNERABILITYREPORTS, ObjectKey("other", report["metadata"]["name"]))
            await until_status(
                cluster, image, lambda status: status["phase"] == "Succeeded" and status["attempts"] == 2
            )
            for key in (ObjectKey("other", "copy"), ObjectKey("shop", "bad")):
                await cluster.api.delete(PODS, key, grace_seconds=0)
            await cluster.api.delete(DEPLOYMENTS, ObjectKey("shop", "web"))
            await until_unused(cluster, image)
            clock.leap(6 * DAY)
            await cluster.until(lambda scans: not scans, IMAGESCANS)
            await cluster.until(lambda boms: not boms, CLUSTERSBOMREPORTS)
        requests = [one for one in cluster.requests if one.user == USER]

    assert len(requests) > 50
    assert [one for one in requests if one.status in (401, 403)] == []


async def until_unused(cluster: Cluster, image: str) -> None:
    await until_status(
        cluster,
        image,
        lambda status: any(
            (one["type"], one["status"]) == ("InUse", "False") for one in status["conditions"]
        ),
    )


@pytest.mark.parametrize(
    "missing", ["cronjobs", "replicationcontrollers", "nodes", "sbomreports", "clustersbomreports"]
)
async def test_missing_permission_is_named_and_costs_only_what_needs_it(missing: str, tmp_path: Path) -> None:
    """Readiness names it as well, and stays: no restart would bring the permission."""
    async with running_cluster(tmp_path) as cluster:
        await grant(cluster, without=missing)
        await cluster.create(
            deployment("web", "shop", web=cluster.image("library/single:1")),
            pod("bad", "shop", app=cluster.image("shop/none:1")),
        )
        with capture_logs() as logs:
            async with running_as_shipped(cluster) as operator:
                for kind in {VULNERABILITYREPORTS, EXPOSEDSECRETREPORTS, SBOMREPORTS}:
                    if kind.plural != missing:
                        await cluster.until(
                            lambda found: reported(found) == {"shop/ReplicaSet/web/web"}, kind
                        )
                await until_phase(cluster, cluster.image("shop/none:1"), "Failed")
                await cluster.until(lambda jobs: not jobs, JOBS, NAMESPACE)
                status, body = await until_readiness(operator, lambda answer: "\nready" in answer[1])
        jobs = cluster.scan_jobs_created()

    assert status == 200
    assert missing in body
    assert "forbidden" in body
    assert len(complaints(logs, missing)) == 1, complaints(logs, missing)
    assert not [line for line in logs if line["event"] in ("reconcile_gave_up", "reconcile_crashed")]
    assert jobs == 2


async def until_undelivered(cluster: Cluster) -> None:
    """Wait until every scan says that a report is missing, and no scan Job is left."""
    await cluster.until(
        lambda scans: {scan.get("status", {}).get("phase") for scan in scans} == {"Undelivered"}, IMAGESCANS
    )
    await cluster.until(lambda jobs: not jobs, JOBS, NAMESPACE)


async def test_kind_that_may_only_be_read_costs_no_further_scans(tmp_path: Path) -> None:
    """What the server refused is tried again with the next refresh, not with scans for its sake."""
    clock = LeapingClock()
    async with running_cluster(tmp_path) as cluster:
        await grant(cluster, read_only="sbomreports")
        images = {f"pod-{n}": cluster.image(name) for n, name in enumerate(SMALL_IMAGES)}
        await cluster.create(*(pod(name, "shop", app=image) for name, image in images.items()))
        with capture_logs() as logs:
            async with running_as_shipped(cluster, clock) as operator:
                for kind in (VULNERABILITYREPORTS, EXPOSEDSECRETREPORTS):
                    await cluster.until(lambda found: len(found) == len(images), kind)
                clock.leap(200)  # a denial is believed after minutes
                await until_undelivered(cluster)
                for later in (1, 2):
                    clock.leap(2 * 3600)
                    await cluster.create(pod(f"later-{later}", "shop", app=images["pod-0"]))
                    for kind in (VULNERABILITYREPORTS, EXPOSEDSECRETREPORTS):
                        await cluster.until(lambda found: len(found) == len(images) + later, kind)  # noqa: B023
                    await until_undelivered(cluster)
                _, body = await until_readiness(operator, lambda answer: answer[0] == 200)
        jobs = cluster.scan_jobs_created()

    assert jobs == len(images)
    assert len(complaints(logs, "sbomreports")) == 1, complaints(logs, "sbomreports")
    assert "no permission to write sbomreports" in body


async def test_permission_that_comes_later_is_made_use_of(tmp_path: Path) -> None:
    clock = LeapingClock()
    async with running_cluster(tmp_path) as cluster:
        await grant(cluster, without="sbomreports")
        await cluster.create(pod("app", "shop", app=cluster.image("library/single:1")))
        async with running_as_shipped(cluster, clock) as operator:
            await cluster.until(len, VULNERABILITYREPORTS)
            await until_undelivered(cluster)
            before = await until_readiness(operator, lambda answer: answer[0] == 200)
            await grant(cluster)
            clock.leap(120)  # what may not be read is asked for again about once a minute
            await cluster.until(len, SBOMREPORTS)
            await until_readiness(operator, lambda answer: answer[0] == 200 and "forbidden" not in answer[1])

    assert "sbomreports" in before[1]


async def test_without_pods_the_operator_is_not_ready_and_deletes_nothing(tmp_path: Path) -> None:
    """What runs cannot be told; a report must not go because its pods cannot be seen."""
    clock = LeapingClock()
    async with running_cluster(tmp_path) as cluster:
        await grant(cluster)
        await cluster.create(deployment("web", "shop", web=cluster.image("library/single:1")))
        async with running_as_shipped(cluster):
            await cluster.until_reported("shop/ReplicaSet/web/web")
            await cluster.until_settled()
        await grant(cluster, without="pods")
        with capture_logs() as logs:
            async with running_as_shipped(cluster, clock) as operator:
                waiting = await until_readiness(operator, lambda answer: "forbidden" in answer[1])
                await cluster.until_reported("shop/ReplicaSet/web/web")
                await grant(cluster)
                clock.leap(120)
                await until_readiness(operator, lambda answer: answer[0] == 200)
        jobs = cluster.scan_jobs_created()

    assert waiting[0] == 503
    assert "forbidden" in waiting[1]
    assert 1 <= len(complaints(logs, "pods")) <= 2, "all pods, and those of scan Jobs; once each at most"
    assert jobs == 1
