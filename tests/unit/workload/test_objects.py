"""What stores keep of the objects that run images."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest

from tests.unit.workload.world import TYPES, WEB_PODS, pod
from trivyop.kube.objects import Object
from trivyop.workload.objects import DEPLOYMENT_REVISION, Job, Node, Pod, ReplicaSet, Slim

GOLDEN = Path(__file__).parents[2] / "data/golden/objects"
FILES = {
    "pods": "Pod",
    "replicasets": "ReplicaSet",
    "replicationcontrollers": "ReplicationController",
    "statefulsets": "StatefulSet",
    "daemonsets": "DaemonSet",
    "jobs": "Job",
    "cronjobs": "CronJob",
    "nodes": "Node",
}


@pytest.mark.parametrize(("file", "kind"), FILES.items())
def test_objects_of_a_real_api_server_decode(file: str, kind: str) -> None:
    for document in orjson.loads((GOLDEN / f"{file}.json").read_bytes()):
        decoded = msgspec.json.decode(orjson.dumps(document), type=TYPES[kind])

        assert decoded.metadata.name == document["metadata"]["name"]


def test_slim_keeps_what_the_rules_read() -> None:
    """Its result differs only in annotations nobody reads."""
    slim = Slim()
    annotations = {
        DEPLOYMENT_REVISION: "3",
        "trivy-operator.aquasecurity.github.io/skip-dirs": "/usr",
        "kubectl.kubernetes.io/last-applied-configuration": "{}",
    }
    document: dict[str, Any] = {
        "metadata": {
            "name": "web",
            "namespace": "shop",
            "labels": {"app": "web"},
            "annotations": annotations,
        },
        "spec": {"template": {"spec": {"containers": [{"name": "web", "image": "nginx"}]}}},
    }
    original = msgspec.convert(document, ReplicaSet)

    kept = slim(original)

    del annotations["kubectl.kubernetes.io/last-applied-configuration"]
    assert kept == msgspec.convert(document, ReplicaSet)


def test_pods_of_one_workload_share_what_they_have_in_common() -> None:
    """20,000 of them have to fit in little memory."""
    slim = Slim()
    first, second = (slim(msgspec.convert(document, Pod)) for document in WEB_PODS)

    assert first != second
    assert first.spec.containers is second.spec.containers
    assert first.status is second.status
    assert first.metadata.labels is second.metadata.labels
    assert first.metadata.owner_references is second.metadata.owner_references


def test_what_differs_among_the_objects_of_an_owner_is_shared_with_whom_it_is_equal_to() -> None:
    """In the middle of a rollout an owner has pods of two states, and it may own more than one kind."""
    slim = Slim()
    old, new = {"web": "nginx:1"}, {"web": "nginx:2"}
    owner = {"apiVersion": "x/v1", "kind": "Site", "name": "web", "uid": "u1", "controller": True}

    def made(name: str, images: dict[str, str]) -> Pod:
        document = pod(name, images)
        document["metadata"] |= {"ownerReferences": [owner], "labels": {"image": images["web"]}}
        return slim(msgspec.convert(document, Pod))

    first, second, third, fourth = (
        made(name, images) for name, images in [("a", old), ("b", new), ("c", old), ("d", new)]
    )
    meta = {"name": "web", "namespace": "shop", "ownerReferences": [owner], "labels": {"image": "nginx:2"}}
    job = slim(msgspec.convert({"metadata": meta, "spec": {}}, Job))

    assert first.spec.containers is third.spec.containers
    assert second.spec.containers is fourth.spec.containers
    assert first.spec.containers != second.spec.containers
    assert second.metadata.labels is fourth.metadata.labels is job.metadata.labels
    assert first.metadata.owner_references is job.metadata.owner_references


def test_slim_forgets_what_it_has_not_room_for() -> None:
    """Its memory is bounded, however many different objects pass."""
    slim = Slim(capacity=10)
    objects: list[Object] = [
        msgspec.convert(pod(f"p{n}", {"web": f"image:{n}"}, namespace=f"ns{n}"), Pod) for n in range(50)
    ]

    kept = [slim(copy.deepcopy(obj)) for obj in objects]

    assert kept == objects
    assert slim.remembered <= 10


def test_platform_of_a_node_is_known_once_its_kubelet_told() -> None:
    info = {"operatingSystem": "linux", "architecture": "arm64"}

    assert msgspec.convert({"metadata": {}, "status": {"nodeInfo": info}}, Node).platform == "linux/arm64"
    assert msgspec.convert({"metadata": {}, "status": {}}, Node).platform is None
