"""Made-up workloads: ReplicaSets of Deployments with pods, each of one container; slim, but whole."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Self

from tests.bench.cluster import MadeUpCluster
from trivyop.kube.resources import NAMESPACES, PODS, REPLICASETS, ObjectKey

NAMESPACES_MADE = 100
_TIME = "2026-01-01T00:00:00Z"
_REVISION = "deployment.kubernetes.io/revision"


def uid(kind: str, n: int, revision: int = 1) -> str:
    """A uid that stays the same."""
    digits = hashlib.sha256(f"{kind} {n} {revision}".encode()).hexdigest()
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-8{digits[17:20]}-{digits[20:32]}"


@dataclass(frozen=True, slots=True)
class MadeUpWorkload:
    """Revision `revision` of workload number `n`, which runs image number `image`."""

    n: int
    image: int
    revision: int = 1

    @property
    def namespace(self) -> str:
        return f"team-{self.n % NAMESPACES_MADE}"

    @property
    def deployment(self) -> str:
        return f"workload-{self.n:05d}"

    @property
    def name(self) -> str:
        """Of the ReplicaSet."""
        return f"{self.deployment}-{uid('hash', self.n, self.revision)[:8]}"

    @property
    def uid(self) -> str:
        return uid("ReplicaSet", self.n, self.revision)

    @property
    def reference(self) -> str:
        """The image as the template has it."""
        return f"registry.example.com/team-{self.image % 20}/app-{self.image}:1.0"

    @property
    def digest(self) -> str:
        return "sha256:" + hashlib.sha256(self.reference.encode()).hexdigest()

    @property
    def labels(self) -> dict[str, str]:
        return {"app.kubernetes.io/name": self.deployment, "pod-template-hash": self.name[-8:]}

    def replica_set(self, like: dict[str, Any]) -> dict[str, Any]:
        """The ReplicaSet, made of one that the server has stored."""
        owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": self.deployment, "controller": True}
        metadata = {
            **like["metadata"],
            "name": self.name,
            "namespace": self.namespace,
            "uid": self.uid,
            "labels": self.labels,
            "annotations": {_REVISION: str(self.revision)},
            "ownerReferences": [{**owner, "uid": uid("Deployment", self.n)}],
        }
        template = like["spec"]["template"]
        spec = {
            **like["spec"],
            "selector": {"matchLabels": self.labels},
            "template": {
                **template,
                "metadata": {"labels": self.labels},
                "spec": self._pod_spec(template["spec"]),
            },
        }
        return {**like, "metadata": metadata, "spec": spec}

    def pod(self, like: dict[str, Any], number: int) -> dict[str, Any]:
        """One of its pods, made of one that the server has stored."""
        owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": self.name, "controller": True}
        metadata = {
            **like["metadata"],
            "name": f"{self.name}-{number:05d}",
            "namespace": self.namespace,
            "uid": uid(f"Pod {number}", self.n, self.revision),
            "labels": self.labels,
            "ownerReferences": [{**owner, "uid": self.uid}],
        }
        repository = self.reference.rpartition(":")[0]
        ran = {"image": self.reference, "imageID": f"{repository}@{self.digest}"}
        status = {
            **like["status"],
            "phase": "Running",
            "containerStatuses": [{**one, **ran} for one in like["status"]["containerStatuses"]],
        }
        spec = {**self._pod_spec(like["spec"]), "nodeName": f"node-{(self.n + number) % 100}"}
        return {**like, "metadata": metadata, "spec": spec, "status": status}

    def _pod_spec(self, like: dict[str, Any]) -> dict[str, Any]:
        return {**like, "containers": [{**like["containers"][0], "image": self.reference}]}


def first_replica_set() -> dict[str, Any]:
    """What the server is to make the pattern of ReplicaSets from."""
    labels = {"app": "pattern"}
    template = {"metadata": {"labels": labels}, "spec": first_pod()["spec"]}
    return {
        "metadata": {"name": "pattern", "namespace": "default"},
        "spec": {"replicas": 2, "selector": {"matchLabels": labels}, "template": template},
    }


def first_pod() -> dict[str, Any]:
    """What the server is to make the pattern of pods from: 8 KB of JSON, as behind a service mesh."""
    container = {
        "name": "app",
        "image": "registry.example.com/pattern:1.0",
        "env": [{"name": f"SETTING_{i}", "value": f"the value of setting number {i}"} for i in range(40)],
        "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "256Mi"}},
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
        "livenessProbe": {"httpGet": {"path": "/healthz", "port": 8080}},
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": 8080}},
    }
    spec = {"containers": [container], "volumes": [{"name": "tmp", "emptyDir": {}}]}
    return {"metadata": {"name": "pattern", "namespace": "default"}, "spec": spec}


def first_pod_status() -> dict[str, Any]:
    """What a kubelet tells of it."""
    ready = [
        {"type": kind, "status": "True", "lastTransitionTime": _TIME}
        for kind in ("Initialized", "Ready", "ContainersReady", "PodScheduled")
    ]
    container = {
        "name": "app",
        "image": "registry.example.com/pattern:1.0",
        "imageID": "registry.example.com/pattern@sha256:" + "0" * 64,
        "containerID": "containerd://" + "1" * 64,
        "ready": True,
        "restartCount": 0,
        "state": {"running": {"startedAt": _TIME}},
    }
    return {"phase": "Running", "conditions": ready, "podIP": "10.0.0.1", "containerStatuses": [container]}


@dataclass(frozen=True, slots=True)
class Patterns:
    """A ReplicaSet and a pod as the server stores them, with its defaults and managed fields."""

    replica_set: dict[str, Any]
    pod: dict[str, Any]

    @classmethod
    async def make(cls, cluster: MadeUpCluster) -> Self:
        """Have the server store one of each, which are gone again when this returns, and namespaces."""
        api = cluster.api
        key = ObjectKey("default", "pattern")
        replica_set = await api.create(REPLICASETS, first_replica_set())
        await api.create(PODS, first_pod())
        pod = await api.patch(PODS, key, {"status": first_pod_status()}, subresource="status")
        assert pod is not None
        for n in range(NAMESPACES_MADE):
            await api.create(NAMESPACES, {"metadata": {"name": f"team-{n}"}})
        for resource in (PODS, REPLICASETS):
            bucket = cluster.served(resource).bucket
            stored = bucket.get(*key)
            assert stored is not None
            bucket.remove(stored)
        return cls(replica_set, pod)

    def fill(self, cluster: MadeUpCluster, workload: MadeUpWorkload, *, pods: int) -> None:
        """Put a workload into the cluster, its last pod last."""
        cluster.put(REPLICASETS, workload.replica_set(self.replica_set))
        for number in range(pods):
            cluster.put(PODS, workload.pod(self.pod, number))
