"""The reconciler of image scans: take the next step of one image's scan.

`lifecycle.next_step` decides; here its inputs are gathered and its answer is carried out. The status of an
ImageScan is written by nobody else, so what we wrote last counts, not what the informer has told so far.

Promises: at most one Job per scan at a time, across restarts: its Job is found by label, its history is in
the status. A result is written to all workloads that need it before its Job goes.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import msgspec
import structlog

from trivyop.control.clock import Clock
from trivyop.control.queue import Priority, WorkQueue
from trivyop.controllers.ahead import Ahead
from trivyop.controllers.asking import Asking
from trivyop.controllers.delivery import Delivery
from trivyop.controllers.metrics import ScanMetrics
from trivyop.controllers.rematch import Matcher
from trivyop.controllers.results import Results, ScanResult
from trivyop.controllers.running import RunningJobs
from trivyop.controllers.scanjobs import ScanJobs
from trivyop.controllers.targets import Target, Targets
from trivyop.controllers.usage import Usage
from trivyop.controllers.view import BY_DIGEST, View
from trivyop.errors import ConflictError, ForbiddenError, TerminalError, TransientError
from trivyop.kube.client import Api
from trivyop.kube.events import EventRecorder
from trivyop.kube.resources import IMAGESCANS, ObjectKey
from trivyop.report.artifact import first_digest
from trivyop.scan import state
from trivyop.scan.database import DatabaseVersion
from trivyop.scan.failures import Failure, FailureClass, ScanError, failure, next_retry
from trivyop.scan.imagescan import Database, ImageScan, ImageScanStatus, Phase, ResultSource, to_document
from trivyop.scan.lifecycle import (
    Adopt,
    Collect,
    Demand,
    Forget,
    MarkUnused,
    Means,
    Policy,
    Project,
    Reap,
    Rematch,
    StartScan,
    Wait,
    next_step,
    refresh_due,
)
from trivyop.scan.slots import Slots
from trivyop.scan.times import format_precise, format_time, time_or_none
from trivyop.settings.values import Settings
from trivyop.workload.images import ImageKey, ImageRefError
from trivyop.workload.owners import WorkloadRef
from trivyop.workload.resolve import Workload

log = structlog.get_logger(__name__)

_JOB_GRACE = timedelta(seconds=60)  # for the cluster to end a Job at its own deadline
_LOG_PATIENCE_SECONDS = 1800.0  # from the first try; the Job's node may be gone for good
_SPREAD = 0.1  # of the time to live: what was scanned together need not be refreshed together
_TOLD_AT_ONCE = 64  # workloads, before others have their turn on the event loop
_FIELD_MANAGER_OF_REQUESTS = "trivyop-rescan"


class ImageScans:
    """Reconciles ImageScans by name."""

    def __init__(
        self,
        api: Api,
        view: View,
        usage: Usage,
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
        self._api = api
        self._view = view
        self._usage = usage
        self._targets = targets
        self._delivery = delivery
        self._results = results
        self._jobs = jobs
        self._matcher = matcher
        self._settings = settings
        self._settings_hash = settings_hash
        self._namespace = settings.operator.namespace
        self._queue = queue
        self._clock = clock
        self._rng = rng
        self._events = events
        self._metrics = metrics
        self.slots = Slots(settings.scan_job.concurrency_limit, queue.add)
        self._running = RunningJobs(view, self.slots, clock, queue.add)
        self._statuses = Ahead[ImageScanStatus, ImageScan](
            view.scans, lost=self._scan_lost, catches_up=_is_the_written
        )
        self._created = Ahead[ImageScan, ImageScan](view.scans, lost=self._scan_lost)
        self._urgent: set[str] = set()
        self._unread_since: dict[str, float] = {}  # by Job
        self._asking = Asking(targets, delivery)

    # events

    def listen(self) -> None:
        """Begin to look at what changes; call it once all stores are filled."""
        self._running.listen()
        self._view.scans.add_handler(self._scan_changed)

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
        return [key.name for key in self._view.scans.keys()]  # noqa: SIM118 - a mirror, not a dict

    def _scan_changed(self, key: ObjectKey, old: ImageScan | None, new: ImageScan | None) -> None:
        asked = old is not None and (new is None or old.spec != new.spec)
        if asked or old is None or new is None or old.status != new.status:
            self._queue.add(key.name, Priority.USER if asked else Priority.BACKLOG)

    def _scan_lost(self, key: ObjectKey, _noted: ImageScan | ImageScanStatus) -> None:
        self._queue.add(key.name, Priority.USER)

    # what others ask

    def serves(self, scan: str, ref: WorkloadRef, workload: Workload) -> bool:
        """Whether nothing is left to do for that workload, as far as can be told cheaply."""
        status = self._status(scan)
        if status is None or not status.last_success:
            return False
        targets = list(self._targets.of_workload(scan, ref, workload))
        image, settings_hash = self._image(scan, status), self._hash(targets)
        return not any(self._delivery.is_missing(target, image, settings_hash) for target in targets)

    def knows(self, scan: str) -> bool:
        """Whether there is an ImageScan of that name."""
        return self._scan(scan) is not None

    def is_running(self, scan: str) -> bool:
        """Whether there is a Job that will bring all reports of that image."""
        return scan in self._running

    async def ask_for_rescan(self, scan: str, *, since: datetime) -> None:
        """Make the scan due, whatever its result says, unless it was tried `since`.

        That is kept in the object, so it outlives a restart; and so that of many requests at once only those
        count that no scan has answered, each tells when it arose.
        """
        status, there = self._status(scan), self._scan(scan)
        tried = time_or_none(status.last_attempt) if status else None
        asked = time_or_none(there.spec.rescan_after) if there else None
        if any(moment is not None and moment >= since for moment in (tried, asked)):
            return
        patch = {"spec": {"rescanAfter": format_precise(since)}}
        log.info("rescan_requested", scan=scan)
        await self._api.patch(IMAGESCANS, self._key(scan), patch, field_manager=_FIELD_MANAGER_OF_REQUESTS)

    # reconciling

    async def reconcile(self, name: str) -> float | None:
        """Take the one next step of the scan; returns seconds until the next look."""
        scan = self._scan(name)
        targets = self._targets.first_of(name)
        if scan is None:
            if not targets:
                self.slots.release(name)
                self._urgent.discard(name)
                self._asking.forget(name)
                return None
            scan = await self._create(name, targets)
        status = self._statuses.get(self._key(name)) or scan.status
        image = self._image(name, status)
        now = self._clock.now()
        job = self._running.of(name)
        settings_hash = self._hash(targets)
        policy = self._policy(name, settings_hash)
        demand = Demand(
            in_use=bool(targets),
            missing=await self._asking.any_lacks(name, image, settings_hash),
            rescan_after=time_or_none(scan.spec.rescan_after),
            new=name in self._urgent,
        )
        history = state.history_of(status)
        means = self._means(scan, status, image, demand, settings_hash, never=history.last_success is None)
        step = next_step(history, demand, means, job, policy, now=now)
        if not isinstance(step, StartScan) and name not in self._running:
            self.slots.release(name)  # a place in line that is not needed any more

        match step:
            case Wait(seconds):
                if job is None and status.phase in (Phase.QUEUED, Phase.RUNNING):
                    await self._save(name, state.settled(status))
                return seconds
            case Collect(job_name):
                await self._collect(scan, status, job_name, targets)
            case Reap(job_name, overdue):
                await self._reap(scan, status, job_name, overdue=overdue)
                return None  # until we are told that it is gone
            case StartScan(priority):
                if not await self._start(scan, status, targets, priority):
                    return None  # until a slot is free
            case Adopt():
                await self._adopt(scan, status, image, settings_hash)
            case Project():
                with self._asking.serving(name) as asking:
                    await self._delivery.project(asking, image, settings_hash, scan.spec.namespace)
            case Rematch():
                await self._rematch(scan, status, image, targets)
            case MarkUnused(since):
                await self._save(name, state.unused(status, since, now=now))
            case Forget():
                await self._forget(scan)
                return None
        return 0.0

    # gathering

    def _key(self, name: str) -> ObjectKey:
        return ObjectKey(self._namespace, name)

    def _scan(self, name: str) -> ImageScan | None:
        key = self._key(name)
        return self._view.scans.get(key) or self._created.get(key)

    def _status(self, name: str) -> ImageScanStatus | None:
        known = self._statuses.get(self._key(name))
        scan = None if known else self._scan(name)
        return known or (scan.status if scan else None)

    def _image(self, name: str, status: ImageScanStatus) -> ImageKey:
        """The image that is scanned; without a digest before the first result of a reference."""
        scan = self._scan(name)
        digest = (scan.spec.digest if scan else "") or status.digest
        return ImageKey(digest, (scan.spec.platform or None) if scan else None)

    def _hash(self, targets: list[Target]) -> str:
        """Hash of the settings for these; they all want their image scanned in the same way."""
        variant = targets[0].variant.key if targets else ""
        return f"{self._settings_hash}-{variant}" if variant else self._settings_hash

    def _policy(self, name: str, settings_hash: str = "") -> Policy:
        reports, scan_job = self._settings.reports, self._settings.scan_job
        ttl = None
        if reports.ttl_seconds:
            ttl = timedelta(seconds=reports.ttl_seconds * (1 - _SPREAD * _fraction(name)))
        patience = None
        if scan_job.timeout_seconds:
            patience = timedelta(seconds=scan_job.timeout_seconds) + _JOB_GRACE
        return Policy(
            settings_hash=settings_hash,
            report_ttl=ttl,
            forget_after=timedelta(seconds=reports.cache_ttl_seconds or 0),
            job_patience=patience,
            keep_jobs=bool(scan_job.ttl_seconds),
            database_updated=self._matcher.database_updated,
        )

    def _means(
        self,
        scan: ImageScan,
        status: ImageScanStatus,
        image: ImageKey,
        demand: Demand,
        settings_hash: str,
        *,
        never: bool,
    ) -> Means:
        by_digest = bool(scan.spec.digest)
        sources = (
            (demand.missing or never)
            and bool(image.digest)
            and self._delivery.has_sources(image, settings_hash, scan.spec.namespace)
        )
        rematchable = (
            by_digest
            and self._matcher.usable
            and status.settings_hash == settings_hash
            and self._delivery.bill_of_materials(image) is not None
        )
        return Means(
            sources=sources and not never, adoptable=sources and never and by_digest, rematchable=rematchable
        )

    # steps

    async def _create(self, name: str, targets: list[Target]) -> ImageScan:
        body = self._document(name, {"spec": to_document(self._targets.spec(name, targets))})
        answer = await self._api.apply(IMAGESCANS, body)
        scan = msgspec.convert(answer, ImageScan)
        if self._view.scans.get(self._key(name)) is None:
            self._created.put(self._key(name), scan)
        return scan

    async def _start(
        self, scan: ImageScan, status: ImageScanStatus, targets: list[Target], priority: Priority
    ) -> bool:
        """Create the scan Job, if there is a slot."""
        name = scan.metadata.name
        if not self.slots.acquire(name, priority):
            if status.phase is not Phase.QUEUED:
                await self._save(name, state.queued(status))
            return False
        now = self._clock.now()
        targets = _in_turn(targets, status.consecutive_failures)
        try:
            scan = await self._create(name, targets)  # who asks for it may have changed
            job = await self._jobs.create(scan, status.attempts + 1, targets)
        except ImageRefError as error:
            self.slots.release(name)
            await self._failed(scan, status, failure(FailureClass.INVALID_IMAGE, str(error)))
            return True
        except TerminalError as error:
            self.slots.release(name)
            await self._failed(scan, status, failure(FailureClass.ADMISSION, str(error)))
            return True
        except Exception:
            self.slots.release(name)
            raise
        self._running.made(name, self._jobs.key(name, job))
        self._urgent.discard(name)
        self._metrics.jobs.inc()
        log.info("scan_job_created", scan=name, job=job, image=scan.spec.image)
        await self._save(name, state.started(status, job, now=now))
        return True

    async def _collect(
        self, scan: ImageScan, status: ImageScanStatus, job_name: str, targets: list[Target]
    ) -> None:
        """Read what a finished Job found, and write it to everybody who needs it."""
        name = scan.metadata.name
        if status.job != job_name:  # its creation was the last thing a former life did
            status = state.started(status, job_name, now=self._clock.now())
        job = self._view.scan_jobs.get(self._jobs.key(name, job_name))
        if job is None:
            return
        try:
            result = await self._results.read(scan, job)
        except ScanError as error:
            result = error.failure
        except TransientError as error:
            since = self._unread_since.setdefault(job_name, self._clock.monotonic())
            if self._clock.monotonic() < since + _LOG_PATIENCE_SECONDS:
                raise
            result = failure(FailureClass.INTERRUPTED, f"the scan pod's log cannot be read: {error}")
        except TerminalError as error:
            forbidden = isinstance(error, ForbiddenError)
            why = FailureClass.ADMISSION if forbidden else FailureClass.INTERRUPTED
            result = failure(why, f"the scan pod's log cannot be read: {error}")
        self._unread_since.pop(job_name, None)
        if isinstance(result, Failure):
            await self._failed(scan, status, result)
            return
        digest = scan.spec.digest or first_digest(result.findings.repo_digests) or ""
        image = ImageKey(digest, scan.spec.platform or None)
        with self._asking.serving(name):
            everybody = self._targets.of(name)
            refused = await self._delivery.deliver(everybody, image, result, self._hash(targets))
        await self._succeeded(scan, status, image, result, ResultSource.SCAN, targets)
        self._metrics.duration.observe(max(0.0, (self._clock.now() - job.created).total_seconds()))
        if refused:
            log.warning("scan_not_delivered", scan=name, reports=[str(one.key) for one in refused])

    async def _succeeded(
        self,
        scan: ImageScan,
        status: ImageScanStatus,
        image: ImageKey,
        result: ScanResult,
        source: ResultSource,
        targets: list[Target],
    ) -> None:
        name = scan.metadata.name
        now = self._clock.now()
        before = status.summary.secret_count if status.summary else 0
        saved = state.succeeded(
            status,
            source=source,
            settings_hash=self._hash(targets),
            digest=image.digest,
            findings=result.findings,
            secrets=before if source is ResultSource.REMATCH else result.findings.secret_count,
            database=_database(result.database),
            now=now,
        )
        await self._save(name, self._with_refresh(name, saved))
        self._metrics.results.labels(source.value).inc()
        log.info("scan_succeeded", scan=name, image=scan.spec.image, source=source.value)

    def _with_refresh(self, name: str, status: ImageScanStatus) -> ImageScanStatus:
        due = refresh_due(state.history_of(status), replace(self._policy(name), database_updated=None))
        return state.with_refresh(status, due)

    async def _failed(self, scan: ImageScan, status: ImageScanStatus, why: Failure) -> None:
        name = scan.metadata.name
        now = self._clock.now()
        seconds = next_retry(
            why,
            status.consecutive_failures + 1,
            self._rng,
            at_least_seconds=self._settings.scan_job.retry_after_seconds,
        )
        retry_at = None if seconds is None else now + timedelta(seconds=seconds)
        await self._save(name, state.failed(status, why, retry_at=retry_at, now=now))
        self._metrics.failures.labels(why.failure_class.value).inc()
        log.warning(
            "scan_failed",
            scan=name,
            image=scan.spec.image,
            failure=why.failure_class.value,
            message=why.message,
            retry_at=None if retry_at is None else retry_at.isoformat(timespec="seconds"),
        )
        for told, target in enumerate(self._targets.of(name)):
            self._events.event(
                self._delivery.reference(target.workload),
                "Warning",
                "ImageScanFailed",
                f"container {target.container.container}: {why} {why.remedy}".strip(),
            )
            if told % _TOLD_AT_ONCE == 0:
                await asyncio.sleep(0)

    async def _reap(
        self,
        scan: ImageScan,
        status: ImageScanStatus,
        job_name: str,
        *,
        overdue: bool,
    ) -> None:
        name = scan.metadata.name
        key = self._jobs.key(name, job_name)
        try:
            await self._jobs.delete(name, job_name)
        except TerminalError as error:
            log.warning("scan_job_not_deleted", scan=name, job=job_name, error=str(error))
            self._running.ignore(job_name)
            self._queue.add(name, Priority.REFRESH)  # nobody will tell of an end
        self._running.ended(name, key)
        if overdue:
            minutes = round(self._settings.scan_job.timeout_seconds / 60, 1)
            why = failure(FailureClass.TIMEOUT, f"Job {job_name} did not end within {minutes} minutes")
            if status.job != job_name:
                status = state.started(status, job_name, now=self._clock.now())
            await self._failed(scan, status, why)

    async def _adopt(
        self, scan: ImageScan, status: ImageScanStatus, image: ImageKey, settings_hash: str
    ) -> None:
        name = scan.metadata.name
        now = self._clock.now()
        found = self._delivery.adoptable(image, settings_hash, scan.spec.namespace)
        if found is None:
            raise ConflictError(f"the reports to adopt for {name} are gone")
        saved = state.adopted(
            status,
            digest=image.digest,
            settings_hash=settings_hash,
            counts=found.vulnerabilities,
            secrets=found.secrets,
            scanned_at=found.scanned_at,
            now=now,
        )
        await self._save(name, self._with_refresh(name, saved))
        self._metrics.results.labels(ResultSource.ADOPTED.value).inc()
        log.info("scan_adopted", scan=name, image=scan.spec.image)

    async def _rematch(
        self, scan: ImageScan, status: ImageScanStatus, image: ImageKey, targets: list[Target]
    ) -> None:
        bom = await self._delivery.read_bill_of_materials(image)
        if bom is None:
            raise ConflictError(f"the bill of materials of {scan.spec.image} is gone")
        try:
            result = await self._matcher.match(bom, targets[0].variant)
        except ScanError as error:
            await self._failed(scan, status, error.failure)
            return
        everybody = self._targets.of(scan.metadata.name)
        await self._delivery.deliver_matched(everybody, image, result, self._hash(targets))
        await self._succeeded(scan, status, image, result, ResultSource.REMATCH, targets)

    async def _forget(self, scan: ImageScan) -> None:
        name = scan.metadata.name
        same = self._view.scans.by_index(BY_DIGEST, scan.spec.digest)
        if scan.spec.digest and all(other.metadata.name == name for other in same):
            await self._delivery.delete_bill_of_materials(self._image(name, scan.status))
        await self._api.delete(IMAGESCANS, self._key(name), uid=scan.metadata.uid)
        self._statuses.pop(self._key(name))
        self._created.pop(self._key(name))
        self._urgent.discard(name)
        self._asking.forget(name)
        log.info("scan_forgotten", scan=name, image=scan.spec.image)

    async def _save(self, name: str, status: ImageScanStatus) -> None:
        if status == self._status(name):
            return
        body = self._document(name, {"status": to_document(status)})
        await self._api.apply(IMAGESCANS, body, subresource="status")
        told = self._view.scans.get(self._key(name))
        if told is None or told.status != status:  # the informer may have been faster than the answer
            self._statuses.put(self._key(name), status)

    def _document(self, name: str, part: dict[str, Any]) -> dict[str, Any]:
        return {
            "apiVersion": IMAGESCANS.api_version,
            "kind": IMAGESCANS.kind,
            "metadata": {"name": name, "namespace": self._namespace},
            **part,
        }


def _database(version: DatabaseVersion | None) -> Database | None:
    return (
        None if version is None else Database(version=version.schema, updated_at=format_time(version.updated))
    )


def _in_turn(targets: list[Target], failures: int) -> list[Target]:
    """Put those first whose turn it is: one image may be in several registries, of which one refuses."""
    images = list(dict.fromkeys(target.container.image for target in targets))
    turn = images[failures % len(images)]
    return sorted(targets, key=lambda target: target.container.image != turn)


def _fraction(name: str) -> float:
    """A number from 0 to 1 that stays the same for a name."""
    return random.Random(name).random()  # noqa: S311 - spreads refreshes, guards nothing


def _is_the_written(written: ImageScanStatus, old: ImageScan | None, new: ImageScan | None) -> bool:
    replaced = old is not None and (new is None or new.metadata.uid != old.metadata.uid)
    return replaced or (new is not None and new.status == written)
