"""DaemonSets: one Pod on each node that fits; a Pod of an older template is replaced as soon as it is
ready.
"""

from __future__ import annotations

from collections.abc import Sequence

from trivyop.kube.resources import DAEMONSETS, ObjectKey
from trivyop.sandbox.changes import Json, part
from trivyop.sandbox.controllers.children import PodChildren
from trivyop.sandbox.controllers.cluster import Cluster, enqueue
from trivyop.sandbox.controllers.objects import Node, Pod, Workload
from trivyop.sandbox.controllers.scheduling import selected
from trivyop.sandbox.controllers.statefulsets import REVISION_LABEL
from trivyop.sandbox.controllers.templates import build_pod, content_hash, owner_reference

_NODE_FIELD = "metadata.name"
_TOLERATED = (
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"),
    ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
)


class DaemonSets:
    """The controller."""

    def __init__(self, cluster: Cluster) -> None:
        self.queue = cluster.queue()
        self._cluster = cluster
        self._sets = cluster.workloads(DAEMONSETS)
        self._sets.add_handler(enqueue(self.queue))
        self._children = PodChildren(cluster, self.queue, DAEMONSETS)
        cluster.nodes.add_handler(self._node_changed)

    async def reconcile(self, key: ObjectKey) -> float | None:
        """Create and delete Pods so that each node that fits has one."""
        daemon_set = self._sets.store.get(key)
        if daemon_set is None or daemon_set.deleting:
            return None
        owner = daemon_set.metadata
        if wait := self._children.wait_seconds(owner):
            return wait
        nodes = [node for node in self._cluster.nodes.store.values() if fits(daemon_set, node)]
        pods = self._children.of(owner)
        missing, delete = next_pods(daemon_set, pods, nodes)
        reference = owner_reference(DAEMONSETS.api_version, DAEMONSETS.kind, owner)
        await self._children.create(owner, [build_member(daemon_set, reference, n) for n in missing])
        await self._children.delete(delete)
        await self._cluster.write_status(
            DAEMONSETS, daemon_set, build_status(daemon_set, pods, nodes, created=len(missing))
        )
        return None

    def _node_changed(self, key: ObjectKey, old: Node | None, new: Node | None) -> None:  # noqa: ARG002
        before, after = old and (old.metadata.labels, old.ready), new and (new.metadata.labels, new.ready)
        if before != after:  # not each heartbeat
            for daemon_set in tuple(self._sets.store.keys()):
                self.queue.add(daemon_set)


def fits(daemon_set: Workload, node: Node) -> bool:
    """Whether the node should have a Pod of the set."""
    spec = part(part(daemon_set.spec, "template"), "spec")
    return selected(spec.get("nodeSelector"), spec.get("affinity"), node)


def node_of(pod: Pod) -> str:
    """The node that the Pod runs on, or was made for."""
    affinity = part(part(pod.spec.affinity, "nodeAffinity"), "requiredDuringSchedulingIgnoredDuringExecution")
    for term in affinity.get("nodeSelectorTerms") or ():
        for expression in term.get("matchFields") or ():
            if expression.get("key") == _NODE_FIELD:
                return pod.spec.node_name or str(expression["values"][0])
    return pod.spec.node_name


def revision_of(daemon_set: Workload) -> str:
    """A hash of the template."""
    return content_hash(part(daemon_set.spec, "template"))


def next_pods(
    daemon_set: Workload, pods: Sequence[Pod], nodes: Sequence[Node]
) -> tuple[list[str], list[Pod]]:
    """The nodes that lack a Pod, and the Pods to delete."""
    wanted = {node.metadata.name for node in nodes}
    taken: set[str] = set()
    delete: list[Pod] = []
    for pod in pods:
        if pod.finished or node_of(pod) not in wanted or node_of(pod) in taken:
            delete.append(pod)
        else:
            taken.add(node_of(pod))
    rolling = part(daemon_set.spec, "updateStrategy").get("type") != "OnDelete"
    if rolling and not delete and taken == wanted and all(pod.ready and not pod.deleting for pod in pods):
        revision = revision_of(daemon_set)
        delete = [pod for pod in pods if (pod.metadata.labels or {}).get(REVISION_LABEL) != revision][:1]
    return sorted(wanted - taken), delete


def build_member(daemon_set: Workload, owner: Json, node: str) -> Json:
    """The Pod for one node; the scheduler places it there."""
    template = part(daemon_set.spec, "template")
    pod = build_pod(template, owner, labels={REVISION_LABEL: revision_of(daemon_set)})
    spec = pod["spec"]
    affinity = part(spec, "affinity")
    here = {"matchFields": [{"key": _NODE_FIELD, "operator": "In", "values": [node]}]}
    node_affinity = {
        **part(affinity, "nodeAffinity"),
        "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [here]},
    }
    tolerations = [{"key": key, "operator": "Exists", "effect": effect} for key, effect in _TOLERATED]
    pod["spec"] = {
        **spec,
        "affinity": {**affinity, "nodeAffinity": node_affinity},
        "tolerations": [*(spec.get("tolerations") or ()), *tolerations],
    }
    return pod


def build_status(daemon_set: Workload, pods: Sequence[Pod], nodes: Sequence[Node], *, created: int) -> Json:
    """Count nodes and Pods, those just created included."""
    wanted = {node.metadata.name for node in nodes}
    live = [pod for pod in pods if pod.active]
    ready = sum(1 for pod in live if pod.ready)
    revision = revision_of(daemon_set)
    updated = sum(1 for pod in live if (pod.metadata.labels or {}).get(REVISION_LABEL) == revision) + created
    status: Json = {
        "currentNumberScheduled": len({node_of(pod) for pod in live} & wanted) + created,
        "numberMisscheduled": len({node_of(pod) for pod in live} - wanted),
        "desiredNumberScheduled": len(wanted),
        "numberReady": ready,
        "observedGeneration": daemon_set.metadata.generation,
    }
    for name, count in (
        ("updatedNumberScheduled", updated),
        ("numberAvailable", ready),
        ("numberUnavailable", len(wanted) - ready),
    ):
        if count:
            status[name] = count
    return status
