"""Owners: which workload a pod, a Job or a ReplicaSet stands for.

An event says which object changed; these rules say which workloads must be looked at again because of it.
With an ``old`` and a ``new`` state of an object, ask for both: a pod may have been adopted.

Promises: an owner counts by API group and kind, so a StatefulSet of another group is not taken for a built-in
one (its pods are then workloads themselves). A pod stands for itself unless its controller is of a kind that
makes pods from a template; neither a Pod (Spark's executors belong to their driver) nor a CronJob does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple, Protocol, Self, TypeVar

from trivyop.kube.objects import HasMetadata, OwnerReference, controller_of
from trivyop.kube.resources import (
    CRONJOBS,
    DAEMONSETS,
    JOBS,
    PODS,
    REPLICASETS,
    REPLICATIONCONTROLLERS,
    STATEFULSETS,
    ObjectKey,
    Resource,
)
from trivyop.workload.objects import Job, Pod

T_co = TypeVar("T_co", covariant=True)


class Lister(Protocol[T_co]):
    """Read side of an informer's store. What it hands out is shared: read it, never change it."""

    def get(self, key: ObjectKey, /) -> T_co | None: ...

    def by_index(self, name: str, value: str, /) -> Sequence[T_co]: ...


BY_CONTROLLER = "controller"
"""Name of the index that leads from an owner's uid to what it manages."""


def controller_uids(obj: HasMetadata) -> Iterable[str]:
    """Index function of ``BY_CONTROLLER``."""
    owner = controller_of(obj.metadata)
    return () if owner is None else (owner.uid,)


class WorkloadKind(StrEnum):
    """The kinds that reports attach to."""

    POD = "Pod"
    REPLICA_SET = "ReplicaSet"
    REPLICATION_CONTROLLER = "ReplicationController"
    STATEFUL_SET = "StatefulSet"
    DAEMON_SET = "DaemonSet"
    JOB = "Job"
    CRON_JOB = "CronJob"

    @property
    def resource(self) -> Resource:
        """Where the API server keeps them."""
        return RESOURCES[self]


RESOURCES: Mapping[WorkloadKind, Resource] = {
    WorkloadKind.POD: PODS,
    WorkloadKind.REPLICA_SET: REPLICASETS,
    WorkloadKind.REPLICATION_CONTROLLER: REPLICATIONCONTROLLERS,
    WorkloadKind.STATEFUL_SET: STATEFULSETS,
    WorkloadKind.DAEMON_SET: DAEMONSETS,
    WorkloadKind.JOB: JOBS,
    WorkloadKind.CRON_JOB: CRONJOBS,
}
_KINDS = {(resource.group, resource.kind): kind for kind, resource in RESOURCES.items()}
_WITHOUT_PODS = frozenset({WorkloadKind.POD, WorkloadKind.CRON_JOB})  # they make none from a template
_KIND_NAMES = frozenset(kind.value for kind in WorkloadKind)


class WorkloadRef(NamedTuple):
    """A workload to look at."""

    kind: WorkloadKind
    key: ObjectKey

    def __str__(self) -> str:
        return f"{self.kind}/{self.key}"

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Read what ``str`` wrote; None for a kind that reports do not attach to."""
        kind, _, key = text.partition("/")
        return cls(WorkloadKind(kind), ObjectKey.parse(key)) if kind in _KIND_NAMES else None


def workload_kind(owner: OwnerReference) -> WorkloadKind | None:
    """The owner's kind, if it is one that reports attach to."""
    group, _, _ = owner.api_version.rpartition("/")
    return _KINDS.get((group, owner.kind))


def workload_of_pod(pod: Pod, jobs: Lister[Job]) -> WorkloadRef:
    """The workload whose images this pod runs; the pod itself if nothing we know controls it."""
    owner = controller_of(pod.metadata)
    kind = workload_kind(owner) if owner else None
    if owner is None or kind is None or kind in _WITHOUT_PODS:
        return WorkloadRef(WorkloadKind.POD, pod.key)
    key = ObjectKey(pod.metadata.namespace, owner.name)
    job = jobs.get(key) if kind is WorkloadKind.JOB else None
    if job is not None and job.metadata.uid == owner.uid:
        return workload_of_job(job)
    return WorkloadRef(kind, key)


def workload_of_job(job: Job) -> WorkloadRef:
    """The CronJob that made the Job, or else the Job."""
    owner = controller_of(job.metadata)
    if owner is not None and workload_kind(owner) is WorkloadKind.CRON_JOB:
        return WorkloadRef(WorkloadKind.CRON_JOB, ObjectKey(job.metadata.namespace, owner.name))
    return WorkloadRef(WorkloadKind.JOB, job.key)


def revisions(kind: WorkloadKind, obj: HasMetadata, siblings: Lister[HasMetadata]) -> list[WorkloadRef]:
    """All revisions of what controls ``obj``, itself included: a new one makes the others outdated.

    ``siblings`` lists the objects of that kind; used for ReplicaSets and ReplicationControllers.
    """
    refs = {WorkloadRef(kind, obj.metadata.key)}
    for uid in controller_uids(obj):
        refs.update(WorkloadRef(kind, other.metadata.key) for other in siblings.by_index(BY_CONTROLLER, uid))
    return sorted(refs)
