"""The pod of a Job: how its containers ended, or why they have not begun.

Not here: what a scan or a collector makes of it.
"""

from __future__ import annotations

import msgspec

from trivyop.kube.client import Api
from trivyop.kube.objects import Object
from trivyop.kube.resources import PODS, ObjectKey

_JOB_NAME_LABEL = "batch.kubernetes.io/job-name"
_ON_ITS_WAY = frozenset({"", "PodInitializing", "ContainerCreating"})


class Terminated(msgspec.Struct, frozen=True, rename="camel"):
    """How a container ended."""

    exit_code: int = 0
    reason: str = ""
    message: str = ""


class Waiting(msgspec.Struct, frozen=True):
    """Why a container does not run."""

    reason: str = ""
    message: str = ""


class Running(msgspec.Struct, frozen=True, rename="camel"):
    """Since when a container runs."""

    started_at: str = ""


class _State(msgspec.Struct, frozen=True):
    running: Running | None = None
    terminated: Terminated | None = None
    waiting: Waiting | None = None


class ContainerStatus(msgspec.Struct, frozen=True, rename="camel"):
    """One container."""

    name: str
    state: _State = _State()


class PodCondition(msgspec.Struct, frozen=True):
    """A condition of a pod."""

    type: str
    status: str = ""
    reason: str = ""
    message: str = ""


class PodStatus(msgspec.Struct, frozen=True, rename="camel"):
    """What became of a pod."""

    phase: str = ""
    conditions: tuple[PodCondition, ...] = ()
    reason: str = ""
    message: str = ""
    init_container_statuses: tuple[ContainerStatus, ...] = ()
    container_statuses: tuple[ContainerStatus, ...] = ()


class JobPod(Object, frozen=True, rename="camel", kw_only=True):
    """The pod of a Job."""

    status: PodStatus = PodStatus()

    def ended(self, container: str) -> Terminated | None:
        """How that container ended; None if it has not."""
        found = (one.state.terminated for one in self.status.container_statuses if one.name == container)
        return next(found, None)

    @property
    def started(self) -> bool:
        """Whether a container of it runs or ran, or it is over without one."""
        statuses = (*self.status.init_container_statuses, *self.status.container_statuses)
        begun = any(one.state.running is not None or one.state.terminated is not None for one in statuses)
        return begun or self.status.phase not in ("", "Pending")

    def condition(self, type_: str) -> PodCondition | None:
        """The condition of that type; None if there is none."""
        return next((one for one in self.status.conditions if one.type == type_), None)


async def pod_of(api: Api, job: ObjectKey) -> JobPod | None:
    """The newest pod of a Job, if there still is one."""
    listing = await api.list(
        PODS, type=JobPod, namespace=job.namespace, label_selector=f"{_JOB_NAME_LABEL}={job.name}"
    )
    newest = sorted(listing.items, key=lambda pod: pod.metadata.creation_timestamp)
    return newest[-1] if newest else None


def why_it_waits(status: ContainerStatus) -> Waiting | None:
    """What keeps a container from starting, if it is more than that it takes time."""
    waiting = status.state.waiting
    return None if waiting is None or waiting.reason in _ON_ITS_WAY else waiting


def telling_reason(ended: Terminated) -> str:
    """The reason of a termination where it says more than that there was one."""
    return "" if ended.reason in ("Error", "Completed") else ended.reason
