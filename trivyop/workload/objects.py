"""Objects: the kinds that run images, as slim structs for informers.

Only fields that somebody uses are listed; the rest is skipped while decoding. ``Slim`` makes the stores
smaller still: pods of one workload share their containers, labels and statuses, and annotations nobody reads
are dropped. A pod then takes about 1 KB.

Promises: values are frozen and may be shared between objects.
Not here: what follows from them (``resolve.py``, ``owners.py``).
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import TypeVar, cast

import msgspec

from trivyop.kube.objects import Object, ObjectMeta

T = TypeVar("T", bound=Object)
H = TypeVar("H", bound=Hashable)


class Container(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    name: str
    image: str = ""


class SecretName(msgspec.Struct, frozen=True, gc=False):
    name: str = ""


class PodSpec(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    containers: tuple[Container, ...] = ()
    init_containers: tuple[Container, ...] = ()
    ephemeral_containers: tuple[Container, ...] = ()
    node_name: str = ""
    service_account_name: str = ""
    image_pull_secrets: tuple[SecretName, ...] = ()


class Waiting(msgspec.Struct, frozen=True, gc=False):
    reason: str = ""


class ContainerState(msgspec.Struct, frozen=True, gc=False):
    waiting: Waiting | None = None


class ContainerStatus(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    name: str
    image_id: str = msgspec.field(default="", name="imageID")
    state: ContainerState = ContainerState()


class PodStatus(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    container_statuses: tuple[ContainerStatus, ...] = ()
    init_container_statuses: tuple[ContainerStatus, ...] = ()
    ephemeral_container_statuses: tuple[ContainerStatus, ...] = ()


class Pod(Object, frozen=True, gc=False, rename="camel", kw_only=True):
    spec: PodSpec
    status: PodStatus = PodStatus()


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
DEPLOYMENT_CONFIG_VERSION = "openshift.io/deployment-config.latest-version"
DEPLOYMENT_CONFIG_NAME = "openshift.io/deployment-config.name"
_KEPT_ANNOTATIONS = frozenset({DEPLOYMENT_REVISION, DEPLOYMENT_CONFIG_VERSION, DEPLOYMENT_CONFIG_NAME})
_KEPT_PREFIXES = ("trivyop.dev/", "trivy-operator.aquasecurity.github.io/")


class Slim:
    """Transform of an informer: what a store keeps of an object. One for all informers shares the most."""

    def __init__(self, capacity: int = 8192) -> None:
        self._capacity = capacity
        self._shared: dict[Hashable, object] = {}

    def __call__(self, obj: T) -> T:
        changes: dict[str, object] = {"metadata": self._meta(obj.metadata)}
        if isinstance(obj, Pod):
            changes["status"] = self._share(obj.status)
            changes["spec"] = msgspec.structs.replace(
                obj.spec,
                containers=self._share(obj.spec.containers),
                init_containers=self._share(obj.spec.init_containers),
                ephemeral_containers=self._share(obj.spec.ephemeral_containers),
                image_pull_secrets=self._share(obj.spec.image_pull_secrets),
                node_name=self._share(obj.spec.node_name),
                service_account_name=self._share(obj.spec.service_account_name),
            )
        elif isinstance(obj, (ReplicaSet, StatefulSet, DaemonSet, ReplicationController, Job, CronJob)):
            changes["spec"] = self._share(obj.spec)
        return msgspec.structs.replace(obj, **changes)

    @property
    def remembered(self) -> int:
        """How many values are held for sharing."""
        return len(self._shared)

    def _meta(self, meta: ObjectMeta) -> ObjectMeta:
        annotations = {
            key: value
            for key, value in (meta.annotations or {}).items()
            if key in _KEPT_ANNOTATIONS or key.startswith(_KEPT_PREFIXES)
        }
        labels = meta.labels
        if labels:
            labels = cast("dict[str, str]", self._remember(tuple(labels.items()), labels))
        return msgspec.structs.replace(
            meta,
            namespace=self._share(meta.namespace),
            labels=labels,
            annotations=annotations or None,
            owner_references=self._share(meta.owner_references),
        )

    def _share(self, value: H) -> H:
        """Return the equal value that was seen first, so that this one can go."""
        return cast("H", self._remember(value, value))

    def _remember(self, key: Hashable, value: object) -> object:
        seen = self._shared.get(key)
        if seen is not None:
            return seen
        if len(self._shared) >= self._capacity:  # the oldest may be of objects long gone
            del self._shared[next(iter(self._shared))]
        self._shared[key] = value
        return value
