"""StatefulSets: Pods with ordinal names, made and replaced one after the other.

Claims for volumes are not made, and revisions live in labels only, without ControllerRevision objects.
"""

from __future__ import annotations

from collections.abc import Sequence

from trivyop.kube.resources import STATEFULSETS, ObjectKey
from trivyop.sandbox.changes import Json, part, without_empty
from trivyop.sandbox.controllers.children import PodChildren
from trivyop.sandbox.controllers.cluster import Cluster, enqueue
from trivyop.sandbox.controllers.objects import Pod, Workload
from trivyop.sandbox.controllers.templates import build_pod, content_hash, owner_reference

REVISION_LABEL = "controller-revision-hash"


class StatefulSets:
    """The controller."""

    def __init__(self, cluster: Cluster) -> None:
        self.queue = cluster.queue()
        self._cluster = cluster
        self._sets = cluster.workloads(STATEFULSETS)
        self._sets.add_handler(enqueue(self.queue))
        self._children = PodChildren(cluster, self.queue, STATEFULSETS)

    async def reconcile(self, key: ObjectKey) -> float | None:
        """Bring the Pods one step nearer to what the set says."""
        stateful_set = self._sets.store.get(key)
        if stateful_set is None or stateful_set.deleting:
            return None
        owner = stateful_set.metadata
        if wait := self._children.wait_seconds(owner):
            return wait
        pods = self._children.of(owner)
        create, delete = next_pods(stateful_set, pods)
        reference = owner_reference(STATEFULSETS.api_version, STATEFULSETS.kind, owner)
        await self._children.create(owner, [build_member(stateful_set, reference, n) for n in create])
        await self._children.delete(delete)
        await self._cluster.write_status(
            STATEFULSETS, stateful_set, build_status(stateful_set, pods, len(create))
        )
        return None


def revision_of(stateful_set: Workload) -> str:
    """The name of the template's revision."""
    return f"{stateful_set.metadata.name}-{content_hash(part(stateful_set.spec, 'template'))}"


def ordinal(stateful_set: Workload, pod: Pod) -> int:
    """The number at the end of the Pod's name, -1 if the name is not one of the set's."""
    head, _, tail = pod.metadata.name.rpartition("-")
    return int(tail) if head == stateful_set.metadata.name and tail.isdecimal() else -1


def next_pods(stateful_set: Workload, pods: Sequence[Pod]) -> tuple[list[int], list[Pod]]:
    """The ordinals to create and the Pods to delete now."""
    first = int(part(stateful_set.spec, "ordinals").get("start") or 0)
    wanted = range(first, first + stateful_set.replicas)
    have = {ordinal(stateful_set, pod): pod for pod in pods}
    parallel = stateful_set.spec.get("podManagementPolicy") == "Parallel"
    finished = [pod for pod in pods if pod.finished and not pod.deleting]
    surplus = [have[n] for n in sorted(have, reverse=True) if n not in wanted]
    missing = [n for n in wanted if n not in have]
    if finished:
        return [], finished
    if parallel:
        return missing, surplus or _outdated(stateful_set, have)
    for n in wanted:
        if n not in have:
            return [n], []
        if not have[n].ready or have[n].deleting:
            return [], []
    return [], surplus[:1] or _outdated(stateful_set, have)[:1]


def _outdated(stateful_set: Workload, have: dict[int, Pod]) -> list[Pod]:
    strategy = part(stateful_set.spec, "updateStrategy")
    if strategy.get("type") == "OnDelete":
        return []
    partition = int(part(strategy, "rollingUpdate").get("partition") or 0)
    revision = revision_of(stateful_set)
    return [have[n] for n in sorted(have, reverse=True) if n >= partition and _revision(have[n]) != revision][
        :1
    ]


def _revision(pod: Pod) -> str:
    return (pod.metadata.labels or {}).get(REVISION_LABEL, "")


def build_member(stateful_set: Workload, owner: Json, number: int) -> Json:
    """The Pod of one ordinal."""
    name = f"{stateful_set.metadata.name}-{number}"
    labels = {
        "apps.kubernetes.io/pod-index": str(number),
        "statefulset.kubernetes.io/pod-name": name,
        REVISION_LABEL: revision_of(stateful_set),
    }
    pod = build_pod(part(stateful_set.spec, "template"), owner, name=name, labels=labels)
    pod["spec"] = {
        **pod["spec"],
        "hostname": name,
        "subdomain": stateful_set.spec.get("serviceName") or "",
        # Claims are not made; what mounts them gets a directory that goes with the Pod.
        "volumes": [
            *(pod["spec"].get("volumes") or ()),
            *(
                {"name": claim["metadata"]["name"], "emptyDir": {}}
                for claim in stateful_set.spec.get("volumeClaimTemplates") or ()
            ),
        ],
    }
    return pod


def build_status(stateful_set: Workload, pods: Sequence[Pod], created: int) -> Json:
    """Count the Pods, those just created included."""
    revision = revision_of(stateful_set)
    updated = sum(1 for pod in pods if _revision(pod) == revision) + created
    ready = sum(1 for pod in pods if pod.ready and not pod.deleting)
    before = stateful_set.status.get("currentRevision") or revision
    done = updated >= stateful_set.replicas
    return without_empty(
        {
            "observedGeneration": stateful_set.metadata.generation,
            "replicas": len(pods) + created,
            "readyReplicas": ready,
            "availableReplicas": ready,
            "currentReplicas": updated if done else len(pods) - updated,
            "updatedReplicas": updated,
            "currentRevision": revision if done else before,
            "updateRevision": revision,
            "collisionCount": 0,
        },
        keep=("replicas", "collisionCount", "availableReplicas"),
    )
