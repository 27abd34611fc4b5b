"""Running: the scan Job that each scan has, whether its pod starts, and the slots that they hold.

A Job counts from the moment it was created, before the informer observes it, until it has ended or is gone.
How long it runs is counted here, by a clock that nobody sets: the cluster's clock may be off by more than our
patience, and both may jump.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from trivyop.control.clock import Clock
from trivyop.controllers.ahead import Ahead
from trivyop.controllers.informers import BY_SCAN, Informers
from trivyop.controllers.starting import Obstacle, Starts, Stuck
from trivyop.kube.resources import ObjectKey
from trivyop.scan.job import ScanJob
from trivyop.scan.lifecycle import JobState, JobView
from trivyop.scan.slots import Slots


@dataclass(slots=True)
class _Held:
    """A Job that runs."""

    key: ObjectKey
    since: float  # when it was first observed, by the monotonic clock
    had_pod: bool = False
    started: bool = False
    without_slot: bool = False


class RunningJobs:
    """The Jobs of scans, by the name of the ImageScan."""

    def __init__(
        self,
        informers: Informers,
        slots: Slots,
        clock: Clock,
        changed: Callable[[str], None],
        *,
        started: Callable[[str, str], None],
        ended: Callable[[str], None],
    ) -> None:
        """`changed` is called with the name of a scan whose Job came, ended or went, or whose pod changed.

        `started` is called with the name and the Job's namespace when its pod first runs something, `ended`
        with the namespace when the Job of such a pod ends.
        """
        self.slots = slots
        self._informers = informers
        self._clock = clock
        self._changed = changed
        self._started = started
        self._ended = ended
        self._starts = Starts(informers.scan_pods, informers.start_notices, clock, self._start_changed)
        self._held: dict[str, _Held] = {}
        self._ignored: set[ObjectKey] = set()
        self._made = Ahead[str, ScanJob](informers.scan_jobs, lost=lambda key, scan: self._gone(scan, key))

    def listen(self) -> None:
        """Begin to look at what changes; call it once all stores are filled."""
        self._informers.scan_jobs.add_handler(self._job_changed)
        self._starts.listen()

    def __contains__(self, scan: str) -> bool:
        return scan in self._held

    def of(self, scan: str) -> JobView | None:
        """The Job of a scan: the one that runs, else the newest that has ended."""
        held = self._held.get(scan)
        if held is not None:
            age = timedelta(seconds=self._clock.monotonic() - held.since)
            stuck = self.stuck(scan)
            lonely = timedelta() if held.had_pod or self._is_suspended(held.key) else age
            return JobView(
                held.key.name,
                JobState.RUNNING,
                age,
                stuck=None if stuck is None else stuck.age,
                lonely=lonely,
            )
        jobs = [
            job
            for job in self._informers.scan_jobs.by_index(BY_SCAN, scan)
            if not job.going and job.key not in self._ignored
        ]
        newest = max(jobs, key=lambda job: (job.attempt, job.created, job.metadata.name), default=None)
        if newest is None:
            return None
        return JobView(newest.metadata.name, newest.state, attempt=newest.attempt)

    def stuck(self, scan: str) -> Stuck | None:
        """What keeps the pod of the Job that runs from starting, if something is known to."""
        uid = self._unstarted(scan)
        return self._starts.stuck(uid) if uid else None

    def obstacle(self, scan: str) -> Obstacle | None:
        """Whatever is said of the pod of the Job that runs, also what may pass by itself."""
        uid = self._unstarted(scan)
        return self._starts.obstacle(uid) if uid else None

    def _unstarted(self, scan: str) -> str:
        """The uid of the Job that runs, if its pod has not started."""
        held = self._held.get(scan)
        there = None if held is None or held.started else self._informers.scan_jobs.get(held.key)
        return "" if there is None else there.metadata.uid

    def release_slot(self, scan: str) -> None:
        """Give back the slot of a Job whose pod does not start; it takes one again when it does."""
        held = self._held.get(scan)
        if held is not None and not held.without_slot:
            held.without_slot = True
            self.slots.release(scan)

    def _is_suspended(self, job: ObjectKey) -> bool:
        there = self._informers.scan_jobs.get(job)
        return there is not None and there.suspended

    def ignore(self, job: ObjectKey) -> None:
        """A Job that we deleted, or can not delete: it does not count, whatever the informer still has."""
        if self._informers.scan_jobs.get(job) is not None:
            self._ignored.add(job)

    def mind(self, job: ObjectKey) -> None:
        """It counts again, if it is still there."""
        self._ignored.discard(job)

    def made(self, scan: str, job: ObjectKey) -> None:
        """A Job was just created; its slot is held already."""
        self._held[scan] = _Held(job, self._clock.monotonic())
        observed = self._informers.scan_jobs.get(job)
        if observed is None:
            self._made.put(job, scan)
        elif observed.state is JobState.FINISHED:  # the informer was faster than the answer
            self.ended(scan, job)

    def ended(self, scan: str, job: ObjectKey) -> None:
        """A Job has ended, or is gone: its slot is free."""
        held = self._held.get(scan)
        if held is not None and held.key == job:
            del self._held[scan]
            self.slots.release(scan)
            if held.started:
                self._ended(job.namespace)

    def _job_changed(self, key: ObjectKey, old: ScanJob | None, new: ScanJob | None) -> None:
        job = new or old
        assert job is not None  # noqa: S101 - a change has a before or an after
        if new is not None and new.state is JobState.RUNNING and not new.going:
            held = self._held.setdefault(job.scan, _Held(key, self._clock.monotonic()))
            if held.key == key:
                self._look_at_start(held, job)
                if not held.without_slot:
                    self.slots.hold(job.scan)
            self._changed(job.scan)
        else:
            ending = self._held.get(job.scan)
            if new is not None and ending is not None and ending.key == key:
                self._look_at_start(ending, new)  # its end may be observed before its pod's start
            self._starts.forget(job.metadata.uid)
            self._gone(job.scan, key)

    def _start_changed(self, key: ObjectKey, uid: str) -> None:
        job = self._informers.scan_jobs.get(key)
        if job is None or job.metadata.uid != uid:
            return  # not a scan's, or the Job itself comes later
        held = self._held.get(job.scan)
        if held is not None and held.key == key:
            self._look_at_start(held, job)
            self._changed(job.scan)

    def _look_at_start(self, held: _Held, job: ScanJob) -> None:
        uid = job.metadata.uid
        held.had_pod = held.had_pod or job.status.active > 0 or self._starts.has_pod(uid)
        if held.started or not self._starts.has_started(uid):
            return
        held.started = True
        if held.without_slot:
            held.without_slot = False
            self.slots.hold(job.scan)
        self._started(job.scan, held.key.namespace)

    def _gone(self, scan: str, job: ObjectKey) -> None:
        observed = self._informers.scan_jobs.get(job)
        if observed is None or not observed.going:  # it is gone, or after all it is still there
            self._ignored.discard(job)
        self.ended(scan, job)
        self._changed(scan)
