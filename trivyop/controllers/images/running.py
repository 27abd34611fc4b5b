"""Running: the scan Job that each scan has, and the slots that they hold.

A Job counts from the moment it was created, before the informer tells of it, until it has ended or is gone.
How long it runs is counted here, by a clock that nobody sets: the cluster's clock may be off by more than our
patience, and both may jump.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from trivyop.control.clock import Clock
from trivyop.controllers.ahead import Ahead
from trivyop.controllers.view import BY_SCAN, View
from trivyop.kube.resources import ObjectKey
from trivyop.scan.jobs import ScanJob
from trivyop.scan.lifecycle import JobState, JobView
from trivyop.scan.slots import Slots


@dataclass(frozen=True, slots=True)
class _Held:
    """A Job that runs."""

    key: ObjectKey
    since: float  # when we first knew of it, by the monotonic clock


class RunningJobs:
    """The Jobs of scans, by the name of the ImageScan."""

    def __init__(self, view: View, slots: Slots, clock: Clock, changed: Callable[[str], None]) -> None:
        """`changed` is called with the name of a scan whose Job came, ended or went."""
        self.slots = slots
        self._view = view
        self._clock = clock
        self._changed = changed
        self._held: dict[str, _Held] = {}
        self._ignored: set[ObjectKey] = set()
        self._made = Ahead[str, ScanJob](view.scan_jobs, lost=lambda key, scan: self._gone(scan, key))

    def listen(self) -> None:
        """Begin to look at what changes; call it once all stores are filled."""
        self._view.scan_jobs.add_handler(self._job_changed)

    def __contains__(self, scan: str) -> bool:
        return scan in self._held

    def of(self, scan: str) -> JobView | None:
        """The Job of a scan: the one that runs, else the newest that has ended."""
        held = self._held.get(scan)
        if held is not None:
            age = timedelta(seconds=self._clock.monotonic() - held.since)
            return JobView(held.key.name, JobState.RUNNING, age)
        jobs = [
            job
            for job in self._view.scan_jobs.by_index(BY_SCAN, scan)
            if not job.going and job.key not in self._ignored
        ]
        newest = max(jobs, key=lambda job: (job.attempt, job.created, job.metadata.name), default=None)
        if newest is None:
            return None
        return JobView(newest.metadata.name, newest.state, attempt=newest.attempt)

    def ignore(self, job: ObjectKey) -> None:
        """A Job that we deleted, or can not delete: it does not count, whatever the informer still tells."""
        if self._view.scan_jobs.get(job) is not None:
            self._ignored.add(job)

    def made(self, scan: str, job: ObjectKey) -> None:
        """A Job was just created; its slot is held already."""
        self._held[scan] = _Held(job, self._clock.monotonic())
        told = self._view.scan_jobs.get(job)
        if told is None:
            self._made.put(job, scan)
        elif told.state is JobState.FINISHED:  # the informer was faster than the answer
            self.ended(scan, job)

    def ended(self, scan: str, job: ObjectKey) -> None:
        """A Job has ended, or is gone: its slot is free."""
        held = self._held.get(scan)
        if held is not None and held.key == job:
            del self._held[scan]
            self.slots.release(scan)

    def _job_changed(self, key: ObjectKey, old: ScanJob | None, new: ScanJob | None) -> None:
        job = new or old
        assert job is not None  # noqa: S101 - a change has a before or an after
        if new is not None and new.state is JobState.RUNNING and not new.going:
            if self._held.setdefault(job.scan, _Held(key, self._clock.monotonic())).key == key:
                self.slots.hold(job.scan)
            self._changed(job.scan)
        else:
            self._gone(job.scan, key)

    def _gone(self, scan: str, job: ObjectKey) -> None:
        told = self._view.scan_jobs.get(job)
        if told is None or not told.going:  # it is gone, or after all it is still there
            self._ignored.discard(job)
        self.ended(scan, job)
        self._changed(scan)
