"""Namespaces: what is in one that terminates is deleted, pods first, then it may go.

Promises: while a pod is left, nothing else goes, so that no pod outlives the network policy or the quota that
it ran under (KEP-5080, on by default since Kubernetes 1.33).
"""

from __future__ import annotations

from collections import Counter

from trivyop.errors import NotFoundError
from trivyop.kube.resources import NAMESPACES, PODS, ObjectKey, Resource
from trivyop.kube.times import format_time
from trivyop.sandbox.changes import part
from trivyop.sandbox.controllers.catalogue import read_catalogue
from trivyop.sandbox.controllers.cluster import Cluster, each, enqueue
from trivyop.sandbox.controllers.emptying import deletion_conditions
from trivyop.sandbox.controllers.objects import Metadata, Workload

_FINALIZER = "kubernetes"
_LOOK_AGAIN_SECONDS = 0.5


class Namespaces:
    """The controller."""

    def __init__(self, cluster: Cluster) -> None:
        self.queue = cluster.queue()
        self._cluster = cluster
        self._namespaces = cluster.workloads(NAMESPACES)
        self._namespaces.add_handler(enqueue(self.queue))

    async def reconcile(self, key: ObjectKey) -> float | None:
        """Empty the namespace if it terminates; returns when to look at what is left."""
        namespace = self._namespaces.store.get(key)
        if namespace is None or not namespace.deleting:
            return None
        if _FINALIZER not in (namespace.spec.get("finalizers") or ()):
            return None
        left, finalizers = await self._empty(key.name)
        if left:
            await self._report(namespace, left, finalizers)
            return _LOOK_AGAIN_SECONDS
        await self._finalize(namespace)
        return None

    async def _empty(self, name: str) -> tuple[Counter[Resource], Counter[str]]:
        """Delete what may go; returns what is still there then, by kind, and the finalizers that hold it."""
        left: Counter[Resource] = Counter()
        finalizers: Counter[str] = Counter()
        catalogue = await read_catalogue(self._cluster.api)
        namespaced = [one for one in catalogue.offering("list", "delete") if one.namespaced]
        for resource in sorted(namespaced, key=lambda one: one.name != PODS.name):
            if left[PODS]:
                break
            found = await self._list(resource, name)
            doomed = [o.metadata for o in found if o.metadata.deletion_timestamp is None]
            delete = self._cluster.api.delete
            await each([delete(resource, meta.key, uid=meta.uid) for meta in doomed])
            for remaining in await self._list(resource, name) if doomed else found:
                left[resource] += 1
                finalizers.update(remaining.metadata.finalizers)
        return left, finalizers

    async def _list(self, resource: Resource, name: str) -> list[Metadata]:
        try:
            listing = await self._cluster.api.list(
                resource, type=Metadata, namespace=name, metadata_only=True
            )
        except NotFoundError:  # a custom kind that went just now
            return []
        return listing.items

    async def _report(self, namespace: Workload, left: Counter[Resource], finalizers: Counter[str]) -> None:
        conditions = deletion_conditions(
            namespace.conditions, left, finalizers, format_time(self._cluster.clock.now())
        )
        status = {**namespace.status, "conditions": conditions}
        await self._cluster.write_status(NAMESPACES, namespace, status)

    async def _finalize(self, namespace: Workload) -> None:
        key = namespace.metadata.key
        document = await self._cluster.api.get_dict(NAMESPACES, key)
        if document is None or document["metadata"]["uid"] != namespace.metadata.uid:
            return
        spec = part(document, "spec")
        document["spec"] = {
            **spec,
            "finalizers": [name for name in spec.get("finalizers") or () if name != _FINALIZER],
        }
        await self._cluster.api.replace(NAMESPACES, key, document, subresource="finalize")
