"""Taking over from the Go operator: its reports stay until ours are there, and become ours in place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.e2e.harness import Cluster, deployment, pod, running_cluster, running_operator
from tests.e2e.leaping import LeapingClock
from tests.e2e.looking import reports_deleted, until_phase
from tests.parity.golden import reports
from trivyop.kube.objects import Object
from trivyop.kube.resources import (
    EXPOSEDSECRETREPORTS,
    PODS,
    REPLICASETS,
    SBOMREPORTS,
    VULNERABILITYREPORTS,
    ObjectKey,
    Resource,
)
from trivyop.report.content import content_hash
from trivyop.sandbox.registry.faults import Fault

Json = dict[str, Any]
KINDS = (VULNERABILITYREPORTS, EXPOSEDSECRETREPORTS, SBOMREPORTS)
RECORDED = "shop/replicaset-web-7b8cd85855-web"
CONTENT_HASH = "trivyop.dev/content-hash"


async def put_report(
    cluster: Cluster, kind: Resource, owner: Object, owner_kind: str, container: str
) -> Json:
    """Put the Go operator's report of a container of some workload into the cluster, as it wrote it."""
    recorded = reports(kind.plural)[RECORDED]
    name, namespace = owner.metadata.name, owner.metadata.namespace
    labels = {
        **recorded["metadata"]["labels"],
        "trivy-operator.container.name": container,
        "trivy-operator.resource.kind": owner_kind,
        "trivy-operator.resource.name": name,
        "trivy-operator.resource.namespace": namespace,
    }
    reference = {
        **recorded["metadata"]["ownerReferences"][0],
        "apiVersion": "v1" if owner_kind == "Pod" else "apps/v1",
        "kind": owner_kind,
        "name": name,
        "uid": owner.metadata.uid,
    }
    body = {
        **recorded,
        "metadata": {
            "name": f"{owner_kind.lower()}-{name}-{container}",
            "namespace": namespace,
            "labels": {**labels, "left": "behind"},
            "annotations": {**recorded["metadata"].get("annotations", {}), "left": "behind"},
            "ownerReferences": [reference],
        },
    }
    return await cluster.api.create(kind, body)


async def the_pod(cluster: Cluster, key: ObjectKey) -> Object:
    found = await cluster.api.get(PODS, key)
    assert found is not None
    return found


async def test_reports_of_the_go_operator_become_ours_in_place(tmp_path: Path) -> None:
    """Same names, same uids, nothing of the old ones left, and a label that a user put on stays."""
    async with running_cluster(tmp_path) as cluster:
        await cluster.create(deployment("web", "shop", web=cluster.image("shop/web:1.0")))
        (replica_set,) = await cluster.until(lambda found: len(found) == 1, REPLICASETS, "shop")
        meta = replica_set["metadata"]
        owner = await cluster.api.get(REPLICASETS, ObjectKey("shop", meta["name"]))
        assert owner is not None
        old = [await put_report(cluster, kind, owner, "ReplicaSet", "web") for kind in KINDS]
        label = {"metadata": {"labels": {"mine": "yes"}}}
        key = ObjectKey("shop", old[0]["metadata"]["name"])
        await cluster.api.patch(VULNERABILITYREPORTS, key, label, field_manager="kubectl-label")

        async with running_operator(cluster):
            for kind in KINDS:
                await cluster.until(lambda found: all(map(is_ours, found)), kind, what="adopted")
            await cluster.until_settled()
            new = [one for kind in KINDS for one in await cluster.list(kind)]
        deleted = reports_deleted(cluster)

    assert [identity(one) for one in new] == [identity(one) for one in old]
    assert new[0]["metadata"]["labels"].pop("mine") == "yes"
    for report in new:
        assert content_hash(report) == report["metadata"]["annotations"][CONTENT_HASH], "something is left"
        managers = {(one["manager"], one["operation"]) for one in report["metadata"]["managedFields"]}
        assert managers - {("kubectl-label", "Update")} == {("trivyop", "Apply")}
    assert deleted == []


def is_ours(report: Json) -> bool:
    return CONTENT_HASH in report["metadata"].get("annotations", {})


def identity(report: Json) -> tuple[str, str, str]:
    meta = report["metadata"]
    return (report["kind"], meta["name"], meta["uid"])


async def test_reports_of_the_go_operator_stay_until_the_scan_is_done(tmp_path: Path) -> None:
    """Also if it takes long, because the first try fails."""
    clock = LeapingClock()
    async with running_cluster(tmp_path, clock=clock) as cluster:
        registry = cluster.sandbox.registry
        assert registry is not None
        image = cluster.image("shop/web:1.0")
        registry.faults.set("shop/web", Fault.DENIED)
        await cluster.create(pod("web", "shop", web=image))
        owner = await the_pod(cluster, ObjectKey("shop", "web"))
        old = [await put_report(cluster, kind, owner, "Pod", "web") for kind in KINDS]
        async with running_operator(cluster, clock=clock):
            failed = await until_phase(cluster, image, "Failed")
            meanwhile = [one for kind in KINDS for one in await cluster.list(kind)]
            registry.faults.clear("shop/web")
            clock.leap_to(failed["nextRetry"])
            for kind in KINDS:
                await cluster.until(lambda found: all(map(is_ours, found)), kind, what="adopted")
            new = [one for kind in KINDS for one in await cluster.list(kind)]

    assert [one["report"] for one in meanwhile] == [one["report"] for one in old]
    assert [one["metadata"]["resourceVersion"] for one in meanwhile] == [
        one["metadata"]["resourceVersion"] for one in old
    ]
    assert [identity(one) for one in new] == [identity(one) for one in old]


async def test_left_over_reports_of_containers_that_are_gone_are_removed(tmp_path: Path) -> None:
    async with running_cluster(tmp_path) as cluster:
        await cluster.create(pod("app", "shop", app=cluster.image("library/single:1")))
        owner = await the_pod(cluster, ObjectKey("shop", "app"))
        for kind in KINDS:
            await put_report(cluster, kind, owner, "Pod", "app")
            await put_report(cluster, kind, owner, "Pod", "former")
        async with running_operator(cluster):
            await cluster.until_reported("shop/Pod/app/app")
            for kind in KINDS:
                await cluster.until(lambda found: all(map(is_ours, found)), kind, what="adopted")
        deleted = reports_deleted(cluster)

    assert sorted(path.rpartition("/")[2] for path in deleted) == ["pod-app-former"] * 3
