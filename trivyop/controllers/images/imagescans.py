"""The reconciler of image scans: take the next step of one image's scan.

`lifecycle.next_step` decides; here its inputs are gathered and its answer is carried out. The status of an
ImageScan is written by nobody else, so what we wrote last counts, not what the informer has told so far.

Promises: at most one Job per scan at a time, across restarts: its Job is found by label, its history is in
the status. A result is written to all workloads that need it before its Job goes.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

import structlog
from msgspec import structs

from trivyop.control.clock import Clock
from trivyop.control.queue import Priority, WorkQueue
from trivyop.controllers.deadlines import LogDeadlines
from trivyop.controllers.images.asking import Asking
from trivyop.controllers.images.delivery import Delivery
from trivyop.controllers.images.gathering import Gathering
from trivyop.controllers.images.outcomes import Outcomes
from trivyop.controllers.images.records import ScanRecords
from trivyop.controllers.images.rematch import Matcher
from trivyop.controllers.images.results import Results, ScanResult, reference_of
from trivyop.controllers.images.scanjobs import ScanJobs
from trivyop.controllers.images.scanstarts import ScanStarts
from trivyop.controllers.images.targets import Target, Targets, references_of
from trivyop.controllers.informers import Informers
from trivyop.controllers.metrics import ScanMetrics
from trivyop.errors import ConflictError, ForbiddenError, TerminalError, TransientError
from trivyop.kube.client import Api
from trivyop.kube.events import EventRecorder
from trivyop.kube.resources import ObjectKey
from trivyop.kube.times import time_or_none
from trivyop.report.artifact import first_digest
from trivyop.report.findings import Findings
from trivyop.scan import state
from trivyop.scan.imagescan import ImageScan, ImageScanStatus, Phase, ResultSource
from trivyop.scan.lifecycle import (
    Adopt,
    Collect,
    Demand,
    Forget,
    MarkUnused,
    Project,
    Reap,
    Rematch,
    StartScan,
    Wait,
    next_step,
)
from trivyop.scan.slots import Slots
from trivyop.settings.values import Settings
from trivyop.trivy.failures import Failure, FailureClass, ScanError, failure
from trivyop.trivy.messages import no_image_in
from trivyop.workload.images import ImageKey, ImageRefError, any_digest
from trivyop.workload.owners import WorkloadRef
from trivyop.workload.resolve import Workload

log = structlog.get_logger(__name__)

_REAP_AGAIN_SECONDS = 60.0


class ImageScans:
    """Reconciles ImageScans by name."""

    def __init__(
        self,
        api: Api,
        informers: Informers,
        targets: Targets,
        delivery: Delivery,
        results: Results,
        jobs: ScanJobs,
        matcher: Matcher,
        *,
        settings: Settings,
        settings_hash: str,
        queue: WorkQueue[str],
        clock: Clock,
        rng: random.Random,
        events: EventRecorder,
        metrics: ScanMetrics,
    ) -> None:
        self._informers = informers
        self._targets = targets
        self._delivery = delivery
        self._results = results
        self._jobs = jobs
        self._matcher = matcher
        self._settings = settings
        self._queue = queue
        self._clock = clock
        self._metrics = metrics
        self.slots = Slots(settings.scan_job.concurrency_limit, queue.add)
        self._gathering = Gathering(delivery, matcher, settings, settings_hash)
        self._starting = ScanStarts(informers, self.slots, settings, queue.add, clock=clock, rng=rng)
        self._running = self._starting.running
        self._records = ScanRecords(
            api, informers, settings.operator.namespace, lost=lambda name: queue.add(name, Priority.USER)
        )
        self._outcomes = Outcomes(
            self._records,
            targets,
            events,
            metrics,
            due=self._gathering.due,
            retry_after_seconds=settings.scan_job.retry_after_seconds,
            clock=clock,
            rng=rng,
        )
        self._urgent: set[str] = set()
        self._log_patience = LogDeadlines(clock)
        self._asking = Asking(targets, delivery)

    # events

    def listen(self) -> None:
        """Begin to look at what changes; call it once all stores are filled."""
        self._running.listen()
        self._informers.scans.add_handler(self._scan_changed)
        self._starting.listen()

    def look_at(self, scan: str, *, urgent: bool, asked_by: WorkloadRef | None = None) -> None:
        """Have a scan looked at; `urgent` if a change asked for it, not the backlog of a start."""
        if asked_by is not None:
            self._asking.add(scan, asked_by)
        if urgent:
            self._urgent.add(scan)
        self._queue.add(scan, Priority.USER if urgent else Priority.BACKLOG)

    def look_at_all(self) -> None:
        """Have all scans looked at, after everything else: the database or the settings changed."""
        for scan in self.names():
            self._queue.add(scan, Priority.REFRESH)

    def names(self) -> Iterable[str]:
        return self._records.names()

    def _scan_changed(self, key: ObjectKey, old: ImageScan | None, new: ImageScan | None) -> None:
        asked = old is not None and (new is None or old.spec != new.spec)
        if asked or old is None or new is None or old.status != new.status:
            self._queue.add(key.name, Priority.USER if asked else Priority.BACKLOG)

    # what others ask

    def serves(self, scan: str, ref: WorkloadRef, workload: Workload) -> bool:
        """Whether nothing is left to do for that workload, as far as can be told cheaply."""
        status = self._records.status(scan)
        if status is None or not status.last_success:
            return False
        targets = list(self._targets.of_workload(scan, ref, workload))
        if state.has_nothing(status):
            return status.settings_hash == self._gathering.hash(targets)
        image, settings_hash = self._records.image(scan), self._gathering.hash(targets)
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
        scan = self._records.get(name)
        targets = self._targets.first_of(name)
        if scan is None:
            if not targets:
                self.slots.release(name)
                self._starting.leave(name)
                self._urgent.discard(name)
                self._asking.forget(name)
                return None
            scan = await self._records.write_spec(name, self._targets.spec(name, targets))
        unsaved = self._informers.sameness.unsaved(scan)
        if unsaved is not None:
            await self._records.save_aliases(name, unsaved)
        status = self._records.status(name) or scan.status
        image, nothing = self._records.image(name), state.has_nothing(status)
        now = self._clock.now()
        job = self._running.of(name)
        settings_hash = self._gathering.hash(targets)
        policy = self._gathering.policy(name, settings_hash)
        demand = Demand(
            in_use=bool(targets),
            missing=not nothing and await self._asking.any_lacks(name, image, settings_hash),
            rescan_after=time_or_none(scan.spec.rescan_after),
            new=name in self._urgent,
        )
        history = state.history_of(status)
        self._starting.remember(name, status, targets)
        if self._starting.lets_through(name):
            history = replace(history, next_retry=now)
        policy = replace(policy, start_patience=self._starting.patience(name))
        means = self._gathering.means(
            scan, status, image, demand, settings_hash, never=history.last_success is None
        )
        step = next_step(history, demand, means, job, policy, now=now)
        if not isinstance(step, StartScan) and name not in self._running:
            self.slots.release(name)  # a place in line that is not needed any more
            self._starting.is_not_wanted(name, status)

        match step:
            case Wait(seconds):
                if job is None:
                    if status.phase in (Phase.QUEUED, Phase.RUNNING):
                        await self._records.save(name, state.settled(status))
                    return seconds
                said, look = self._starting.waited_for(name, status, seconds)
                await self._records.save(name, said)
                return look
            case Collect(job_name):
                await self._collect(scan, status, job_name, targets)
            case Reap(job_name, overdue, unstarted):
                await self._reap(scan, status, job_name, overdue=overdue, unstarted=unstarted)
                return None  # until we are told that it is gone
            case StartScan(priority):
                if not await self._start(scan, status, targets, priority):
                    return None  # until a slot is free
            case Adopt():
                await self._adopt(scan, status, image, settings_hash)
            case Project():
                await self._project(scan, status, image, settings_hash)
            case Rematch():
                await self._rematch(scan, status, image, targets)
            case MarkUnused(since):
                await self._records.save(name, state.unused(status, since, now=now))
            case Forget():
                await self._forget(scan)
                return None
        return 0.0

    # steps

    async def _start(
        self, scan: ImageScan, status: ImageScanStatus, targets: list[Target], priority: Priority
    ) -> bool:
        """Create the scan Job, if there is a slot, and if pods of scans can start."""
        name = scan.metadata.name
        if not self._starting.may_start(name, targets, priority):
            self.slots.release(name)
            await self._records.save(name, self._starting.held_back(status, targets))
            return False
        if not self.slots.acquire(name, priority):
            if status.phase is not Phase.QUEUED:
                await self._records.save(name, state.queued(status))
            return False
        now = self._clock.now()
        try:
            places = references_of(targets, scan.spec.digest, known_good=status.reference)
            turn = places[status.consecutive_failures % len(places)]
            targets = sorted(targets, key=lambda target: target is not turn.target)
            spec = self._targets.spec(name, targets)  # who asks for it may have changed
            scan = await self._records.write_spec(name, spec)
            job = await self._jobs.create(scan, status.attempts + 1, turn.reference, targets)
        except ForbiddenError as error:  # nobody's fault but ours: no attempt, and no Event on workloads
            self.slots.release(name)
            why = failure(FailureClass.PERMISSION, str(error))
            await self._records.save(name, state.held_back(status, why))
            raise
        except TerminalError as error:
            self.slots.release(name)
            invalid = isinstance(error, ImageRefError)
            why = failure(FailureClass.INVALID_IMAGE if invalid else FailureClass.ADMISSION, str(error))
            await self._outcomes.failed(scan, state.attempted(status, now=now), why)
            if not invalid:
                self._starting.refused(name, targets, why)
            return True
        except Exception:
            self.slots.release(name)
            raise
        self._running.made(name, self._jobs.key(name, job))
        self._urgent.discard(name)
        self._metrics.jobs.inc()
        log.info("scan_job_created", scan=name, job=job, image=scan.spec.image, reference=turn.reference)
        # A clock that was set back must not make the answer seem older than the request, for ever.
        moment = max(now, time_or_none(scan.spec.rescan_after) or now)
        await self._records.save(name, state.started(status, job, now=moment))
        return True

    async def _collect(
        self, scan: ImageScan, status: ImageScanStatus, job_name: str, targets: list[Target]
    ) -> None:
        """Read what a finished Job found, and write it to everybody who needs it."""
        name = scan.metadata.name
        if status.job != job_name:  # its creation was the last thing a former life did
            status = state.started(status, job_name, now=self._clock.now())
        job = self._informers.scan_jobs.get(self._jobs.key(name, job_name))
        if job is None:
            return
        try:
            result = await self._results.read(scan, job, targets[0].variant if targets else None)
        except ScanError as error:
            result = error.failure
        except TransientError as error:
            if not self._log_patience.is_over(job_name):
                raise
            result = failure(FailureClass.INTERRUPTED, f"the scan pod's log cannot be read: {error}")
        except ForbiddenError as error:  # the Job stays, and with it its result, until we may read it
            why = failure(FailureClass.PERMISSION, f"the scan pod's log cannot be read: {error}")
            await self._records.save(name, state.unstarted(status, why))
            raise
        except TerminalError as error:
            result = failure(FailureClass.INTERRUPTED, f"the scan pod's log cannot be read: {error}")
        self._log_patience.forget(job_name)
        reference = reference_of(scan, job)
        if isinstance(result, ScanResult) and _is_another(result.findings, reference, status, scan):
            result = failure(
                FailureClass.NOT_FOUND, f"{reference} names another image by now than the one that runs"
            )
        no_image = no_image_in(result.message) if isinstance(result, Failure) else ""
        if no_image or (isinstance(result, ScanResult) and not result.findings.has_content):
            await self._outcomes.nothing_to_scan(
                scan,
                structs.replace(status, reference=reference),
                no_image or f"{reference} has no layers, so it is no image that could be looked into",
                digest=scan.spec.digest,
                settings_hash=self._gathering.hash(targets),
            )
            return
        if isinstance(result, Failure):
            await self._failed(scan, status, result, targets)
            return
        status = structs.replace(status, reference=reference, image_id=result.findings.image_id)
        digest = scan.spec.digest or first_digest(result.findings.repo_digests) or ""
        image = ImageKey(digest, scan.spec.platform or None)
        with self._asking.serving(name):
            everybody = self._targets.of(name)
            refused = await self._delivery.deliver(everybody, image, result, self._gathering.hash(targets))
        await self._outcomes.succeeded(
            scan,
            status,
            result,
            ResultSource.SCAN,
            digest=digest,
            settings_hash=self._gathering.hash(targets),
            refused=refused,
            problem=result.problem or self._matcher.other_trivy(result.findings.scanner_version),
        )
        self._metrics.duration.observe(max(0.0, (self._clock.now() - job.created).total_seconds()))

    async def _failed(
        self, scan: ImageScan, status: ImageScanStatus, why: Failure, targets: list[Target]
    ) -> None:
        """Go on to the next place that may have the image, and fail when none has it."""
        try:
            places = references_of(targets, scan.spec.digest, known_good=status.reference)
        except ImageRefError:
            places = []
        tried = status.consecutive_failures % len(places) if places else 0
        elsewhere = why.failure_class in (FailureClass.NOT_FOUND, FailureClass.AUTH)
        if elsewhere and tried + 1 < len(places):
            await self._outcomes.passed_on(scan, status, why)
            return
        if elsewhere and len(places) > 1:
            others = ", ".join(place.reference for place in places[:-1])
            why = replace(why, message=f"{why.message}; nor can {others} be had")
        await self._outcomes.failed(scan, status, why, places=max(len(places), 1))

    async def _reap(
        self,
        scan: ImageScan,
        status: ImageScanStatus,
        job_name: str,
        *,
        overdue: bool,
        unstarted: bool,
    ) -> None:
        name = scan.metadata.name
        key = self._jobs.key(name, job_name)
        why: Failure | None = None
        if unstarted:
            why = self._starting.why_not(name, key.namespace)
            self._starting.failed(name, key.namespace, why)  # before its slot is free for another
        elif overdue:
            minutes = round(self._settings.scan_job.timeout_seconds / 60, 1)
            why = failure(FailureClass.TIMEOUT, f"Job {job_name} did not end within {minutes} minutes")
        try:
            await self._jobs.delete(name, job_name)
        except TerminalError as error:
            log.warning("scan_job_not_deleted", scan=name, job=job_name, error=str(error))
            self._queue.add(name, Priority.REFRESH)  # nobody will tell of an end
            self._clock.call_later(_REAP_AGAIN_SECONDS, lambda: self._reap_again(name, key))
        self._running.ended(name, key)
        self._running.ignore(key)
        if why is not None:
            if status.job != job_name:
                status = state.started(status, job_name, now=self._clock.now())
            await self._outcomes.failed(scan, status, why)

    def _reap_again(self, name: str, job: ObjectKey) -> None:
        """A Job that could not be deleted counts again: we may be allowed to by now."""
        self._running.mind(job)
        self._queue.add(name, Priority.BACKLOG)

    async def _adopt(
        self, scan: ImageScan, status: ImageScanStatus, image: ImageKey, settings_hash: str
    ) -> None:
        name = scan.metadata.name
        found = self._delivery.adoptable(image, settings_hash, scan.spec.namespace)
        if found is None:
            raise ConflictError(f"the reports to adopt for {name} are gone")
        namespaces = {target.workload.key.namespace for target in self._targets.first_of(name)}
        await self._outcomes.adopted(
            scan,
            status,
            found,
            digest=image.digest,
            settings_hash=settings_hash,
            refused=self._delivery.held_back(namespaces),
        )

    async def _project(
        self, scan: ImageScan, status: ImageScanStatus, image: ImageKey, settings_hash: str
    ) -> None:
        with self._asking.serving(scan.metadata.name) as asking:
            refused = await self._delivery.project(asking, image, settings_hash, scan.spec.namespace)
        await self._outcomes.projected(scan, status, refused)

    async def _rematch(
        self, scan: ImageScan, status: ImageScanStatus, image: ImageKey, targets: list[Target]
    ) -> None:
        bom = await self._delivery.read_bill_of_materials(image)
        if bom is None:
            raise ConflictError(f"the bill of materials of {scan.spec.image} is gone")
        try:
            result = await self._matcher.match(bom, targets[0].variant)
        except ScanError as error:
            await self._outcomes.failed(scan, status, error.failure)
            return
        everybody = self._targets.of(scan.metadata.name)
        settings_hash = self._gathering.hash(targets)
        refused = await self._delivery.deliver_matched(everybody, image, result, settings_hash)
        await self._outcomes.succeeded(
            scan,
            status,
            result,
            ResultSource.REMATCH,
            digest=image.digest,
            settings_hash=settings_hash,
            refused=refused,
        )

    async def _forget(self, scan: ImageScan) -> None:
        name = scan.metadata.name
        if self._records.is_alone(scan):
            await self._delivery.delete_bill_of_materials(self._records.image(name))
        await self._records.delete(scan)
        self._starting.leave(name)
        self._urgent.discard(name)
        self._asking.forget(name)
        log.info("scan_forgotten", scan=name, image=scan.spec.image)


def _is_another(findings: Findings, reference: str, status: ImageScanStatus, scan: ImageScan) -> bool:
    """Whether a tag, scanned in place of a digest, is known to have moved on to another image."""
    by_tag = bool(scan.spec.digest) and any_digest(reference) is None
    return by_tag and bool(status.image_id) and findings.image_id != status.image_id
