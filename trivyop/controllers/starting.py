"""Starting: whether the pods of our Jobs get to run, and what keeps them from it.

A Job whose pod the API server refuses has no pod, and nothing in its status says why; only Events do
(``FailedCreate``). A pod that no node takes says so in a condition, one whose image cannot be pulled in its
container's status, and one whose volumes cannot be mounted in Events again. All of that is read together.

Promises: what is said of a Job is of that very Job, known by its uid; what passed by itself is not said.
Not here: how long that is waited for (``scan.lifecycle``, ``audit.nodes.lifecycle``), its class and remedy
(``trivy.failures``), who may try again and when (``startgates.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from typing import NamedTuple

import msgspec

from trivyop.control.clock import Clock
from trivyop.controllers.jobpods import JobPod, why_it_waits
from trivyop.controllers.lister import Lister
from trivyop.kube.objects import Object, controller_of
from trivyop.kube.refusals import is_refused
from trivyop.kube.resources import JOBS, PODS, ObjectKey
from trivyop.workload.owners import BY_CONTROLLER

JOB_EVENTS = "involvedObject.kind=Job,reason=FailedCreate"
"""Field selector of the Events that say why a Job has no pod."""
POD_EVENTS = "involvedObject.kind=Pod,type=Warning,reason!=Unhealthy,reason!=BackOff,reason!=FailedScheduling"
"""Field selector of the Events that say why a pod does not start; the rest of them its status says."""
BY_REGARDING = "regarding"
"""Index of Events: from the uid of the object that they are about."""

_MESSAGE_LETTERS = 1024
_NODE_REASONS = frozenset(
    {
        "FailedMount",
        "FailedAttachVolume",
        "FailedMapVolume",
        "FailedCreatePodSandBox",
        "FailedCreatePodContainer",
    }
)
_NO_POD = frozenset({"FailedCreate"})
_REPEATED = 3  # times in the first two seconds, where a node says nothing else
_SANDBOX_MADE = "PodReadyToStartContainers"


class Regarding(msgspec.Struct, frozen=True, rename="camel"):
    """The object that an Event is about."""

    kind: str = ""
    namespace: str = ""
    name: str = ""
    uid: str = ""


class Notice(Object, frozen=True, gc=False, rename="camel", kw_only=True):
    """An Event, as far as it says why a pod of ours does not start."""

    involved_object: Regarding = Regarding()
    reason: str = ""
    message: str = ""
    count: int | None = None
    last_timestamp: str | None = None

    @property
    def regarding(self) -> str:
        return self.involved_object.uid


class Obstacle(NamedTuple):
    """What keeps a pod from starting, in Kubernetes' words."""

    reason: str
    message: str


class Stuck(NamedTuple):
    """A Job whose pod does not start."""

    obstacle: Obstacle
    age: timedelta  # since it was first seen


def slim_notice(notice: Notice) -> Notice:
    """Transform of the informers of Events: what is kept is small, whatever was written."""
    meta = notice.metadata
    kept = type(meta)(
        name=meta.name, namespace=meta.namespace, uid=meta.uid, resource_version=meta.resource_version
    )
    return msgspec.structs.replace(notice, metadata=kept, message=notice.message[:_MESSAGE_LETTERS])


def obstacle_of(pod: JobPod | None, notices: Iterable[Notice], *, passing: bool = False) -> Obstacle | None:
    """What keeps a Job's pod from starting, as far as it is said; None if nothing is.

    ``notices`` are the Events about the Job, if there is no pod, else those about the pod. What the Job
    controller gets over by itself, as while the API server starts, is one with ``passing`` only.
    """
    if pod is None:
        return _newest((one for one in notices if passing or is_refused(one.message)), _NO_POD)
    if pod.started or pod.metadata.deletion_timestamp is not None:
        return None
    scheduled = pod.condition("PodScheduled")
    if scheduled is not None and scheduled.status == "False" and scheduled.reason != "SchedulingGated":
        return Obstacle(scheduled.reason or "Unschedulable", scheduled.message)
    for status in (*pod.status.init_container_statuses, *pod.status.container_statuses):
        waiting = why_it_waits(status)
        if waiting is not None:
            return Obstacle(waiting.reason, waiting.message)
    made = pod.condition(_SANDBOX_MADE)
    if made is None:  # nodes before Kubernetes 1.29: what was said once may be over by now
        return _newest([one for one in notices if (one.count or 1) >= _REPEATED], _NODE_REASONS)
    return None if made.status == "True" else _newest(notices, _NODE_REASONS)


def _newest(notices: Iterable[Notice], reasons: frozenset[str]) -> Obstacle | None:
    fitting = [one for one in notices if one.reason in reasons]
    newest = max(fitting, key=lambda one: (one.last_timestamp or "", one.metadata.name), default=None)
    return None if newest is None else Obstacle(newest.reason, newest.message)


class Starts:
    """The starts of one kind of Job, by the Job's uid."""

    def __init__(
        self,
        pods: Lister[JobPod],
        notices: Sequence[Lister[Notice]],
        clock: Clock,
        changed: Callable[[ObjectKey, str], None],
    ) -> None:
        """`changed` is called with key and uid of a Job, not always ours, whose pod or Events changed."""
        self._pods = pods
        self._notices = notices
        self._clock = clock
        self._changed = changed
        self._since: dict[str, float] = {}

    def listen(self) -> None:
        """Begin to look at what changes; call it once all stores are filled."""
        self._pods.add_handler(self._pod_changed)
        for lister in self._notices:
            lister.add_handler(self._notice_changed)

    def stuck(self, job: str) -> Stuck | None:
        """What keeps the pod of a Job that has not ended from starting, if something is known to."""
        obstacle = self.obstacle(job, passing=False)
        if obstacle is None:
            self._since.pop(job, None)
            return None
        now = self._clock.monotonic()
        return Stuck(obstacle, timedelta(seconds=now - self._since.setdefault(job, now)))

    def obstacle(self, job: str, *, passing: bool = True) -> Obstacle | None:
        """What keeps the pod of a Job from starting, now."""
        pod = self._pod(job)
        return obstacle_of(pod, self._about(job if pod is None else pod.metadata.uid), passing=passing)

    def has_pod(self, job: str) -> bool:
        """Whether there is a pod of it; also true where nobody may say."""
        return self._pods.problem is not None or self._pod(job) is not None

    def has_started(self, job: str) -> bool:
        """Whether its pod has got as far as to run something."""
        pod = self._pod(job)
        return pod is not None and pod.started

    def forget(self, job: str) -> None:
        """The Job has ended, or is gone."""
        self._since.pop(job, None)

    def _pod(self, job: str) -> JobPod | None:
        pods = self._pods.by_index(BY_CONTROLLER, job)
        return max(pods, key=lambda pod: pod.metadata.creation_timestamp, default=None)

    def _about(self, uid: str) -> list[Notice]:
        return [notice for lister in self._notices for notice in lister.by_index(BY_REGARDING, uid)]

    def _pod_changed(self, key: ObjectKey, old: JobPod | None, new: JobPod | None) -> None:
        pod = new or old
        owner = None if pod is None else controller_of(pod.metadata)
        if owner is not None and owner.kind == JOBS.kind:
            self._changed(ObjectKey(key.namespace, owner.name), owner.uid)

    def _notice_changed(self, key: ObjectKey, _old: Notice | None, new: Notice | None) -> None:
        if new is None:
            return
        about = new.involved_object
        if about.kind == JOBS.kind:
            self._changed(ObjectKey(about.namespace or key.namespace, about.name), about.uid)
        elif about.kind == PODS.kind:
            there = ObjectKey(about.namespace or key.namespace, about.name)
            self._pod_changed(there, None, self._pods.get(there))
