"""The pod of a Job that has ended: how its containers ended, or why they never began.

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


class _State(msgspec.Struct, frozen=True):
    terminated: Terminated | None = None
    waiting: Waiting | None = None


class ContainerStatus(msgspec.Struct, frozen=True, rename="camel"):
    """One container."""

    name: str
    state: _State = _State()


class PodStatus(msgspec.Struct, frozen=True, rename="camel"):
    """What became of a pod."""

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


def told(ended: Terminated) -> str:
    """The reason of a termination where it says more than that there was one."""
    return "" if ended.reason in ("Error", "Completed") else ended.reason
