"""`trivyop status`: the program, pointed at clusters in all states."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from tests.e2e.harness import Cluster, pod, running_cluster, running_operator
from tests.e2e.programs import TRIVYOP, Done, Kubectl, run
from trivyop.kube.resources import IMAGESCANS, NAMESPACES, PODS, VULNERABILITYREPORTS
from trivyop.sandbox.cluster import Component, SandboxOptions, running_sandbox
from trivyop.sandbox.kubelet.faults import Fault, Kind


async def status(cluster: Cluster, directory: Path, *arguments: str, user: str = "admin") -> Done:
    """What `trivyop status` says of a cluster, as some user."""
    return await status_with(await cluster.kubeconfig(user), directory, *arguments)


async def status_with(credentials: dict[str, Any], directory: Path, *arguments: str) -> Done:
    """What it says with a kubeconfig."""
    kubeconfig = directory / "kubeconfig"
    kubeconfig.write_text(yaml.safe_dump(credentials))
    return await run(TRIVYOP, "status", "--kubeconfig", kubeconfig, *arguments)


async def create_pods(cluster: Cluster, namespace: str, **images: str) -> None:
    """A namespace with bare pods: name to image of the registry."""
    await cluster.api.create(
        NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
    )
    for name, image in images.items():
        await cluster.api.create(PODS, pod(name, namespace, app=cluster.image(image)))


def phases(scans: list[dict[str, Any]]) -> list[str]:
    return sorted(scan.get("status", {}).get("phase", "") for scan in scans)


async def test_what_nobody_scans_shows_as_such(tmp_path: Path) -> None:
    """No operator has to run for a look."""
    async with running_cluster(tmp_path) as cluster:
        await create_pods(cluster, "shop", web="shop/web:1.0")
        await cluster.until(lambda pods: pods[0]["status"]["phase"] == "Running", PODS, "shop")

        done = await status(cluster, tmp_path)

    assert (done.code, done.err) == (0, "")
    assert "NotScanned   -          -      -         -" in done.out
    assert done.out.endswith("\n1 container: 1 NotScanned\n")


async def test_scanned_and_failed_images_show_in_every_format(tmp_path: Path) -> None:
    async with running_cluster(tmp_path) as cluster:
        await create_pods(cluster, "shop", web="shop/web:1.0", lost="shop/lost:1")
        await create_pods(cluster, "data", other="shop/web:1.0")
        async with running_operator(cluster):
            await cluster.until(lambda scans: phases(scans) == ["Failed", "Succeeded"], IMAGESCANS)
            await cluster.until(lambda found: len(found) == 2, VULNERABILITYREPORTS)
        lost = cluster.image("shop/lost:1")

        table = await status(cluster, tmp_path)
        wide = await status(cluster, tmp_path, "-o", "wide")
        one = await status(cluster, tmp_path, "-n", "data")
        none = await status(cluster, tmp_path, "-n", "empty")
        document = await status(cluster, tmp_path, "-o", "json")

    assert all((done.code, done.err) == (0, "") for done in (table, wide, one, none, document))
    assert "Failed (not-found)" in table.out
    assert f"\n{lost}: not-found: " in table.out
    assert "(next try in " in table.out
    assert table.out.endswith("\n3 containers: 1 Failed, 2 Succeeded\n")
    assert wide.out.splitlines()[0].split()[-4:] == ["ATTEMPTS", "NEXT", "TRY", "IMAGESCAN"]
    assert one.out.endswith("\n1 container: 1 Succeeded\n")
    assert none.out == "No workloads found.\n"
    lines = {(line["namespace"], line["workload"]): line for line in json.loads(document.out)}
    assert list(lines) == [("data", "pod/other"), ("shop", "pod/lost"), ("shop", "pod/web")]
    assert lines["shop", "pod/lost"]["reason"] == "not-found"
    assert lines["shop", "pod/lost"]["critical"] is None
    assert lines["shop", "pod/web"]["critical"] > 0
    assert lines["shop", "pod/web"]["image_scan"] == lines["data", "pod/other"]["image_scan"]


async def test_scan_that_waits_for_a_slot_shows_as_queued(tmp_path: Path) -> None:
    async with running_cluster(tmp_path) as cluster:
        assert cluster.sandbox.kubelet is not None
        cluster.sandbox.kubelet.faults.rules.append(lambda _: Fault(Kind.HANG))
        await create_pods(cluster, "shop", web="shop/web:1.0", orders="shop/orders:2.3.1")
        async with running_operator(cluster, environ={"OPERATOR_CONCURRENT_SCAN_JOBS_LIMIT": "1"}):
            await cluster.until(lambda scans: phases(scans) == ["Queued", "Running"], IMAGESCANS)

            done = await status(cluster, tmp_path)

    assert done.out.endswith("\n2 containers: 1 Running, 1 Queued\n")


async def test_cluster_without_trivyop_is_said_to_be_one(tmp_path: Path) -> None:
    options = SandboxOptions(root_dir=tmp_path, components={Component.APISERVER})
    async with running_sandbox(options) as sandbox:
        done = await status_with(sandbox.kubeconfig(), tmp_path)

    assert (done.code, done.out) == (1, "")
    assert done.err == (
        "trivyop: the cluster has no ImageScans: trivyop is not installed; "
        "kubectl apply -k deploy/kustomize/base\n"
    )


async def test_cluster_that_is_away_is_one_line(tmp_path: Path) -> None:
    options = SandboxOptions(root_dir=tmp_path, components={Component.APISERVER})
    async with running_sandbox(options) as sandbox:
        pass

    done = await status_with(sandbox.kubeconfig(), tmp_path)

    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("trivyop: GET ")
    assert len(done.err.splitlines()) == 1


async def test_missing_permission_is_told_with_what_was_asked_for(tmp_path: Path) -> None:
    async with running_cluster(tmp_path) as cluster:
        done = await status(cluster, tmp_path, user="nobody")

    assert (done.code, done.out) == (1, "")
    (line,) = done.err.splitlines()
    assert line.startswith("trivyop: GET /apis/trivyop.dev/v1alpha1/namespaces/trivy-system/imagescans: 403")


async def test_who_may_view_may_look(tmp_path: Path) -> None:
    """The role `view` does not allow to read Secrets, and none is needed."""
    rule = {"apiGroups": ["", "apps", "batch", "trivyop.dev"], "verbs": ["get", "list"]}
    kinds = ["pods", "nodes", "configmaps", "jobs", "cronjobs", "deployments", "replicasets", "statefulsets"]
    kinds += ["daemonsets", "replicationcontrollers", "imagescans"]
    subject = {"kind": "User", "name": "viewer", "apiGroup": "rbac.authorization.k8s.io"}
    role = {"kind": "ClusterRole", "name": "look", "apiGroup": "rbac.authorization.k8s.io"}
    async with running_cluster(tmp_path) as cluster:
        kubectl = Kubectl(tmp_path, await cluster.kubeconfig())
        manifests = [
            {"kind": "ClusterRole", "rules": [{**rule, "resources": kinds}]},
            {"kind": "ClusterRoleBinding", "roleRef": role, "subjects": [subject]},
        ]
        for manifest in manifests:
            whole = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": "look"}, **manifest}
            (tmp_path / "manifest.yaml").write_text(yaml.safe_dump(whole))
            await kubectl("apply", "-f", tmp_path / "manifest.yaml")

        done = await status(cluster, tmp_path, user="viewer")

    assert (done.code, done.out, done.err) == (0, "No workloads found.\n", "")
