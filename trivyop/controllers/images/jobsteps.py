"""Steps of an image's scan that have to do with its Job: making it, reading its result, removing it.

Promises: a slot is held from before a Job is made until it has ended or is gone; whatever goes wrong with a
Job has an outcome, or is raised for another try.
Not here: which step it is (`scan.lifecycle`), what follows from a result (`serving.py`).
"""

from __future__ import annotations

from dataclasses import replace

import structlog
from msgspec import structs

from trivyop.control.queue import Priority, WorkQueue
from trivyop.controllers.context import ControllerContext
from trivyop.controllers.deadlines import LogDeadlines
from trivyop.controllers.images.inputs import Gathered
from trivyop.controllers.images.pending import PendingRequests
from trivyop.controllers.images.records import ScanRecords
from trivyop.controllers.images.results import Results, ScanResult, reference_of
from trivyop.controllers.images.scanjobs import ScanJobs
from trivyop.controllers.images.scanstarts import ScanStarts
from trivyop.controllers.images.serving import Serving
from trivyop.controllers.images.targets import Targets, references_of
from trivyop.errors import ForbiddenError, TerminalError, TransientError, WebhookError
from trivyop.kube.resources import ObjectKey
from trivyop.kube.times import time_or_none
from trivyop.report.findings import Findings
from trivyop.scan import state
from trivyop.scan.imagescan import ImageScan, ImageScanStatus, Phase
from trivyop.scan.lifecycle import Reap, Reason
from trivyop.trivy.failures import Failure, FailureClass, ScanError, failure
from trivyop.trivy.messages import no_image_in
from trivyop.workload.images import ImageRefError, any_digest

log = structlog.get_logger(__name__)

_REAP_AGAIN_SECONDS = 60.0


class JobSteps:
    """Takes the steps of scans that have a Job, or are to have one."""

    def __init__(
        self,
        context: ControllerContext,
        queue: WorkQueue[str],
        jobs: ScanJobs,
        targets: Targets,
        records: ScanRecords,
        starts: ScanStarts,
        pending: PendingRequests,
        serving: Serving,
    ) -> None:
        self._jobs = jobs
        self._results = Results(context.api, context.settings)
        self._targets = targets
        self._records = records
        self._starts = starts
        self._running = starts.running
        self._slots = starts.running.slots
        self._pending = pending
        self._outcomes = serving.outcomes
        self._serving = serving
        self._settings = context.settings
        self._queue = queue
        self._clock = context.clock
        self._metrics = context.metrics.scans
        self._log_deadlines = LogDeadlines(context.clock)

    async def start(self, at_hand: Gathered, priority: Priority, reason: Reason) -> bool:
        """Create the scan Job, if there is a slot, and if pods of scans can start; whether it was tried."""
        name, scan, status, targets = at_hand.name, at_hand.scan, at_hand.status, at_hand.targets
        if not self._starts.may_start(name, targets, priority):
            self._slots.release(name)
            await self._records.save(name, self._starts.held_back(status, targets))
            return False
        if not self._slots.acquire(name, priority):
            if status.phase is not Phase.QUEUED:
                await self._records.save(name, state.queued(status, reason))
            return False
        now = self._clock.now()
        try:
            places = references_of(targets, scan.spec.digest, known_good=status.reference)
            turn = places[status.consecutive_failures % len(places)]
            targets = sorted(targets, key=lambda target: target is not turn.target)
            spec = self._targets.spec(name, targets)  # who asks for it may have changed
            scan = await self._records.write_spec(name, spec)
            job, uid = await self._jobs.create(scan, status.attempts + 1, turn.reference, targets)
        except ForbiddenError as error:  # nobody's fault but ours: no attempt, and no Event on workloads
            self._slots.release(name)
            why = failure(FailureClass.PERMISSION, str(error))
            await self._records.save(name, state.held_back(status, why))
            raise
        except (TerminalError, WebhookError) as error:
            self._slots.release(name)
            invalid = isinstance(error, ImageRefError)
            why = failure(FailureClass.INVALID_IMAGE if invalid else FailureClass.ADMISSION, str(error))
            await self._outcomes.failed(scan, state.attempted(status, now=now), why)
            if not invalid:
                self._starts.refused(name, targets, why)
            return True
        except Exception:
            self._slots.release(name)
            raise
        self._running.made(name, self._jobs.key(name, job), uid)
        self._pending.started(name)
        self._metrics.jobs.inc()
        log.info("scan_job_created", scan=name, job=job, image=scan.spec.image, reference=turn.reference)
        # A clock that was set back must not make the answer seem older than the request, for ever.
        moment = max(now, time_or_none(scan.spec.rescan_after) or now)
        await self._records.save(name, state.started(status, job, reason, now=moment))
        return True

    async def collect(self, at_hand: Gathered, job_name: str) -> None:
        """Read what a finished Job found, and write it to everybody who needs it."""
        name, scan, targets = at_hand.name, at_hand.scan, at_hand.targets
        status = self._with_job(at_hand.status, job_name)
        job = self._jobs.get(name, job_name)
        if job is None:
            return
        try:
            result = await self._results.read(scan, job, targets[0].variant if targets else None)
        except ScanError as error:
            result = error.failure
        except TransientError as error:
            if not self._log_deadlines.is_over(job_name):
                raise
            result = failure(FailureClass.INTERRUPTED, f"the scan pod's log cannot be read: {error}")
        except ForbiddenError as error:  # the Job stays, and with it its result, until we may read it
            why = failure(FailureClass.PERMISSION, f"the scan pod's log cannot be read: {error}")
            await self._records.save(name, state.unstarted(status, why))
            raise
        except TerminalError as error:
            result = failure(FailureClass.INTERRUPTED, f"the scan pod's log cannot be read: {error}")
        self._log_deadlines.forget(job_name)
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
                settings_hash=at_hand.settings_hash,
            )
        elif isinstance(result, Failure):
            await self._failed(at_hand, status, result)
        else:
            status = structs.replace(status, reference=reference, image_id=result.findings.image_id)
            await self._serving.deliver(at_hand, status, result)
            self._metrics.duration.observe(max(0.0, (self._clock.now() - job.created).total_seconds()))

    async def _failed(self, at_hand: Gathered, status: ImageScanStatus, why: Failure) -> None:
        """Go on to the next place that may have the image, and fail when none has it."""
        scan = at_hand.scan
        try:
            places = references_of(at_hand.targets, scan.spec.digest, known_good=status.reference)
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

    async def reap(self, at_hand: Gathered, step: Reap) -> None:
        """Delete the Job; one that did not end, or not start, has failed."""
        name = at_hand.name
        key = self._jobs.key(name, step.job)
        why: Failure | None = None
        if step.unstarted:
            why = self._starts.why_not(name, key.namespace)
            self._starts.failed(name, key.namespace, why)  # before its slot is free for another
        elif step.overdue:
            minutes = round(self._settings.scan_job.timeout_seconds / 60, 1)
            why = failure(FailureClass.TIMEOUT, f"Job {step.job} did not end within {minutes} minutes")
        try:
            await self._jobs.delete(name, step.job)
        except TerminalError as error:
            log.warning("scan_job_not_deleted", scan=name, job=step.job, error=str(error))
            self._queue.add(name, Priority.REFRESH)  # no event will say that it ended
            self._clock.call_later(_REAP_AGAIN_SECONDS, lambda: self._reap_again(name, key))
        self._running.drop(name, key)
        if why is not None:
            await self._outcomes.failed(at_hand.scan, self._with_job(at_hand.status, step.job), why)

    def _reap_again(self, name: str, job: ObjectKey) -> None:
        """A Job that could not be deleted counts again: we may be allowed to by now."""
        self._running.mind(job)
        self._queue.add(name, Priority.BACKLOG)

    def _with_job(self, status: ImageScanStatus, job: str) -> ImageScanStatus:
        """The status with a Job whose creation was the last thing a former life did."""
        return status if status.job == job else state.started(status, job, now=self._clock.now())


def _is_another(findings: Findings, reference: str, status: ImageScanStatus, scan: ImageScan) -> bool:
    """Whether a tag, scanned in place of a digest, is known to have moved on to another image."""
    by_tag = bool(scan.spec.digest) and any_digest(reference) is None
    return by_tag and bool(status.image_id) and findings.image_id != status.image_id
