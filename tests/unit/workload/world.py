"""A cluster in dicts: objects as an API server sends them, decoded as informers do, behind listers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Generic, TypeVar

import msgspec

from trivyop.kube.objects import Object
from trivyop.kube.resources import ObjectKey
from trivyop.workload.objects import (
    CronJob,
    DaemonSet,
    Job,
    Node,
    Pod,
    ReplicaSet,
    ReplicationController,
    StatefulSet,
)
from trivyop.workload.owners import BY_CONTROLLER, WorkloadKind, controller_uids
from trivyop.workload.resolve import Listers, Skipped, Workload, resolve
from trivyop.workload.selection import Namespaces, Selection

T = TypeVar("T", bound=Object)
DIGEST = "sha256:" + "a" * 64
OTHER_DIGEST = "sha256:" + "b" * 64
EVERYTHING = Selection(Namespaces.parse("trivy-system"))

TYPES: dict[str, type[Object]] = {
    "Pod": Pod,
    "ReplicaSet": ReplicaSet,
    "ReplicationController": ReplicationController,
    "StatefulSet": StatefulSet,
    "DaemonSet": DaemonSet,
    "Job": Job,
    "CronJob": CronJob,
    "Node": Node,
}
API_VERSIONS = {
    "Pod": "v1",
    "ReplicationController": "v1",
    "Job": "batch/v1",
    "CronJob": "batch/v1",
    "Deployment": "apps/v1",
    "DeploymentConfig": "apps.openshift.io/v1",
}


class DictLister(Generic[T]):
    """A lister over a fixed set of objects."""

    def __init__(self, objects: Iterable[T] = ()) -> None:
        self._objects = {obj.key: obj for obj in objects}

    def get(self, key: ObjectKey, /) -> T | None:
        return self._objects.get(key)

    def by_index(self, name: str, value: str, /) -> Sequence[T]:
        assert name == BY_CONTROLLER
        return [obj for obj in self._objects.values() if value in controller_uids(obj)]


class World:
    """The objects of a cluster; ``resolve`` asks the rules about one of them."""

    def __init__(self, *documents: dict[str, Any]) -> None:
        decoded = [msgspec.convert(document, TYPES[document["kind"]]) for document in documents]

        def of(wanted: type[T]) -> DictLister[T]:
            return DictLister(obj for obj in decoded if isinstance(obj, wanted))

        self.jobs = of(Job)
        self.replica_sets = of(ReplicaSet)
        self.pods = of(Pod)
        self.listers = Listers(
            pods=self.pods,
            replica_sets=self.replica_sets,
            replication_controllers=of(ReplicationController),
            stateful_sets=of(StatefulSet),
            daemon_sets=of(DaemonSet),
            jobs=self.jobs,
            cron_jobs=of(CronJob),
            nodes=of(Node),
        )

    def resolve(
        self, kind: WorkloadKind, name: str, selection: Selection = EVERYTHING, *, namespace: str = "shop"
    ) -> Workload | Skipped | None:
        return resolve(kind, ObjectKey(namespace, name), self.listers, selection)

    def workload(
        self, kind: WorkloadKind, name: str, selection: Selection = EVERYTHING, *, namespace: str = "shop"
    ) -> Workload:
        resolved = self.resolve(kind, name, selection, namespace=namespace)
        assert isinstance(resolved, Workload), resolved
        return resolved


def meta(
    name: str, *, owner: tuple[str, str] | None = None, uid: str = "", namespace: str = "shop", **more: Any
) -> dict[str, Any]:
    """Metadata; ``owner`` is the controller's kind and name, its uid follows from them."""
    owners: list[dict[str, Any]] = []
    if owner is not None:
        kind, owner_name = owner
        owners.append(
            {
                "apiVersion": API_VERSIONS.get(kind, "apps/v1"),
                "kind": kind,
                "name": owner_name,
                "uid": f"{kind}/{owner_name}",
                "controller": True,
            }
        )
    return {"name": name, "namespace": namespace, "uid": uid, "ownerReferences": owners, **more}


def containers(images: dict[str, str]) -> list[dict[str, str]]:
    return [{"name": name, "image": image} for name, image in images.items()]


def pod(
    name: str,
    images: dict[str, str],
    *,
    owner: tuple[str, str] | None = None,
    running: dict[str, str] | None = None,
    waiting: dict[str, str] | None = None,
    node: str = "",
    init: dict[str, str] | None = None,
    debug: dict[str, str] | None = None,
    created: str = "2026-01-01T00:00:00Z",
    phase: str = "Running",
    **more: Any,
) -> dict[str, Any]:
    """A pod; ``running`` maps containers to what their status has as imageID, ``waiting`` to a reason."""
    status = [
        {"name": container, "image": "", "imageID": image_id, "state": {"running": {}}}
        for container, image_id in (running or {}).items()
    ] + [
        {"name": container, "image": "", "imageID": "", "state": {"waiting": {"reason": reason}}}
        for container, reason in (waiting or {}).items()
    ]
    spec: dict[str, Any] = {
        "containers": containers(images),
        "initContainers": containers(init or {}),
        "ephemeralContainers": containers(debug or {}),
    }
    if node:
        spec["nodeName"] = node
    return {
        "kind": "Pod",
        "metadata": meta(name, owner=owner, uid=f"Pod/{name}", creationTimestamp=created, **more),
        "spec": spec,
        "status": {
            "phase": phase,
            "containerStatuses": [entry for entry in status if entry["name"] in images],
            "initContainerStatuses": [entry for entry in status if entry["name"] in (init or {})],
            "ephemeralContainerStatuses": [entry for entry in status if entry["name"] in (debug or {})],
        },
    }


def controller(
    kind: str,
    name: str,
    images: dict[str, str],
    *,
    owner: tuple[str, str] | None = None,
    init: dict[str, str] | None = None,
    **more: Any,
) -> dict[str, Any]:
    """A ReplicaSet, StatefulSet, Job, CronJob ...: anything that makes pods from a template."""
    template = {"spec": {"containers": containers(images), "initContainers": containers(init or {})}}
    spec = {"jobTemplate": {"spec": {"template": template}}} if kind == "CronJob" else {"template": template}
    return {"kind": kind, "metadata": meta(name, owner=owner, uid=f"{kind}/{name}", **more), "spec": spec}


def node(name: str, architecture: str = "amd64", system: str = "linux") -> dict[str, Any]:
    info = {"operatingSystem": system, "architecture": architecture}
    return {"kind": "Node", "metadata": {"name": name}, "status": {"nodeInfo": info}}


WEB_PODS = [
    pod(
        name,
        {"web": "shop/web:1"},
        owner=("ReplicaSet", "web-1"),
        running={"web": f"shop/web@{DIGEST}"},
        node="n1",
        labels={"app": "web"},
    )
    for name in ("web-1-a", "web-1-b")
]
