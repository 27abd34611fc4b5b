"""Nodes: the taints that say what a Node's conditions say, so that Pods keep off one that is not ready.

Leases are not watched: a node agent that vanishes leaves its Node as it was.
"""

from __future__ import annotations

from collections.abc import Mapping

from trivyop.kube.resources import NODES, ObjectKey
from trivyop.sandbox.changes import Json
from trivyop.sandbox.controllers.cluster import Cluster, enqueue
from trivyop.sandbox.controllers.objects import Node, Taint

_NOT_READY = "node.kubernetes.io/not-ready"
_UNREACHABLE = "node.kubernetes.io/unreachable"
_UNSCHEDULABLE = "node.kubernetes.io/unschedulable"
_PRESSURES: Mapping[str, str] = {
    "MemoryPressure": "node.kubernetes.io/memory-pressure",
    "DiskPressure": "node.kubernetes.io/disk-pressure",
    "PIDPressure": "node.kubernetes.io/pid-pressure",
    "NetworkUnavailable": "node.kubernetes.io/network-unavailable",
}
_OURS = frozenset((_NOT_READY, _UNREACHABLE, _UNSCHEDULABLE, *_PRESSURES.values()))


class Nodes:
    """The controller."""

    def __init__(self, cluster: Cluster) -> None:
        self.queue = cluster.queue()
        self._cluster = cluster
        self._nodes = cluster.nodes
        self._nodes.add_handler(enqueue(self.queue))

    async def reconcile(self, key: ObjectKey) -> float | None:
        """Give the Node the taints that its conditions call for, and take away those they do not."""
        node = self._nodes.store.get(key)
        if node is None:
            return None
        wanted = wanted_taints(node)
        have = {t.key for t in node.spec.taints if t.key in _OURS and t.effect == "NoSchedule"}
        if have == wanted:
            return None
        kept = [t for t in node.spec.taints if t.key not in have or t.effect != "NoSchedule"]
        kept += [t for t in node.spec.taints if t.key in have & wanted and t.effect == "NoSchedule"]
        taints = [_to_json(t) for t in (*kept, *(Taint(k, "NoSchedule") for k in sorted(wanted - have)))]
        meta = {"uid": node.metadata.uid, "resourceVersion": node.metadata.resource_version}
        await self._cluster.api.patch(NODES, key, {"metadata": meta, "spec": {"taints": taints or None}})
        return None


def wanted_taints(node: Node) -> set[str]:
    """The keys of the taints that keep Pods from being scheduled to a Node in this state."""
    state = {condition.type: condition.status for condition in node.status.conditions}
    wanted = {key for type_, key in _PRESSURES.items() if state.get(type_) == "True"}
    ready = state.get("Ready")
    if ready == "Unknown":
        wanted.add(_UNREACHABLE)
    elif ready != "True":
        wanted.add(_NOT_READY)
    if node.spec.unschedulable:
        wanted.add(_UNSCHEDULABLE)
    return wanted


def _to_json(taint: Taint) -> Json:
    optional = {"value": taint.value, "timeAdded": taint.time_added}
    return {"key": taint.key, "effect": taint.effect, **{k: v for k, v in optional.items() if v}}
