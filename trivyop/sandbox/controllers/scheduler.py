"""Scheduler: gives Pods that ask for the default scheduler a node, or says in a condition why there is
none.
"""

from __future__ import annotations

from collections import Counter

from trivyop.errors import ConflictError
from trivyop.kube.resources import PODS, ObjectKey, Resource
from trivyop.kube.times import format_time
from trivyop.sandbox.changes import Json
from trivyop.sandbox.controllers.cluster import Cluster
from trivyop.sandbox.controllers.objects import Node, Pod
from trivyop.sandbox.controllers.scheduling import choose

NAME = "default-scheduler"
PERSISTENTVOLUMECLAIMS = Resource("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim")
STORAGECLASSES = Resource("storage.k8s.io", "v1", "storageclasses", "StorageClass", namespaced=False)
_CLAIM_SECONDS = 1.0


class Scheduler:
    """The scheduler; as a controller, one that reconciles Pods without a node."""

    def __init__(self, cluster: Cluster) -> None:
        self.queue = cluster.queue()
        self._cluster = cluster
        self._pods = cluster.pods
        self._nodes = cluster.nodes
        self._load: Counter[str] = Counter()
        self._waiting: dict[ObjectKey, str] = {}  # Pods that fit nowhere, and what was said of them
        self._pods.add_handler(self._pod_changed)
        self._nodes.add_handler(self._node_changed)

    async def reconcile(self, key: ObjectKey) -> float | None:
        """Bind the Pod."""
        pod = self._pods.store.get(key)
        if pod is None or not _is_ours(pod):
            self._waiting.pop(key, None)
            return None
        missing = await self._missing_claim(pod)
        node, reason = ("", missing) if missing else choose(pod, self._nodes.store.values(), self._load)
        if node:
            self._waiting.pop(key, None)
            await self._bind(pod, node)
        elif self._waiting.get(key) != reason:
            self._waiting[key] = reason
            await self._refuse(pod, reason)
        return _CLAIM_SECONDS if missing else None

    async def _missing_claim(self, pod: Pod) -> str:
        """What is said of a claim that is not there or that nothing provisions; "" if the Pod has none."""
        for volume in pod.spec.volumes or ():
            claim = volume.persistent_volume_claim
            if claim is None:
                continue
            key = ObjectKey(pod.metadata.namespace, claim.claim_name)
            why = await self._without_volume(key)
            if why:
                return f"0/{len(self._nodes.store.values())} nodes are available: {why}."
        return ""

    async def _without_volume(self, key: ObjectKey) -> str:
        """Why the claim has no volume; a storage class that is there provisions at once, as does none."""
        claim = await self._cluster.api.get(PERSISTENTVOLUMECLAIMS, key, type=Json)
        if claim is None:
            return f'persistentvolumeclaim "{key.name}" not found'
        wanted = claim["spec"].get("storageClassName")
        if wanted and await self._cluster.api.get(STORAGECLASSES, ObjectKey("", wanted)) is None:
            return "pod has unbound immediate PersistentVolumeClaims"
        return ""

    async def _bind(self, pod: Pod, node: str) -> None:
        key = pod.metadata.key
        binding = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": key.name, "namespace": key.namespace, "uid": pod.metadata.uid},
            "target": {"apiVersion": "v1", "kind": "Node", "name": node},
        }
        try:
            await self._cluster.api.create(
                PODS, binding, namespace=key.namespace, name=key.name, subresource="binding"
            )
        except ConflictError:
            return  # bound by somebody, or gone: either way an event is on its way

    async def _refuse(self, pod: Pod, reason: str) -> None:
        now = format_time(self._cluster.clock.now())
        others: list[Json] = [
            {"type": c.type, "status": c.status} for c in pod.status.conditions if c.type != "PodScheduled"
        ]
        condition = {
            "type": "PodScheduled",
            "status": "False",
            "lastProbeTime": None,
            "lastTransitionTime": now,
            "reason": "Unschedulable",
            "message": reason,
        }
        patch = {
            "metadata": {"uid": pod.metadata.uid},
            "status": {"conditions": [*others, condition]},
        }
        await self._cluster.api.patch(PODS, pod.metadata.key, patch, subresource="status")

    def _pod_changed(self, key: ObjectKey, old: Pod | None, new: Pod | None) -> None:
        for pod, change in ((old, -1), (new, 1)):
            if pod is not None and pod.spec.node_name and not pod.finished:
                self._load[pod.spec.node_name] += change
        if new is None or (_is_ours(new) and (old is None or not _is_ours(old))):
            self.queue.add(key)

    def _node_changed(self, key: ObjectKey, old: Node | None, new: Node | None) -> None:  # noqa: ARG002
        if old is None or new is None or _offer(old) != _offer(new):  # not each heartbeat
            for waiting in self._waiting:
                self.queue.add(waiting)


def _is_ours(pod: Pod) -> bool:
    return (
        not pod.spec.node_name and pod.spec.scheduler_name == NAME and not pod.finished and not pod.deleting
    )


def _offer(node: Node) -> tuple[object, ...]:
    return node.metadata.labels, node.spec, node.ready
