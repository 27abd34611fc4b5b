"""Names and hashes of reports: those of the Go operator, made safe where its own break."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.report.samples import DNS_LABELS, SUBDOMAINS, container, workload
from trivyop.kube.objects import ObjectMeta
from trivyop.kube.resources import ObjectKey
from trivyop.report import keys
from trivyop.report.hashing import ObjectRef, compute_hash
from trivyop.report.labels import describes, name_annotations, report_labels, resource_labels
from trivyop.report.names import (
    cluster_sbom_name,
    is_label_value,
    is_object_name,
    long_report_name,
    report_names,
)
from trivyop.report.options import ReportOptions
from trivyop.workload.images import ImageKey
from trivyop.workload.owners import WorkloadKind, WorkloadRef


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("index.docker.io/nginx:1.14.2", "6df5684d"),
        ("k8s.io/kubernetes:1.31.0", "6789697bc"),
        ("index.docker.io/alpine:3.12.0", "56bcdb7c95"),
        ("index.docker.io/rancher/local-path-provisioner:v0.0.14", "79b568748c"),
        ("k8s.gcr.io/kube-apiserver:v1.21.1", "6857f776bb"),
        ("kind-control-plane", "845b67c44"),
        ("nightly-report-with-a-name-near-the-limit-of-52-char-report", "7644848b75"),
        ([], "9f85fb657"),
        (ObjectRef("Pod", "my-pod", "default"), "648f669b9c"),
        (ObjectRef("CronJob", "hello", "default"), "fcd85fd57"),
        (ObjectRef("DaemonSet", "fluentd-elasticsearch", "default"), "6556c475f8"),
        (ObjectRef("Job", "pi", "default"), "5664bcd7b8"),
        (ObjectRef("ReplicaSet", "wordpress-84bbf6f4dd", "default"), "5668c4b796"),
        (ObjectRef("ReplicationController", "nginx", "default"), "5dfc565d7b"),
        (ObjectRef("StatefulSet", "web", "default"), "85bdb4586d"),
        (ObjectRef("ReplicaSet", "nginx-6799fc88d8", "prod-ns"), "64d65c457"),
    ],
)
def test_hash_is_the_go_operators(value: str | list[str] | ObjectRef, expected: str) -> None:
    assert compute_hash(value) == expected


def test_name_is_plain_where_it_fits_and_a_hash_where_not() -> None:
    """Scripts look reports up by these names."""
    long_name = "nightly-report-with-a-name-near-the-limit-of-52-char"

    assert report_names("ReplicaSet", "web-7b8cd85855", ["web"]) == {"web": "replicaset-web-7b8cd85855-web"}
    assert report_names("CronJob", long_name, ["report"]) == {"report": "cronjob-7644848b75"}


KINDS = st.sampled_from(list(WorkloadKind))


@given(KINDS, SUBDOMAINS, st.lists(DNS_LABELS, min_size=1, max_size=5, unique=True))
def test_names_are_valid_unique_and_do_not_depend_on_order(
    kind: str, name: str, containers: list[str]
) -> None:
    names = report_names(kind, name, containers)

    assert all(is_object_name(report) and len(report) <= 63 for report in names.values())
    assert len(set(names.values())) == len(containers)
    assert names == report_names(kind, name, reversed(containers))


@given(SUBDOMAINS, DNS_LABELS)
def test_labels_and_long_names_are_valid(name: str, container_name: str) -> None:
    owner = workload(name)
    labels = report_labels(owner, container_name, ReportOptions())

    assert all(is_label_value(value) for value in labels.values())
    assert is_object_name(long_report_name("Pod", name, container_name))
    full_name = labels.get(keys.RESOURCE_NAME) or name_annotations(owner)[keys.RESOURCE_NAME]
    assert full_name == name


def test_names_that_are_no_object_names_are_hashed() -> None:
    """Upper case is fine in a label, not in a name; the Go operator fails on it."""
    assert report_names("Pod", "Web", ["app"])["app"] == f"pod-{compute_hash('Web-app')}"


def test_containers_with_equal_hashes_get_different_names() -> None:
    """32 bits are few. These two texts have the same hash, found by trying."""
    workload_name = "w" * 60
    first, second = "c512789", "c749192"
    assert compute_hash(f"{workload_name}-{first}") == compute_hash(f"{workload_name}-{second}")

    names = report_names("Pod", workload_name, [first, second, "other"])

    assert names[first] == long_report_name("Pod", workload_name, first)
    assert names[second] == long_report_name("Pod", workload_name, second)
    assert names[first] != names[second]
    assert names["other"] == report_names("Pod", workload_name, ["other"])["other"]


def test_report_of_another_workload_with_the_same_name_is_told_apart() -> None:
    """Pod a, container b-c, and pod a-b, container c, have the same plain name."""
    assert report_names("Pod", "a", ["b-c"])["b-c"] == report_names("Pod", "a-b", ["c"])["c"]
    owner = workload("a", container("b-c"), kind="Pod", api_version="v1")
    meta = ObjectMeta(name="pod-a-b-c", labels=report_labels(owner, "b-c", ReportOptions()))

    assert describes(meta, WorkloadRef(WorkloadKind.POD, ObjectKey("shop", "a")), "b-c")
    assert not describes(meta, WorkloadRef(WorkloadKind.POD, ObjectKey("shop", "a-b")), "c")
    assert long_report_name("Pod", "a", "b-c") != long_report_name("Pod", "a-b", "c")


def test_our_labels_win_over_copied_and_configured_ones() -> None:
    """A Helm chart's managed-by must not hide a report from us."""
    owner = workload(labels={"team": "checkout", keys.MANAGED_BY: "Helm"})
    options = ReportOptions(
        resource_labels=("team", "missing", keys.MANAGED_BY),
        additional_labels={"cluster": "one", "team": "all", keys.CONTAINER_NAME: "x"},
    )

    labels = report_labels(owner, "web", options)

    assert labels == {
        "cluster": "one",
        "team": "all",
        keys.MANAGED_BY: "trivy-operator",
        keys.CONTAINER_NAME: "web",
        keys.SPEC_HASH: "abcd",
        keys.RESOURCE_KIND: "ReplicaSet",
        keys.RESOURCE_NAME: "web-7b8c",
        keys.RESOURCE_NAMESPACE: "shop",
    }


def test_name_that_is_no_label_value_becomes_a_hash_and_an_annotation() -> None:
    name = "n" * 64

    labels = resource_labels("Pod", "shop", name)

    assert labels == {
        keys.RESOURCE_KIND: "Pod",
        keys.RESOURCE_NAME_HASH: compute_hash(name),
        keys.RESOURCE_NAMESPACE: "shop",
    }
    assert name_annotations(workload(name)) == {keys.RESOURCE_NAME: name}


@pytest.mark.parametrize(
    ("platform", "suffix"), [("linux/amd64", "-linux-amd64"), ("linux/arm/v7", "-linux-arm-v7"), (None, "")]
)
def test_cluster_sbom_is_named_for_image_and_platform(platform: str | None, suffix: str) -> None:
    name = cluster_sbom_name(ImageKey("sha256:" + "ab" * 32, platform))

    assert name == "sha256-" + "ab" * 16 + suffix
    assert is_label_value(name)
    assert is_object_name(name)
