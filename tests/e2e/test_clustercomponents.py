"""The cluster's own components, end to end: what they are, and which vulnerabilities are known of them."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.e2e.harness import Cluster, pod, running_cluster, running_operator
from tests.e2e.leaping import LeapingClock
from tests.e2e.looking import sample
from trivyop.app import Operator
from trivyop.control.clock import Clock
from trivyop.kube.resources import (
    CLUSTERSBOMREPORTS,
    CLUSTERVULNERABILITYREPORTS,
    NODES,
    ObjectKey,
)
from trivyop.report.kbom import cluster_vulnerabilities_name, kbom_name
from trivyop.sandbox.registry.vulndb import build_newer_database
from trivyop.scan.kbom import ClusterParts

Json = dict[str, Any]
CONTAINERD, KUBELET, NEWS = "CVE-2026-50195", "CVE-2024-10220", "CVE-2026-53492"
NODE = ObjectKey("", "sandbox-node")
SOON = 60.0  # from one look at what changes to the next


@asynccontextmanager
async def operator_on(cluster: Cluster, clock: Clock | None = None) -> AsyncGenerator[Operator]:
    """The operator, without audits."""
    environ = {"OPERATOR_CLUSTER_COMPONENTS_ENABLED": "true"}
    async with running_operator(cluster, environ=environ, clock=clock) as operator:
        yield operator


async def until_found(cluster: Cluster, *ids: str) -> Json:
    """Wait until the ClusterVulnerabilityReport lists exactly these."""
    (report,) = await cluster.until(
        lambda found: len(found) == 1 and found_in(found[0]) == set(ids),
        CLUSTERVULNERABILITYREPORTS,
        what=f"listing {ids}",
    )
    return report


def found_in(report: Json) -> set[str]:
    return {one["vulnerabilityID"] for one in report["report"]["vulnerabilities"]}


async def bill_of_materials(cluster: Cluster) -> Json:
    reports = await cluster.list(CLUSTERSBOMREPORTS)
    label = "trivy-operator.aquasecurity.github.io/sbom-type"
    (report,) = [one for one in reports if one["metadata"]["labels"].get(label) == "kbom"]
    return report


def names_in(report: Json) -> list[str]:
    return sorted(one["name"] for one in report["report"]["components"]["components"])


async def test_cluster_has_its_bill_of_materials_and_its_vulnerabilities(tmp_path: Path) -> None:
    async with running_cluster(tmp_path) as cluster, operator_on(cluster) as operator:
        report = await until_found(cluster, CONTAINERD)
        bom = await bill_of_materials(cluster)
        version = ClusterParts((await cluster.api.version())["gitVersion"]).tag
        matches = sample(operator, "trivyop_cluster_component_matches_total", result="succeeded")

    assert bom["metadata"]["name"] == kbom_name(version)
    assert report["metadata"]["name"] == cluster_vulnerabilities_name(version)
    (owner,) = report["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["uid"]) == ("ClusterSbomReport", bom["metadata"]["uid"])
    assert report["report"]["artifact"] == {"repository": "kubernetes", "tag": version}
    assert report["report"]["summary"]["mediumCount"] == 1
    assert {"k8s.io/kubelet", "github.com/containerd/containerd/v2", NODE.name} <= set(names_in(bom))
    assert matches == 1


async def test_pod_of_the_control_plane_is_one_component_whatever_its_labels(tmp_path: Path) -> None:
    """A pod with both labels that count used to keep the whole report from being made."""
    clock = LeapingClock()
    async with running_cluster(tmp_path, clock=clock) as cluster:
        image = cluster.image("library/clean:1")
        scheduler = pod("kube-scheduler-n1", "kube-system", scheduler=image)
        labels = {"component": "kube-scheduler", "k8s-app": "kube-scheduler", "tier": "control-plane"}
        scheduler["metadata"]["labels"] = {**labels, "app.kubernetes.io/version": "v1.30.1"}
        other = pod("web", "shop", web=image)
        other["metadata"]["labels"] = {"component": "web"}
        async with operator_on(cluster, clock):
            await until_found(cluster, CONTAINERD)
            before = await bill_of_materials(cluster)
            clock.leap(SOON)
            await cluster.create(scheduler, other)
            await cluster.until(
                lambda found: any("k8s.io/kube-scheduler" in names_in(one) for one in found),
                CLUSTERSBOMREPORTS,
            )
            await cluster.until_settled()
            after = await bill_of_materials(cluster)

    new = names_in(after)
    for name in names_in(before):
        new.remove(name)
    assert new == [image.rpartition(":")[0], "k8s.io/kube-scheduler"]
    assert after["metadata"]["uid"] == before["metadata"]["uid"]


async def test_vulnerabilities_follow_the_components_and_the_database(tmp_path: Path) -> None:
    clock = LeapingClock()
    async with running_cluster(tmp_path, clock=clock) as cluster, operator_on(cluster, clock):
        registry = cluster.sandbox.registry
        assert registry is not None
        before = await until_found(cluster, CONTAINERD)
        clock.leap(SOON)
        info = {"kubeletVersion": "v1.30.1", "containerRuntimeVersion": "containerd://2.1.0"}
        await cluster.api.patch(NODES, NODE, {"status": {"nodeInfo": info}}, subresource="status")
        await until_found(cluster, CONTAINERD, KUBELET)
        registry.move_tag("trivy-db", "2", build_newer_database())
        clock.leap(12 * 3600)
        after = await cluster.until(
            lambda found: bool(found) and NEWS in found_in(found[0]), CLUSTERVULNERABILITYREPORTS
        )

    assert after[0]["metadata"]["uid"] == before["metadata"]["uid"]


async def test_deleted_reports_come_back(tmp_path: Path) -> None:
    async with running_cluster(tmp_path) as cluster, operator_on(cluster):
        report = await until_found(cluster, CONTAINERD)
        bom = await bill_of_materials(cluster)
        key = ObjectKey("", report["metadata"]["name"])
        await cluster.api.delete(CLUSTERVULNERABILITYREPORTS, key)
        again = await until_found(cluster, CONTAINERD)
        await cluster.api.delete(CLUSTERSBOMREPORTS, ObjectKey("", bom["metadata"]["name"]))
        await cluster.until(
            lambda found: bool(found) and found[0]["metadata"]["uid"] != bom["metadata"]["uid"],
            CLUSTERSBOMREPORTS,
        )
        await cluster.until(
            lambda found: bool(found) and found[0]["metadata"]["uid"] != again["metadata"]["uid"],
            CLUSTERVULNERABILITYREPORTS,
        )

    assert again["metadata"]["uid"] != report["metadata"]["uid"]


async def test_restart_writes_nothing_and_another_version_takes_the_place_of_the_first(
    tmp_path: Path,
) -> None:
    async with running_cluster(tmp_path) as cluster:
        async with operator_on(cluster):
            before = await until_found(cluster, CONTAINERD)
        bom = await bill_of_materials(cluster)
        bom["metadata"] = {**bom["metadata"], "name": kbom_name("1.2.3")}
        for field in ("uid", "resourceVersion", "managedFields", "creationTimestamp"):
            del bom["metadata"][field]
        await cluster.api.create(CLUSTERSBOMREPORTS, bom)
        async with operator_on(cluster) as operator:
            await cluster.until(lambda found: len(found) == 1, CLUSTERSBOMREPORTS)
            await cluster.until(
                lambda _: (
                    sample(operator, "trivyop_cluster_component_matches_total", result="succeeded") == 1
                ),
                CLUSTERVULNERABILITYREPORTS,
            )
            after = await until_found(cluster, CONTAINERD)

    assert after == before
