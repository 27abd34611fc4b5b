"""Resolve: from an object to the workload that is scanned, or the reason why it is not.

The rules say which object of a family of owners the reports attach to (the active ReplicaSet of a Deployment,
the CronJob and not its Jobs, a pod only if nothing we know controls it) and which revisions are current. They
read listers and decide; they write nothing and wait for nothing.

What has pods runs, whatever its number: an old revision whose pods still serve (a rollout that is stuck or
paused, a canary) is scanned like the newest one. It is outdated once its last pod is gone.

Promises: the same listers and selection give the same answer; a pod's spec hash changes with its images only,
not with its node or status.
Not here: who owns whom (``owners.py``), and which images a workload runs (``running.py``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Generic, TypeVar

from trivyop.kube.objects import Object, controller_of
from trivyop.kube.resources import ObjectKey
from trivyop.workload.images import ContainerImage, ContainerKind
from trivyop.workload.objects import (
    DEPLOYMENT_CONFIG_NAME,
    DEPLOYMENT_CONFIG_VERSION,
    DEPLOYMENT_REVISION,
    ROLLOUT_REVISION,
    CronJob,
    DaemonSet,
    Job,
    Node,
    Pod,
    PodSpec,
    ReplicaSet,
    ReplicationController,
    StatefulSet,
)
from trivyop.workload.owners import (
    BY_CONTROLLER,
    Lister,
    WorkloadKind,
    WorkloadRef,
    revisions,
    workload_of_job,
    workload_of_pod,
)
from trivyop.workload.running import Same, different, images_of, running_images
from trivyop.workload.selection import MANAGED_BY, MANAGED_BY_VALUE, Selection

T_co = TypeVar("T_co", covariant=True)
PLACEHOLDERS = frozenset({"auto"})
"""What Istio's gateways have for an image until their injector writes the real one, at admission."""

_LISTS = {ContainerKind.SIDECAR: ContainerKind.INIT}  # the list of the pod spec that both are in

Scannable = Pod | ReplicaSet | ReplicationController | StatefulSet | DaemonSet | Job | CronJob


class Reason(StrEnum):
    """Why an object is not scanned; the text is for people."""

    KIND = "kind is not targeted"
    NAMESPACE = "namespace is not selected"
    LABEL = "carries a skip label"
    OURS = "belongs to the operator"
    TERMINATING = "is being deleted"
    CONTROLLED = "its controller is scanned instead"
    OUTDATED = "is not the current revision"
    NO_PODS = "has no pods"
    NO_IMAGES = "all its images are excluded"


@dataclass(frozen=True, slots=True)
class Skipped:
    """The object exists, but is not scanned."""

    reason: Reason

    @property
    def keeps_reports(self) -> bool:
        """Whether the reports it has still say something true about it."""
        return self.reason in (Reason.NO_PODS, Reason.TERMINATING)


@dataclass(frozen=True, slots=True)
class Workload:
    """An object that reports attach to, with the images it runs."""

    kind: str
    api_version: str
    key: ObjectKey
    uid: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    containers: tuple[ContainerImage, ...]
    spec_hash: str  # of the template's containers; a valid label value
    service_account: str = ""
    pull_secrets: tuple[str, ...] = ()
    node_name: str = ""  # where one of its pods runs


class NoLister(Generic[T_co]):
    """Lister of a kind that is not watched."""

    def get(self, key: ObjectKey, /) -> T_co | None:
        del key
        return None

    def by_index(self, name: str, value: str, /) -> Sequence[T_co]:
        del name, value
        return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Listers:
    """Everything the rules read. The lister of every kind but Node has the index ``BY_CONTROLLER``."""

    pods: Lister[Pod]
    replica_sets: Lister[ReplicaSet] = field(default_factory=NoLister[ReplicaSet])
    replication_controllers: Lister[ReplicationController] = field(
        default_factory=NoLister[ReplicationController]
    )
    stateful_sets: Lister[StatefulSet] = field(default_factory=NoLister[StatefulSet])
    daemon_sets: Lister[DaemonSet] = field(default_factory=NoLister[DaemonSet])
    jobs: Lister[Job] = field(default_factory=NoLister[Job])
    cron_jobs: Lister[CronJob] = field(default_factory=NoLister[CronJob])
    nodes: Lister[Node] = field(default_factory=NoLister[Node])
    same: Same = different

    def of(self, kind: WorkloadKind) -> Lister[Scannable]:
        match kind:
            case WorkloadKind.POD:
                return self.pods
            case WorkloadKind.REPLICA_SET:
                return self.replica_sets
            case WorkloadKind.REPLICATION_CONTROLLER:
                return self.replication_controllers
            case WorkloadKind.STATEFUL_SET:
                return self.stateful_sets
            case WorkloadKind.DAEMON_SET:
                return self.daemon_sets
            case WorkloadKind.JOB:
                return self.jobs
            case WorkloadKind.CRON_JOB:
                return self.cron_jobs


def concerned(kind: WorkloadKind, obj: Object, listers: Listers) -> Iterator[WorkloadRef]:
    """The workloads that a change of an object of that kind may concern."""
    if isinstance(obj, Pod):
        yield workload_of_pod(obj, listers.jobs)
    elif isinstance(obj, Job):
        yield from dict.fromkeys((WorkloadRef(kind, obj.key), workload_of_job(obj)))
    elif kind in (WorkloadKind.REPLICA_SET, WorkloadKind.REPLICATION_CONTROLLER):
        yield from revisions(kind, obj, listers.of(kind))
    else:
        yield WorkloadRef(kind, obj.key)


def resolve(
    kind: WorkloadKind, key: ObjectKey, listers: Listers, selection: Selection
) -> Workload | Skipped | None:
    """Say what is to be scanned for an object; None if there is no such object."""
    obj = listers.of(kind).get(key)
    if obj is None:
        return None
    pods, running = _pods_of(obj, listers)
    reason = _unwanted(kind, obj, selection) or _not_the_one(obj, pods, listers, selection)
    if reason is not None:
        return Skipped(reason)

    def wanted(kind: ContainerKind, image: str) -> bool:
        skipped = selection.skip_init_containers and kind is ContainerKind.INIT
        return not (skipped or image in PLACEHOLDERS or selection.excludes_image(image))

    template = pod_spec_of(obj)
    containers = tuple(
        running_images(template, pods, listers.nodes, wanted, same=listers.same, one_each=not running)
    )
    if not containers:
        return Skipped(Reason.NO_IMAGES)
    return Workload(
        kind=kind.value,
        api_version=kind.resource.api_version,
        key=key,
        uid=obj.metadata.uid,
        labels=obj.metadata.labels or {},
        annotations=obj.metadata.annotations or {},
        containers=containers,
        spec_hash=spec_hash(template),
        service_account=template.service_account_name,
        pull_secrets=tuple(secret.name for secret in template.image_pull_secrets if secret.name),
        node_name=next((pod.spec.node_name for pod in pods if pod.spec.node_name), ""),
    )


def pod_spec_of(obj: Scannable) -> PodSpec:
    """The spec its pods are made from; a pod's own."""
    match obj:
        case Pod():
            return obj.spec
        case CronJob():
            return obj.spec.job_template.spec.template.spec
        case _:
            return obj.spec.template.spec


def spec_hash(spec: PodSpec) -> str:
    """Hash what decides on the images: kind, place and image of each, in any order."""
    lines = sorted(
        f"{_LISTS.get(named.kind, named.kind)}\0{named.place}\0{named.image}" for named in images_of(spec)
    )
    return hashlib.blake2b("\n".join(lines).encode(), digest_size=8).hexdigest()


def _unwanted(kind: WorkloadKind, obj: Object, selection: Selection) -> Reason | None:
    """What the object's own metadata says against scanning it."""
    labels = obj.metadata.labels or {}
    if kind not in selection.kinds:
        return Reason.KIND
    if not selection.namespaces.includes(obj.metadata.namespace):
        return Reason.NAMESPACE
    if labels.get(MANAGED_BY) == MANAGED_BY_VALUE:
        return Reason.OURS
    if not selection.skip_label_keys.isdisjoint(labels):
        return Reason.LABEL
    if obj.metadata.deletion_timestamp is not None:
        return Reason.TERMINATING
    return None


def _not_the_one(
    obj: Scannable, pods: Sequence[Pod], listers: Listers, selection: Selection
) -> Reason | None:
    """What the object's place among its owners and pods says against scanning it."""
    match obj:
        case Pod() if workload_of_pod(obj, listers.jobs) != WorkloadRef(WorkloadKind.POD, obj.key):
            return Reason.CONTROLLED
        case Pod() if DEPLOYMENT_CONFIG_NAME in (
            obj.metadata.annotations or {}
        ):  # runs a rollout, no workload
            return Reason.CONTROLLED
        case Job() if workload_of_job(obj).kind is WorkloadKind.CRON_JOB:
            return Reason.CONTROLLED
        case ReplicaSet() | ReplicationController() if not pods:
            outdated = selection.only_current_revisions and not _is_current(obj, listers)
            return Reason.OUTDATED if outdated else Reason.NO_PODS
        case StatefulSet() if not pods:
            return Reason.NO_PODS
        case _:
            return None


def _is_current(obj: ReplicaSet | ReplicationController, listers: Listers) -> bool:
    if isinstance(obj, ReplicaSet):
        by_argo = ROLLOUT_REVISION in (obj.metadata.annotations or {})
        return _is_newest(obj, ROLLOUT_REVISION if by_argo else DEPLOYMENT_REVISION, listers.replica_sets)
    return _is_newest(obj, DEPLOYMENT_CONFIG_VERSION, listers.replication_controllers)


def _is_newest(obj: Object, annotation: str, siblings: Lister[Object]) -> bool:
    """Whether no other object of the same controller has a higher revision.

    A Deployment gives its current ReplicaSet the highest number, also on a rollback, so the Deployment itself
    need not be watched; Argo's Rollout does the same. Controllers that number nothing have no outdated
    revisions.
    """
    owner = controller_of(obj.metadata)
    if owner is None:
        return True
    own = _revision(obj, annotation)
    return all(_revision(other, annotation) <= own for other in siblings.by_index(BY_CONTROLLER, owner.uid))


def _revision(obj: Object, annotation: str) -> int:
    text = (obj.metadata.annotations or {}).get(annotation, "")
    return int(text) if text.isascii() and text.isdigit() else 0


def _pods_of(obj: Scannable, listers: Listers) -> tuple[Sequence[Pod], bool]:
    """The pods that show what it runs, and whether they run.

    Those that ended count where they are meant to end, as long as no other runs; of a CronJob, whose template
    may have changed since, only if their Job was made from the template of now.
    """
    match obj:
        case Pod():
            return (obj,), True
        case Job():
            pods = listers.pods.by_index(BY_CONTROLLER, obj.metadata.uid)
            running = _running(pods)
            return running or pods, bool(running)
        case CronJob():
            jobs = listers.jobs.by_index(BY_CONTROLLER, obj.metadata.uid)
            of_jobs = [(job, listers.pods.by_index(BY_CONTROLLER, job.metadata.uid)) for job in jobs]
            running = _running(pod for _, pods in of_jobs for pod in pods)
            if running:
                return running, True
            now = spec_hash(pod_spec_of(obj))
            return [pod for job, pods in of_jobs if spec_hash(pod_spec_of(job)) == now for pod in pods], False
        case _:
            return _running(listers.pods.by_index(BY_CONTROLLER, obj.metadata.uid)), True


def _running(pods: Iterable[Pod]) -> list[Pod]:
    return [pod for pod in pods if not pod.ended]
