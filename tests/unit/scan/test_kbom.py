"""The cluster's bill of materials: names that vulnerabilities are known by, and each thing once."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivyop.scan.kbom import ClusterParts, Component, Image, build_kbom, component_of, distinct, matched_of
from trivyop.workload.nodes import ClusterNode
from trivyop.workload.objects import Pod

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
DIGEST = f"sha256:{'ab' * 32}"


def pod(
    name: str = "kube-apiserver-n1",
    namespace: str = "kube-system",
    image: str = "registry.k8s.io/kube-apiserver:v1.31.2",
    image_id: str = f"registry.k8s.io/kube-apiserver@{DIGEST}",
    **labels: str,
) -> Pod:
    written = {key.replace("__", "/").replace("_", "-"): value for key, value in labels.items()}
    document = {
        "metadata": {"name": name, "namespace": namespace, "labels": written},
        "spec": {"containers": [{"name": "main", "image": image}]},
        "status": {"containerStatuses": [{"name": "main", "imageID": image_id}]},
    }
    return msgspec.convert(document, Pod)


def node(name: str = "n1", **info: str) -> ClusterNode:
    system = {
        "kubeletVersion": "v1.31.2",
        "containerRuntimeVersion": "containerd://1.7.20",
        "osImage": "Ubuntu 22.04.3 LTS",
        "operatingSystem": "linux",
        "architecture": "amd64",
    }
    document = {"metadata": {"name": name}, "status": {"nodeInfo": {**system, **info}}}
    return msgspec.convert(document, ClusterNode)


def bom_of(
    *nodes: ClusterNode, components: tuple[Component, ...] = (), version: str = "v1.31.2"
) -> dict[str, Any]:
    parts = ClusterParts(version, components, nodes)
    return build_kbom(parts, scanner_version="0.76.0", now=NOON)


def purls(bom: dict[str, Any]) -> set[str]:
    return {one["purl"] for one in bom["components"] if "purl" in one}


@pytest.mark.parametrize(
    ("labels", "name", "kind"),
    [
        ({"component": "kube-apiserver"}, "k8s.io/apiserver", "controlPlane"),
        ({"component": "kube-controller-manager"}, "k8s.io/controller-manager", "controlPlane"),
        ({"component": "kube-scheduler"}, "k8s.io/kube-scheduler", "controlPlane"),
        ({"component": "etcd"}, "go.etcd.io/etcd/v3", "controlPlane"),
        ({"component": "cloud-controller-manager"}, "k8s.io/cloud-provider", "controlPlane"),
        ({"k8s_app": "kube-proxy"}, "k8s.io/kube-proxy", "node"),
        ({"k8s_app": "kube-dns"}, "kube-dns", "kube-dns"),
        ({"component": "x", "app.kubernetes.io__name": "ingress-nginx"}, "k8s.io/ingress-nginx", "x"),
        (
            {"component": "x", "app.kubernetes.io__name": "secrets-store-csi-driver"},
            "sigs.k8s.io/secrets-store-csi-driver",
            "x",
        ),
    ],
)
def test_component_has_the_name_its_vulnerabilities_are_known_by(
    labels: dict[str, str], name: str, kind: str
) -> None:
    found = component_of(pod(**labels))

    assert found is not None
    assert (found.name, found.type) == (name, kind)


@pytest.mark.parametrize("labels", [{}, {"app": "kube-apiserver"}, {"component": ""}])
def test_pod_without_the_labels_is_no_component(labels: dict[str, str]) -> None:
    assert component_of(pod(**labels)) is None


def test_users_pods_that_have_such_labels_are_no_components() -> None:
    """Unless they are something that vulnerabilities of Kubernetes are published for."""
    assert component_of(pod("web", "shop", component="web")) is None
    assert component_of(pod("ingress", "ingress", component="x", app_kubernetes_io__name="y")) is None
    labels = {"component": "controller", "app.kubernetes.io__name": "ingress-nginx"}
    assert component_of(pod("ingress", "ingress", **labels)) is not None


def test_openshifts_control_plane_is_known_by_its_namespaces() -> None:
    found = component_of(pod(namespace="openshift-kube-scheduler", scheduler="true"))

    assert found is not None
    assert (found.name, found.type) == ("k8s.io/kube-scheduler", "controlPlane")


@pytest.mark.parametrize(
    ("image", "labels", "version"),
    [
        ("registry.k8s.io/kube-apiserver:v1.31.2", {}, "1.31.2"),
        ("rancher/kube-apiserver:v1.31.2-k3s1", {}, "1.31.2"),
        ("rancher/kube-apiserver:v1.31.2-rke2r1-build2024", {}, "1.31.2"),
        ("registry.local/hardened:v1.31.2", {}, ""),
        ("registry.local/hardened:9", {"app.kubernetes.io__version": "v1.31.2"}, "1.31.2"),
    ],
)
def test_version_is_that_of_the_image_that_is_named_like_the_component(
    image: str, labels: dict[str, str], version: str
) -> None:
    found = component_of(pod(image=image, component="kube-apiserver", **labels))

    assert found is not None
    assert found.version == version


def test_image_that_no_registry_knows_is_left_out() -> None:
    found = component_of(pod(image_id=DIGEST, component="kube-apiserver"))

    assert found is not None
    assert found.images == ()


def test_pod_with_both_labels_counts_once() -> None:
    found = component_of(pod(component="kube-apiserver", k8s_app="kube-apiserver"))

    assert found == component_of(pod(component="kube-apiserver"))


def test_same_part_in_many_pods_is_one_component() -> None:
    many = [component_of(pod(f"kube-proxy-{n}", k8s_app="kube-proxy")) for n in (3, 1, 2)]

    (only,) = distinct(one for one in many if one is not None)

    assert only.pod == "kube-proxy-1"


def test_same_kubelet_on_many_nodes_is_one_component() -> None:
    bom = bom_of(node("n1"), node("n2"), node("n3", kubeletVersion="v1.30.1"))

    assert sum(one["name"] == "k8s.io/kubelet" for one in bom["components"]) == 2
    assert sum(one["type"] == "platform" for one in bom["components"]) == 3
    assert "pkg:k8s/k8s.io%2Fkubelet@v1.30.1" in purls(bom)


@pytest.mark.parametrize(
    ("runtime", "purl"),
    [
        ("containerd://1.7.20", "pkg:golang/github.com%2Fcontainerd%2Fcontainerd@v1.7.20"),
        ("containerd://2.1.0", "pkg:golang/github.com%2Fcontainerd%2Fcontainerd%2Fv2@v2.1.0"),
        ("containerd://1.7.20-k3s1", "pkg:golang/github.com%2Fcontainerd%2Fcontainerd@v1.7.20"),
        ("cri-o://1.31.0", "pkg:golang/github.com%2Fcri-o%2Fcri-o@v1.31.0"),
        ("docker://27.0.1", "pkg:golang/github.com%2FMirantis%2Fcri-dockerd@v27.0.1"),
    ],
)
def test_runtime_is_named_as_the_go_module_that_advisories_are_on(runtime: str, purl: str) -> None:
    assert purl in purls(bom_of(node(containerRuntimeVersion=runtime)))


@pytest.mark.parametrize("runtime", ["", "made-up://1", "containerd"])
def test_runtime_that_nobody_knows_is_left_out(runtime: str) -> None:
    assert purls(bom_of(node(containerRuntimeVersion=runtime))) <= {
        "pkg:k8s/k8s.io%2Fkubelet@v1.31.2",
        "pkg:golang/github.com%2Fcontainerd%2Fcontainerd",
    }


def test_distribution_is_part_of_the_clusters_name() -> None:
    parts = ClusterParts("v1.31.2-eks-1", distribution="eks")
    root = build_kbom(parts, scanner_version="1", now=NOON)["metadata"]["component"]

    assert root["purl"] == "pkg:k8s/eks/k8s.io%2Fkubernetes@v1.31.2-eks-1"


def test_version_with_a_plus_makes_a_tag() -> None:
    assert ClusterParts("v1.31.2+k3s1").tag == "1.31.2-k3s1"


NODES = st.lists(
    st.builds(
        node,
        st.sampled_from(["a", "b", "c", "d"]),
        kubeletVersion=st.sampled_from(["v1.31.2", "v1.30.1", ""]),
        containerRuntimeVersion=st.sampled_from(["containerd://1.7.20", "containerd://2.1.0", ""]),
        osImage=st.sampled_from(["Debian GNU/Linux 12 (bookworm)", "x", ""]),
    ),
    unique_by=lambda one: one.metadata.name,
)
IMAGES = st.builds(Image, st.sampled_from(["r/a", "r/b"]), st.sampled_from(["1", "2"]), st.just(DIGEST))
COMPONENTS = st.lists(
    st.builds(
        Component,
        st.sampled_from(["k8s.io/apiserver", "etcd"]),
        st.sampled_from(["", "1.2.3"]),
        st.sampled_from(["controlPlane", "x"]),
        st.lists(IMAGES, max_size=2).map(tuple),
        st.sampled_from(["p", "q"]),
    )
)


@given(NODES, COMPONENTS, st.randoms(use_true_random=False))
def test_document_is_sound_and_does_not_depend_on_any_order(
    nodes: list[ClusterNode], components: list[Component], rng: Any
) -> None:
    bom = bom_of(*nodes, components=distinct(components))
    rng.shuffle(nodes)
    rng.shuffle(components)

    assert json.dumps(bom_of(*nodes, components=distinct(components))) == json.dumps(bom)
    refs = [one["bom-ref"] for one in bom["components"]] + [bom["metadata"]["component"]["bom-ref"]]
    assert len(refs) == len(set(refs))
    for dependency in bom["dependencies"]:
        assert {dependency["ref"], *dependency["dependsOn"]} <= set(refs)


def test_nodes_alike_are_nothing_else_to_match() -> None:
    proxy = component_of(pod("kube-proxy-1", "kube-system", k8s_app="kube-proxy"))
    assert proxy is not None
    before = matched_of(bom_of(node("n1"), components=(proxy,)))

    renamed = proxy._replace(pod="kube-proxy-2")
    assert matched_of(bom_of(node("n2"), node("n3"), components=(renamed,))) == before
    for other in (
        bom_of(node("n1")),
        bom_of(node("n1"), components=(proxy,), version="v1.31.3"),
        bom_of(node("n1"), node("n2", kubeletVersion="v1.30.1"), components=(proxy,)),
        bom_of(node("n1", osImage="Ubuntu 24.04.1 LTS"), components=(proxy,)),
        bom_of(node("n1", containerRuntimeVersion="containerd://2.1.0"), components=(proxy,)),
    ):
        assert matched_of(other) != before
