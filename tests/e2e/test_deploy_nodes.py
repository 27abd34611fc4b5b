"""The manifests for reading nodes: what the shipped operator does with them, within their permissions."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.pod_security import violations
from tests.e2e.programs import Kubectl
from tests.e2e.test_deploy import (
    NAMESPACE,
    OURS,
    build,
    for_this_machine,
    free_ports,
    pick,
    requests_of_operator,
    running_cluster,
    settings_of,
    write_overlay,
)
from trivyop.audit.nodes.info import unpack
from trivyop.audit.nodes.job import build_collector_job
from trivyop.audit.nodes.nodescan import NODESCANS
from trivyop.kube.objects import ObjectMeta
from trivyop.kube.resources import (
    CLUSTERINFRAASSESSMENTREPORTS,
    CLUSTERVULNERABILITYREPORTS,
    JOBS,
)
from trivyop.sandbox.kubelet.pods import labelled
from trivyop.workload.nodes import ClusterNode

COLLECTORS = "trivy-system-nodes"
COLLECTOR = f"system:serviceaccount:{COLLECTORS}:trivyop-node-collector"


async def test_component_reads_nodes_in_a_namespace_of_its_own_within_its_permissions(tmp_path: Path) -> None:
    metrics, probes = free_ports(2)
    async with running_cluster(tmp_path, labelled(OURS)) as cluster:
        kubectl = Kubectl(tmp_path, await cluster.kubeconfig())
        patches = for_this_machine(cluster.registry, metrics, probes)
        overlay = write_overlay(tmp_path / "overlay", "node-collector", patches=patches)
        await kubectl("apply", "-k", overlay)
        await kubectl("-n", NAMESPACE, "rollout", "status", "deployment/trivyop", "--timeout=60s")
        await cluster.until(lambda found: len(found) == 1, CLUSTERINFRAASSESSMENTREPORTS, seconds=120)
        await cluster.until(lambda found: len(found) == 1, CLUSTERVULNERABILITYREPORTS)
        await cluster.until(lambda jobs: not jobs, JOBS, COLLECTORS)
        (scan,) = await cluster.list(NODESCANS)
        requests = requests_of_operator(cluster)
        asked = [one for one in cluster.requests if one.user == COLLECTOR]

    made = [one.path for one in requests if one.method == "POST" and one.path.endswith("/jobs")]
    assert made == [f"/apis/batch/v1/namespaces/{COLLECTORS}/jobs"]
    assert [request for request in requests if request.status in (401, 403)] == []
    assert {(one.path, one.status) for one in asked} == {("/api/v1/nodes/sandbox-node/proxy/configz", 200)}
    read = unpack(scan["status"]["nodeInfo"])
    assert read is not None
    assert read.info["kubeletAuthorizationModeArgumentSet"].values == ("Webhook",)


async def test_base_reads_no_node_and_says_so(tmp_path: Path) -> None:
    """Because that takes a pod that a restricted namespace does not let run."""
    metrics, probes = free_ports(2)
    async with running_cluster(tmp_path, labelled(OURS)) as cluster:
        kubectl = Kubectl(tmp_path, await cluster.kubeconfig())
        patches = for_this_machine(cluster.registry, metrics, probes)
        await kubectl("apply", "-k", write_overlay(tmp_path / "overlay", patches=patches))
        (scan,) = await cluster.until(
            lambda found: [one.get("status", {}).get("phase") for one in found] == ["Skipped"],
            NODESCANS,
            seconds=120,
        )

    assert scan["status"]["reason"] == "Off"


async def test_collectors_run_where_pod_security_lets_them(tmp_path: Path) -> None:
    objects = await build(write_overlay(tmp_path / "overlay", "node-collector"))
    node = ClusterNode(metadata=ObjectMeta(name="n1"))
    job = build_collector_job(node, settings_of(objects), platform="k8s")
    namespace = pick(objects, "Namespace", job["metadata"]["namespace"])

    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "privileged"
    assert violations(job["spec"]["template"]["spec"]) != []
    pick(objects, "ServiceAccount", job["spec"]["template"]["spec"]["serviceAccountName"])
