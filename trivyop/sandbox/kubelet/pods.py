"""Pods: what a node agent reads of the Pods bound to it, and what it should do about each. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import StrEnum

import msgspec

from trivyop.kube.objects import ObjectMeta
from trivyop.sandbox.changes import Json
from trivyop.sandbox.controllers.objects import controller_of
from trivyop.sandbox.kubelet.images import FamiliarName
from trivyop.sandbox.kubelet.statuses import (
    Container,
    PodFacts,
    Running,
    Terminated,
    Waiting,
    build_status,
    container_id,
)

MANAGED_BY = "app.kubernetes.io/managed-by"


class BoundContainer(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """A container that does not run here: a name and an image."""

    name: str
    image: str = ""
    restart_policy: str = ""


class BoundContainerStatus(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """A container's status, reduced."""

    name: str
    image: str = ""
    restart_count: int = 0


class BoundSpec(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """A Pod's spec, reduced."""

    containers: tuple[BoundContainer, ...] = ()
    init_containers: tuple[BoundContainer, ...] = ()
    ephemeral_containers: tuple[BoundContainer, ...] = ()
    restart_policy: str = "Always"


class BoundStatus(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """A Pod's status, reduced."""

    phase: str = "Pending"
    conditions: tuple[dict[str, object], ...] = ()
    container_statuses: tuple[BoundContainerStatus, ...] = ()
    init_container_statuses: tuple[BoundContainerStatus, ...] = ()
    ephemeral_container_statuses: tuple[BoundContainerStatus, ...] = ()


class BoundMeta(ObjectMeta, frozen=True, gc=False, rename="camel"):
    """Metadata with the time a deletion gives."""

    deletion_grace_period_seconds: int | None = None


class BoundPod(msgspec.Struct, frozen=True, rename="camel"):
    """A Pod that is bound to this node."""

    metadata: BoundMeta
    spec: BoundSpec = BoundSpec()
    status: BoundStatus = BoundStatus()

    @property
    def finished(self) -> bool:
        return self.status.phase in ("Succeeded", "Failed")

    @property
    def deleting(self) -> bool:
        return self.metadata.deletion_timestamp is not None

    @property
    def of_job(self) -> bool:
        owner = controller_of(self.metadata)
        return owner is not None and owner.kind == "Job"


RunSelector = Callable[[BoundPod], bool]


def scan_pods(pod: BoundPod) -> bool:
    """The default selector: the Pods of scan Jobs."""
    return (pod.metadata.labels or {}).get(MANAGED_BY) == "trivy-operator"


def labelled(*label_sets: dict[str, str]) -> RunSelector:
    """A selector of scan Pods, and of Pods that have all labels of one of the sets."""

    def selector(pod: BoundPod) -> bool:
        have = (pod.metadata.labels or {}).items()
        return scan_pods(pod) or any(wanted.items() <= have for wanted in label_sets)

    return selector


class Task(StrEnum):
    """What to do about a Pod."""

    NOTHING = "nothing"
    RUN = "run"  # start its processes
    PRETEND = "pretend"  # say that it runs
    COMPLETE = "complete"  # say that it has succeeded
    STOP = "stop"  # end its processes
    REMOVE = "remove"  # its end is done: let the object go
    LOST = "lost"  # its processes were another agent's, and are gone


def task_for(pod: BoundPod, *, selected: bool, runs: bool, ran: bool) -> Task:
    """What to do; ``runs`` and ``ran`` say whether it has processes, or had them under this agent."""
    if pod.deleting:
        return Task.STOP if runs else Task.REMOVE
    if pod.finished or runs or ran:
        return Task.NOTHING
    if selected:
        lost = pod.status.phase == "Running" and pod.spec.restart_policy == "Never"
        return Task.LOST if lost else Task.RUN
    if pod.status.phase != "Running":
        return Task.PRETEND
    if len(pod.status.ephemeral_container_statuses) < len(pod.spec.ephemeral_containers):
        return Task.PRETEND
    if any(_runs_another(pod, container) for container in pod.spec.containers):
        return Task.PRETEND
    return Task.COMPLETE if pod.of_job else Task.NOTHING


def containers_of(pod: BoundPod) -> tuple[BoundContainer, ...]:
    """The Pod's containers of all kinds."""
    return (*pod.spec.containers, *pod.spec.init_containers, *pod.spec.ephemeral_containers)


def images_of(pod: BoundPod) -> set[str]:
    """All images the Pod names."""
    return {container.image for container in containers_of(pod)}


def _runs_another(pod: BoundPod, container: BoundContainer) -> bool:
    """Whether the container's image was changed since it started, for which a kubelet starts it anew."""
    told = _status_of(pod, container)
    return told is not None and told.image not in (container.image, str(FamiliarName.parse(container.image)))


def _status_of(pod: BoundPod, container: BoundContainer) -> BoundContainerStatus | None:
    status = pod.status
    every = (
        *status.container_statuses,
        *status.init_container_statuses,
        *status.ephemeral_container_statuses,
    )
    return next((one for one in every if one.name == container.name), None)


def pretended_status(
    pod: BoundPod,
    digests: dict[str, str | tuple[str, str]],
    *,
    stamp: str,
    host_ip: str,
    pod_ip: str,
    completed: bool = False,
) -> Json:
    """The status of a Pod whose containers all do well, but those without a digest.

    For each image ``digests`` has its digest, or why it cannot be pulled: reason and message.
    """
    uid = pod.metadata.uid
    init = _pretend(pod.spec.init_containers, digests, uid, stamp, over=True)
    held = any(isinstance(container.state, Waiting) for container in init)
    main = _pretend(pod.spec.containers, digests, uid, stamp, over=completed, held=held)
    ephemeral = _pretend(pod.spec.ephemeral_containers, digests, uid, stamp, over=False, held=held)
    for one, container in zip(main, pod.spec.containers, strict=True):
        told = _status_of(pod, container)
        one.restart_count = told.restart_count + _runs_another(pod, container) if told else 0
    facts = PodFacts(
        restart_policy="Never" if completed else pod.spec.restart_policy,
        started_at=stamp,
        host_ip=host_ip,
        pod_ip=pod_ip,
        conditions=pod.status.conditions,
    )
    return build_status(facts, init, main, ephemeral, stamp=stamp)


def _pretend(
    containers: Iterable[BoundContainer],
    digests: dict[str, str | tuple[str, str]],
    uid: str,
    stamp: str,
    *,
    over: bool,
    held: bool = False,
) -> list[Container]:
    made: list[Container] = []
    for spec in containers:
        container = Container(spec.name, spec.image, sidecar=over and spec.restart_policy == "Always")
        answer = digests[spec.image]
        if held:
            container.state = Waiting("PodInitializing")
        elif isinstance(answer, tuple):
            container.state = Waiting(*answer)
        else:
            name = FamiliarName.parse(spec.image)
            container.image, container.image_id = str(name), name.image_id(answer)
            container.container_id = container_id(uid, spec.name)
            if over and not container.sidecar:
                container.state = Terminated(
                    0, "Completed", stamp, stamp, container_id=container.container_id
                )
            else:
                container.state, container.ready = Running(stamp), True
        made.append(container)
    return made
