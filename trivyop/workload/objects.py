"""Objects: the kinds that run images, as slim structs for informers.

Only fields that somebody uses are listed; the rest is skipped while decoding. ``Slim`` makes the stores
smaller still: pods of one workload share their containers, labels and statuses, and annotations nobody reads
are dropped, after a hash of those that audits go by was taken. A pod then takes about 1 KB.

Promises: values are frozen and may be shared between objects.
Not here: what follows from them (``resolve.py``, ``owners.py``).
"""

from __future__ import annotations

import sys
from collections.abc import Hashable
from typing import Any, TypeVar, cast

import msgspec

from trivyop.kube.objects import Object, ObjectMeta
from trivyop.workload.audited import SEEN, annotations_state

T = TypeVar("T", bound=Object)
H = TypeVar("H", bound=Hashable)
V = TypeVar("V")


class Container(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    name: str
    image: str = ""
    restart_policy: str = ""  # "Always" makes an init container a sidecar, which goes on running


class ImageVolume(msgspec.Struct, frozen=True, gc=False):
    reference: str = ""


class Volume(msgspec.Struct, frozen=True, gc=False):
    name: str
    image: ImageVolume | None = None  # ``Slim`` drops volumes of all other kinds


class SecretName(msgspec.Struct, frozen=True, gc=False):
    name: str = ""


class PodSpec(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    containers: tuple[Container, ...] = ()
    init_containers: tuple[Container, ...] = ()
    ephemeral_containers: tuple[Container, ...] = ()
    node_name: str = ""
    service_account_name: str = ""
    image_pull_secrets: tuple[SecretName, ...] = ()
    volumes: tuple[Volume, ...] = ()


class Waiting(msgspec.Struct, frozen=True, gc=False):
    reason: str = ""


class ContainerState(msgspec.Struct, frozen=True, gc=False):
    waiting: Waiting | None = None


class ImageVolumeStatus(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    image_ref: str = ""  # as ``imageID`` of a container; Kubernetes 1.35 and later may have it


class VolumeStatus(msgspec.Struct, frozen=True, gc=False):
    image: ImageVolumeStatus | None = None


class VolumeMountStatus(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    name: str  # of the volume
    volume_status: VolumeStatus | None = None

    @property
    def image_ref(self) -> str:
        """What the runtime mounted; "" if it does not say."""
        image = self.volume_status.image if self.volume_status else None
        return image.image_ref if image else ""


class ContainerStatus(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    name: str
    image_id: str = msgspec.field(default="", name="imageID")
    state: ContainerState = ContainerState()
    restart_count: int = 0
    volume_mounts: tuple[VolumeMountStatus, ...] = ()  # ``Slim`` keeps those that name an image


class PodStatus(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    phase: str = ""
    container_statuses: tuple[ContainerStatus, ...] = ()
    init_container_statuses: tuple[ContainerStatus, ...] = ()
    ephemeral_container_statuses: tuple[ContainerStatus, ...] = ()


class Pod(Object, frozen=True, gc=False, rename="camel", kw_only=True):
    spec: PodSpec
    status: PodStatus = PodStatus()

    @property
    def ended(self) -> bool:
        """Whether none of its containers runs, or will run again."""
        return self.status.phase in _ENDED


_ENDED = frozenset({"Succeeded", "Failed"})


class PodTemplate(msgspec.Struct, frozen=True, gc=False):
    spec: PodSpec = PodSpec()


class TemplateSpec(msgspec.Struct, frozen=True, gc=False):
    template: PodTemplate = PodTemplate()


class ReplicaSet(Object, frozen=True, gc=False, rename="camel", kw_only=True):
    spec: TemplateSpec


class StatefulSet(Object, frozen=True, gc=False, rename="camel", kw_only=True):
    spec: TemplateSpec


class DaemonSet(Object, frozen=True, gc=False, rename="camel", kw_only=True):
    spec: TemplateSpec


class ReplicationController(Object, frozen=True, gc=False, rename="camel", kw_only=True):
    spec: TemplateSpec


class Job(Object, frozen=True, gc=False, rename="camel", kw_only=True):
    spec: TemplateSpec


class JobTemplate(msgspec.Struct, frozen=True, gc=False):
    spec: TemplateSpec = TemplateSpec()


class CronJobSpec(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    job_template: JobTemplate = JobTemplate()


class CronJob(Object, frozen=True, gc=False, rename="camel", kw_only=True):
    spec: CronJobSpec


class Deployment(Object, frozen=True, gc=False, rename="camel", kw_only=True):
    """Nothing attaches to it: what runs are its ReplicaSets."""


class NodeInfo(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    operating_system: str = ""
    architecture: str = ""


class NodeStatus(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    node_info: NodeInfo = NodeInfo()


class Node(Object, frozen=True, gc=False, rename="camel", kw_only=True):
    status: NodeStatus = NodeStatus()

    @property
    def platform(self) -> str | None:
        """ "linux/arm64"; None as long as the kubelet has not said."""
        info = self.status.node_info
        known = info.operating_system and info.architecture
        return f"{info.operating_system}/{info.architecture}" if known else None


DEPLOYMENT_REVISION = "deployment.kubernetes.io/revision"
ROLLOUT_REVISION = "rollout.argoproj.io/revision"  # of Argo, which numbers as a Deployment does
DEPLOYMENT_CONFIG_VERSION = "openshift.io/deployment-config.latest-version"
DEPLOYMENT_CONFIG_NAME = "openshift.io/deployment-config.name"
_KEPT_ANNOTATIONS = frozenset(
    {DEPLOYMENT_REVISION, ROLLOUT_REVISION, DEPLOYMENT_CONFIG_VERSION, DEPLOYMENT_CONFIG_NAME}
)
_KEPT_PREFIXES = ("trivyop.dev/", "trivy-operator.aquasecurity.github.io/")


class Slim:
    """Transform of an informer: makes what was just decoded small, in place.

    What two objects have in common, the later one takes from the earlier one. Objects of one owner are alike,
    so each is first compared with the first of its owner, its twin, which is cheap; what differs from there
    is looked up by its value. One ``Slim`` for all informers shares the most.
    """

    def __init__(self, capacity: int = 8192) -> None:
        self._capacity = capacity
        self._known: dict[Hashable, Any] = {}  # twins by the uid of their owner, shared values by themselves

    def __call__(self, obj: T) -> T:
        meta = obj.metadata
        owners = meta.owner_references
        twin: T | None = self._known.get(owners[0].uid) if owners else None
        if type(twin) is not type(obj):
            twin = None
        its = _NO_META if twin is None else twin.metadata
        if meta.labels:
            _set(meta, "labels", its.labels if meta.labels == its.labels else self._labels(meta.labels))
        if meta.annotations:
            _set(meta, "annotations", _worth_keeping(obj))
        if owners:
            theirs = its.owner_references
            _set(meta, "owner_references", theirs if owners == theirs else self._shared(owners))
        if isinstance(obj, Pod):
            self._slim_pod(obj, _NO_POD if twin is None else cast("Pod", twin))
        elif isinstance(obj, (ReplicaSet, StatefulSet, DaemonSet, ReplicationController, Job, CronJob)):
            _keep_image_volumes(_template_of(obj).spec)
            _set(obj, "spec", self._shared(obj.spec))
        if owners and twin is None:
            self._remember(owners[0].uid, obj)
        return obj

    @property
    def remembered(self) -> int:
        """How many values are held for sharing."""
        return len(self._known)

    def _slim_pod(self, pod: Pod, twin: Pod) -> None:
        spec, its = pod.spec, twin.spec
        _keep_image_volumes(spec)
        _keep_image_mounts(pod.status)
        if spec.volumes:
            _set(spec, "volumes", self._shared(spec.volumes))
        same = its.containers
        _set(spec, "containers", same if spec.containers == same else self._shared(spec.containers))
        if spec.init_containers:
            _set(spec, "init_containers", self._shared(spec.init_containers))
        if spec.ephemeral_containers:
            _set(spec, "ephemeral_containers", self._shared(spec.ephemeral_containers))
        if spec.image_pull_secrets:
            _set(spec, "image_pull_secrets", self._shared(spec.image_pull_secrets))
        _set(spec, "node_name", sys.intern(spec.node_name))
        _set(spec, "service_account_name", sys.intern(spec.service_account_name))
        _set(pod, "status", twin.status if pod.status == twin.status else self._shared(pod.status))

    def _labels(self, labels: dict[str, str]) -> dict[str, str]:
        pairs = tuple(labels.items())
        known = self._known.get(pairs)
        return self._remember(pairs, labels) if known is None else known

    def _shared(self, value: H) -> H:
        """The equal value that was seen first, so that this one can go."""
        known = self._known.get(value)
        return self._remember(value, value) if known is None else known

    def _remember(self, key: Hashable, value: V) -> V:
        if len(self._known) >= self._capacity:  # the oldest may be of objects long gone
            del self._known[next(iter(self._known))]
        self._known[key] = value
        return value


_set = msgspec.structs.force_setattr  # frozen is for readers, and nobody has seen what was just decoded
_API_VERSIONS: dict[type[Object], str] = {
    Pod: "v1",
    ReplicationController: "v1",
    ReplicaSet: "apps/v1",
    StatefulSet: "apps/v1",
    DaemonSet: "apps/v1",
    Job: "batch/v1",
    CronJob: "batch/v1",
}
_NO_META = ObjectMeta()
_NO_POD = Pod(metadata=_NO_META, spec=PodSpec())


def _template_of(
    obj: ReplicaSet | StatefulSet | DaemonSet | ReplicationController | Job | CronJob,
) -> PodTemplate:
    if isinstance(obj, CronJob):
        return obj.spec.job_template.spec.template
    return obj.spec.template


def _keep_image_volumes(spec: PodSpec) -> None:
    if spec.volumes:
        _set(spec, "volumes", tuple(volume for volume in spec.volumes if volume.image))


def _keep_image_mounts(status: PodStatus) -> None:
    """The names of other volumes differ from pod to pod, whose statuses then could not be shared."""
    for statuses in (
        status.container_statuses,
        status.init_container_statuses,
        status.ephemeral_container_statuses,
    ):
        for one in statuses:
            if one.volume_mounts:
                kept = tuple(mount for mount in one.volume_mounts if mount.image_ref)
                _set(one, "volume_mounts", kept)


def _worth_keeping(obj: Object) -> dict[str, str] | None:
    annotations = obj.metadata.annotations or {}
    kept: dict[str, str] | None = None
    for key in annotations:
        if key in _KEPT_ANNOTATIONS or key.startswith(_KEPT_PREFIXES):
            kept = kept or {}
            kept[key] = annotations[key]
    if isinstance(obj, Pod) and obj.metadata.owner_references:
        return kept  # its owner is what is audited
    seen = annotations_state(annotations, _API_VERSIONS.get(type(obj), ""))
    if seen:
        kept = kept or {}
        kept[SEEN] = seen
    return kept
