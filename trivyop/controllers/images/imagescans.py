"""The reconciler of image scans: take the next step of one image's scan.

`inputs.py` gathers what decides, `scan.lifecycle` decides, `jobsteps.py` and `serving.py` take the step. The
status of an ImageScan is written by nobody else, so what we wrote last counts, not what was observed last.

Promises: at most one Job per scan at a time, across restarts: its Job is found by label, its history is in
the status. A result is written to all workloads that need it before its Job goes.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import structlog
from structlog.contextvars import bound_contextvars

from trivyop.control.queue import Priority
from trivyop.controllers.context import ControllerContext
from trivyop.controllers.images.delivery import Delivery
from trivyop.controllers.images.inputs import Gathered, InputReader
from trivyop.controllers.images.jobsteps import JobSteps
from trivyop.controllers.images.outcomes import Outcomes
from trivyop.controllers.images.pending import PendingRequests
from trivyop.controllers.images.records import ScanRecords
from trivyop.controllers.images.rematch import Matcher
from trivyop.controllers.images.scanjobs import ScanJobs
from trivyop.controllers.images.scanstarts import ScanStarts
from trivyop.controllers.images.serving import Serving
from trivyop.controllers.images.targets import Targets
from trivyop.controllers.selecting import build_options
from trivyop.kube.resources import ObjectKey
from trivyop.scan import state
from trivyop.scan.imagescan import ImageScan, Phase
from trivyop.scan.lifecycle import (
    Adopt,
    Collect,
    Decision,
    Forget,
    MarkUnused,
    Project,
    Reap,
    Rematch,
    StartScan,
    Wait,
    decide,
)
from trivyop.settings import settings_hash
from trivyop.workload.owners import WorkloadRef
from trivyop.workload.resolve import Workload

log = structlog.get_logger(__name__)


class ImageScans:
    """Reconciles ImageScans by name."""

    def __init__(self, context: ControllerContext, targets: Targets, matcher: Matcher) -> None:
        api, informers, settings = context.api, context.informers, context.settings
        delivery = Delivery(
            informers,
            context.reports,
            settings=settings,
            options=build_options(settings),
            clock=context.clock,
        )
        self.queue = queue = context.queue("imagescans", str)
        self._informers = informers
        self._targets = targets
        self._delivery = delivery
        self._clock = context.clock
        self._pending = PendingRequests(targets, delivery)
        self._starts = ScanStarts(context, queue.add)
        self._running = self._starts.running
        self.slots = self._running.slots
        self._records = ScanRecords(
            api, informers, settings.operator.namespace, lost=lambda name: queue.add(name, Priority.USER)
        )
        jobs = ScanJobs(api, informers, settings)
        self._inputs = InputReader(
            self._records,
            jobs,
            self._starts,
            self._pending,
            delivery,
            matcher,
            settings,
            settings_hash(settings),
        )
        outcomes = Outcomes(context, self._records, targets, self._inputs.due)
        self._serving = Serving(targets, delivery, matcher, self._pending, outcomes)
        self._job_steps = JobSteps(
            context, queue, jobs, targets, self._records, self._starts, self._pending, self._serving
        )

    # events

    def listen(self) -> None:
        """Begin to look at what changes; call it once all stores are filled."""
        self._running.listen()
        self._informers.scans.add_handler(self._scan_changed)
        self._starts.listen()

    def look_at(self, scan: str, *, urgent: bool, asked_by: WorkloadRef | None = None) -> None:
        """Have a scan looked at; `urgent` if a change asked for it, not the backlog of a start."""
        self._pending.add(scan, asked_by, urgent=urgent)
        self.queue.add(scan, Priority.USER if urgent else Priority.BACKLOG)

    def look_at_all(self) -> None:
        """Have all scans looked at, after everything else: the database or the settings changed."""
        for scan in self.names():
            self.queue.add(scan, Priority.REFRESH)

    def names(self) -> Iterable[str]:
        return self._records.names()

    def _scan_changed(self, key: ObjectKey, old: ImageScan | None, new: ImageScan | None) -> None:
        asked = old is not None and (new is None or old.spec != new.spec)
        if asked or old is None or new is None or old.status != new.status:
            self.queue.add(key.name, Priority.USER if asked else Priority.BACKLOG)

    # what others ask

    def serves(self, scan: str, ref: WorkloadRef, workload: Workload) -> bool:
        """Whether nothing is left to do for that workload, as far as that is cheap to find out."""
        status = self._records.status(scan)
        if status is None or not status.last_success:
            return False
        targets = list(self._targets.of_workload(scan, ref, workload))
        if state.has_nothing(status):
            return status.settings_hash == self._inputs.hash(targets)
        image, settings_hash = self._records.image(scan), self._inputs.hash(targets)
        return not any(self._delivery.is_missing(target, image, settings_hash) for target in targets)

    def knows(self, scan: str) -> bool:
        """Whether there is an ImageScan of that name."""
        return self._records.get(scan) is not None

    def digest(self, scan: str) -> str:
        """The digest of its image; "" before that is known."""
        return self._records.image(scan).digest

    def is_empty(self, scan: str) -> bool:
        """Whether what it names is known to be no image, so that there is nothing to report."""
        status = self._records.status(scan)
        return status is not None and state.has_nothing(status)

    def is_at_work(self, scan: str) -> bool:
        """Whether its result is under way: a Job runs, or has ended and is read."""
        status = self._records.status(scan)
        return scan in self._running or (status is not None and status.phase is Phase.RUNNING)

    def is_running(self, scan: str) -> bool:
        """Whether there is a Job that will bring all reports of that image."""
        return scan in self._running

    async def ask_for_rescan(self, scan: str, *, since: datetime) -> None:
        """Make the scan due, whatever its result says, unless it was tried `since`."""
        await self._records.ask_for_rescan(scan, since=since)

    # reconciling

    async def reconcile(self, name: str) -> float | None:
        """Take the one next step of the scan; returns seconds until the next look."""
        scan, targets = self._records.get(name), self._targets.first_of(name)
        if scan is None:
            if not targets:
                self.slots.release(name)
                self._leave(name)
                return None
            scan = await self._records.write_spec(name, self._targets.spec(name, targets))
        unsaved = self._informers.digests.unsaved(scan)
        if unsaved is not None:
            await self._records.save_aliases(name, unsaved)
        now = self._clock.now()
        at_hand = await self._inputs.gather(scan, targets, now=now)
        decision = decide(at_hand.inputs, now)
        with bound_contextvars(because=decision.reason.value):
            return await self._act(at_hand, decision, now)

    async def _act(self, at_hand: Gathered, decision: Decision, now: datetime) -> float | None:
        name, status = at_hand.name, at_hand.status
        step, reason = decision
        if not isinstance(step, StartScan) and name not in self._running:
            self.slots.release(name)  # a place in line that is not needed any more
            self._starts.is_not_wanted(name, status)

        match step:
            case Wait(seconds):
                return await self._wait(at_hand, seconds)
            case Collect(job_name):
                await self._job_steps.collect(at_hand, job_name)
            case Reap():
                await self._job_steps.reap(at_hand, step)
                return None  # until its end is observed
            case StartScan(priority):
                if not await self._job_steps.start(at_hand, priority, reason):
                    return None  # until a slot is free
            case Adopt():
                await self._serving.adopt(at_hand)
            case Project():
                await self._serving.project(at_hand)
            case Rematch():
                await self._serving.rematch(at_hand, reason)
            case MarkUnused(since):
                await self._records.save(name, state.unused(status, since, now=now))
            case Forget():
                await self._forget(at_hand.scan)
                return None
        return 0.0

    async def _wait(self, at_hand: Gathered, seconds: float | None) -> float | None:
        name, status = at_hand.name, at_hand.status
        if at_hand.inputs.job is None:
            if status.phase in (Phase.QUEUED, Phase.RUNNING):
                await self._records.save(name, state.settled(status))
            return seconds
        said, look = self._starts.waited_for(name, status, seconds)
        await self._records.save(name, said)
        return look

    async def _forget(self, scan: ImageScan) -> None:
        name = scan.metadata.name
        if self._records.is_alone(scan):
            await self._delivery.delete_bill_of_materials(self._records.image(name))
        await self._records.delete(scan)
        self._leave(name)
        log.info("scan_forgotten", scan=name, image=scan.spec.image)

    def _leave(self, name: str) -> None:
        """Nothing wants the scan any more."""
        self._starts.leave(name)
        self._pending.forget(name)
