"""Running Jobs: the Job that each owner (an ImageScan, a node) has, whether its pod starts, and its slot.

A Job counts from the moment it was created, before the informer observes it, until it has ended or is gone.
How long it runs is counted here, by a clock that nobody sets: the cluster's clock may be off by more than any
deadline, and both may jump.

Promises: plain calls, no await.
Not here: which Jobs of an owner there are (``of`` of each concern), how they are created and deleted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Generic, NamedTuple, TypeVar

from trivyop.control.clock import Clock
from trivyop.controllers.jobpods import JobPod
from trivyop.controllers.lister import Lister
from trivyop.controllers.overlay import Overlay
from trivyop.controllers.starting import Notice, Obstacle, Starts, Stuck
from trivyop.kube.jobs import OwnJob
from trivyop.kube.resources import ObjectKey
from trivyop.scan.slots import Slots

J = TypeVar("J", bound=OwnJob)


def _ignore(*_: str) -> None:
    """Nobody wants to know."""


@dataclass(slots=True)
class _Held:
    """A Job that runs."""

    key: ObjectKey
    uid: str
    since: float  # when it was created or first observed, by the monotonic clock
    alone_since: float  # the same, or when somebody last held it back
    had_pod: bool = False
    started: bool = False
    without_slot: bool = False


class RunningJob(NamedTuple):
    """A Job that runs, as far as it can be seen."""

    key: ObjectKey
    uid: str
    age: timedelta
    lonely: timedelta  # how long it should have had a pod, and never had one
    stuck: timedelta | None  # how long its pod is known not to start; None: nothing says so


class RunningJobs(Generic[J]):
    """The Jobs that run, by owner."""

    def __init__(
        self,
        jobs: Lister[J],
        pods: Lister[JobPod],
        notices: Sequence[Lister[Notice]],
        slots: Slots,
        clock: Clock,
        *,
        owner_of: Callable[[J], str],
        changed: Callable[[str], None],
        started: Callable[[str, str], None] = _ignore,
        ended: Callable[[str], None] = _ignore,
    ) -> None:
        """`owner_of` says whose a Job is, "" if nobody's; `pods` are of these Jobs, `notices` about both.

        `changed` is called with an owner whose Job came, ended or went, or whose pod changed; `started` with
        owner and namespace when a Job's pod first runs something, `ended` with the namespace when the Job of
        such a pod ends.
        """
        self.slots = slots
        self._jobs = jobs
        self._clock = clock
        self._owner_of = owner_of
        self._changed = changed
        self._started = started
        self._ended = ended
        self._starts = Starts(pods, notices, clock, self._start_changed)
        self._held: dict[str, _Held] = {}
        self._dropped: set[str] = set()  # uids
        self._made = Overlay[tuple[str, str], J](jobs, lost=lambda _, made: self._gone(*made))

    def listen(self) -> None:
        """Begin to look at what changes; call it once all stores are filled."""
        self._jobs.add_handler(self._job_changed)
        self._starts.listen()

    def __contains__(self, owner: str) -> bool:
        return owner in self._held

    def get(self, owner: str) -> RunningJob | None:
        """The Job of that owner that runs."""
        held = self._held.get(owner)
        if held is None:
            return None
        now = self._clock.monotonic()
        stuck, there = self.stuck(owner), self._jobs.get(held.key)
        excused = held.had_pod or (there is not None and there.suspended)
        return RunningJob(
            held.key,
            held.uid,
            age=timedelta(seconds=now - held.since),
            lonely=timedelta(seconds=0 if excused else now - held.alone_since),
            stuck=None if stuck is None else stuck.age,
        )

    def counts(self, job: J) -> bool:
        """Whether a Job that the informer has is one to look at."""
        return not job.going and job.metadata.uid not in self._dropped

    def stuck(self, owner: str) -> Stuck | None:
        """What keeps the pod of the Job that runs from starting, if something is known to."""
        held = self._held.get(owner)
        return None if held is None or held.started else self._starts.stuck(held.uid)

    def obstacle(self, owner: str) -> Obstacle | None:
        """Whatever is said of the pod of the Job that runs, also what may pass by itself."""
        held = self._held.get(owner)
        return None if held is None or held.started else self._starts.obstacle(held.uid)

    def release_slot(self, owner: str) -> None:
        """Give back the slot of a Job whose pod does not start; it takes one again when it does."""
        held = self._held.get(owner)
        if held is not None and not held.without_slot:
            held.without_slot = True
            self.slots.release(owner)

    def made(self, owner: str, key: ObjectKey, uid: str) -> None:
        """A Job was just created; its slot is held already."""
        self._hold(owner, key, uid)
        observed = self._jobs.get(key)
        if observed is None or observed.metadata.uid != uid:
            self._made.put(key, (owner, uid))
        elif observed.finished:  # the informer was faster than the answer
            self._end(owner, uid)

    def drop(self, owner: str, key: ObjectKey) -> None:
        """A Job that we deleted, or cannot delete: it does not count, whatever the informer still has."""
        there, held = self._jobs.get(key), self._held.get(owner)
        if there is not None:
            self._dropped.add(there.metadata.uid)
        if held is not None and held.key == key:
            self._end(owner, held.uid)

    def mind(self, key: ObjectKey) -> None:
        """The Job counts again, if it is still there."""
        there = self._jobs.get(key)
        if there is not None:
            self._dropped.discard(there.metadata.uid)

    def _job_changed(self, key: ObjectKey, old: J | None, new: J | None) -> None:
        job = new or old
        assert job is not None  # noqa: S101 - a change has a before or an after
        owner, uid = self._owner_of(job), job.metadata.uid
        if not owner:
            return
        held = self._held.get(owner)
        if new is not None and not new.finished and not new.going:
            if held is None or (held.key == key and held.uid != uid):
                held = self._hold(owner, key, uid)
            if held.uid == uid:
                self._look_at_start(owner, held, new)
                if not held.without_slot:
                    self.slots.hold(owner)
            self._changed(owner)
            return
        if new is not None and held is not None and held.uid == uid:
            self._look_at_start(owner, held, new)  # its end may be observed before its pod's start
        self._starts.forget(uid)
        if new is None or not new.going:  # it is gone, or after all it is still there
            self._dropped.discard(uid)
        self._gone(owner, uid)

    def _start_changed(self, key: ObjectKey, uid: str) -> None:
        """A pod of some Job changed, or an Event says why it has none."""
        job = self._jobs.get(key)
        if job is None or job.metadata.uid != uid:
            return  # not one of these, or the Job itself comes later
        owner = self._owner_of(job)
        held = self._held.get(owner)
        if held is not None and held.uid == uid:
            self._look_at_start(owner, held, job)
            self._changed(owner)

    def _hold(self, owner: str, key: ObjectKey, uid: str) -> _Held:
        now = self._clock.monotonic()
        held = self._held[owner] = _Held(key, uid, now, now)
        return held

    def _look_at_start(self, owner: str, held: _Held, job: J) -> None:
        if job.suspended:
            held.alone_since = self._clock.monotonic()
        held.had_pod = held.had_pod or job.status.active > 0 or self._starts.has_pod(held.uid)
        if held.started or not self._starts.has_started(held.uid):
            return
        held.started = True
        if held.without_slot:
            held.without_slot = False
            self.slots.hold(owner)
        self._started(owner, held.key.namespace)

    def _gone(self, owner: str, uid: str) -> None:
        self._end(owner, uid)
        self._changed(owner)

    def _end(self, owner: str, uid: str) -> None:
        """The Job has ended, or is gone: its slot is free."""
        held = self._held.get(owner)
        if held is not None and held.uid == uid:
            del self._held[owner]
            self.slots.release(owner)
            if held.started:
                self._ended(held.key.namespace)
