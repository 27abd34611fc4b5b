"""Replicas: ReplicaSets and ReplicationControllers, which keep a number of equal Pods."""

from __future__ import annotations

from collections.abc import Sequence

from trivyop.kube.resources import REPLICASETS, ObjectKey, Resource
from trivyop.sandbox.changes import Json, part, without_empty
from trivyop.sandbox.controllers.children import PodChildren, surplus
from trivyop.sandbox.controllers.cluster import Cluster, enqueue
from trivyop.sandbox.controllers.objects import Pod, Workload
from trivyop.sandbox.controllers.templates import build_pod, owner_reference


class Replicas:
    """The controller of one of the two kinds."""

    def __init__(self, cluster: Cluster, resource: Resource = REPLICASETS) -> None:
        self.queue = cluster.queue()
        self._cluster = cluster
        self._resource = resource
        self._sets = cluster.workloads(resource)
        self._sets.add_handler(enqueue(self.queue))
        self._children = PodChildren(cluster, self.queue, resource)

    async def reconcile(self, key: ObjectKey) -> float | None:
        """Create the Pods that are missing, delete those too many, and count them."""
        replica_set = self._sets.store.get(key)
        if replica_set is None or replica_set.deleting:
            return None
        owner = replica_set.metadata
        if wait := self._children.wait_seconds(owner):
            return wait
        active = [pod for pod in self._children.of(owner) if pod.active]
        missing = replica_set.replicas - len(active)
        template = part(replica_set.spec, "template")
        if missing > 0:
            reference = owner_reference(self._resource.api_version, self._resource.kind, owner)
            await self._children.create(owner, [build_pod(template, reference) for _ in range(missing)])
        elif missing < 0:
            victims = surplus(active, -missing)
            await self._children.delete(victims)
            active = [pod for pod in active if pod not in victims]
        await self._cluster.write_status(
            self._resource, replica_set, build_status(replica_set, active, max(0, missing))
        )
        return None


def build_status(replica_set: Workload, active: Sequence[Pod], created: int) -> Json:
    """Count the Pods; those just ``created`` are as the template says, and not ready."""
    labels = part(part(part(replica_set.spec, "template"), "metadata"), "labels").items()
    labelled = sum(1 for pod in active if labels <= (pod.metadata.labels or {}).items())
    ready = sum(1 for pod in active if pod.ready)
    counts = {
        "replicas": len(active) + created,
        "fullyLabeledReplicas": labelled + created,
        "readyReplicas": ready,
        "availableReplicas": ready,
        "observedGeneration": replica_set.metadata.generation,
    }
    return without_empty(counts, keep=("replicas",))
