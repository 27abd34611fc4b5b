"""Outcomes: what came of a scan, recorded: in the status, the log, metrics, and Events on workloads.

Promises: an outcome is written to the status first, so a restart forgets nothing that was logged.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import structlog

from trivyop.controllers.context import ControllerContext
from trivyop.controllers.images.delivery import Adoptable, Delivery
from trivyop.controllers.images.records import ScanRecords
from trivyop.controllers.images.results import ScanResult
from trivyop.controllers.images.targets import Targets
from trivyop.controllers.reports import Refusal
from trivyop.kube.times import format_time
from trivyop.scan import state
from trivyop.scan.database import DatabaseVersion
from trivyop.scan.imagescan import Database, ImageScan, ImageScanStatus, Phase, ResultSource
from trivyop.scan.matchable import NotMatchable, Problem
from trivyop.trivy.failures import Failure
from trivyop.trivy.retries import next_retry

log = structlog.get_logger(__name__)

_NOTIFIED_AT_ONCE = 64  # workloads, before others have their turn on the event loop

Due = Callable[[str, ImageScanStatus], datetime | None]
"""When the result of that status stops being fresh."""


class Outcomes:
    """Records what came of scans."""

    def __init__(
        self,
        context: ControllerContext,
        records: ScanRecords,
        targets: Targets,
        due: Due,
    ) -> None:
        self._records = records
        self._targets = targets
        self._events = context.events
        self._metrics = context.metrics.scans
        self._due = due
        self._retry_after_seconds = context.settings.scan_job.retry_after_seconds  # at least
        self._clock = context.clock
        self._rng = context.rng

    async def succeeded(
        self,
        scan: ImageScan,
        status: ImageScanStatus,
        result: ScanResult,
        source: ResultSource,
        *,
        digest: str,
        settings_hash: str,
        refused: Sequence[Refusal] = (),
        problem: Problem | None = None,
    ) -> None:
        """There is a new result; `refused` are the reports of it that the server did not take.

        `problem` is what stands against matching what a scan found, if anything.
        """
        before = status.summary.secret_count if status.summary else 0
        saved = state.succeeded(
            status,
            source=source,
            settings_hash=settings_hash,
            digest=digest,
            findings=result.findings,
            secrets=before if source is ResultSource.REMATCH else result.findings.secret_count,
            database=_database(result.database),
            now=self._clock.now(),
        )
        saved = state.delivered(saved, _problem(refused), now=self._clock.now())
        if source is ResultSource.SCAN:
            saved = self._matchable(saved, problem)
        await self._save_fresh(scan, saved, source)
        log.info("scan_succeeded", scan=scan.metadata.name, image=scan.spec.image, source=source.value)
        if refused:
            await self._record_refused(scan, refused)

    async def projected(self, scan: ImageScan, status: ImageScanStatus, refused: Sequence[Refusal]) -> None:
        """Reports were made from others; `refused` are those that the server did not take."""
        if refused or status.phase is Phase.UNDELIVERED:
            saved = state.delivered(status, _problem(refused), now=self._clock.now())
            await self._records.save(scan.metadata.name, saved)
        if refused:
            await self._record_refused(scan, refused)

    async def adopted(
        self,
        scan: ImageScan,
        status: ImageScanStatus,
        found: Adoptable,
        *,
        digest: str,
        settings_hash: str,
        refused: Sequence[Refusal] = (),
    ) -> None:
        """Reports that were there before say what there is to know; `refused` are those that lack."""
        saved = state.adopted(
            status,
            digest=digest,
            settings_hash=settings_hash,
            counts=found.vulnerabilities,
            secrets=found.secrets,
            scanned_at=found.scanned_at,
            now=self._clock.now(),
        )
        problem = Problem(NotMatchable.ADOPTED, "its result is that of reports that were there before")
        saved = self._matchable(saved, problem)
        if refused:
            saved = state.delivered(saved, _problem(refused), now=self._clock.now())
        await self._save_fresh(scan, saved, ResultSource.ADOPTED)
        log.info("scan_adopted", scan=scan.metadata.name, image=scan.spec.image)

    def _matchable(self, status: ImageScanStatus, problem: Problem | None) -> ImageScanStatus:
        """The status with what stands against matching, if anything; counts it."""
        if problem is not None:
            self._metrics.not_matchable.labels(problem.reason.value).inc()
        return state.matchable(status, problem, now=self._clock.now())

    async def nothing_to_scan(
        self, scan: ImageScan, status: ImageScanStatus, message: str, *, digest: str, settings_hash: str
    ) -> None:
        """What was asked for is no image."""
        saved = state.nothing_to_scan(
            status, message, digest=digest, settings_hash=settings_hash, now=self._clock.now()
        )
        await self._save_fresh(scan, saved, ResultSource.SCAN)
        log.info("scan_found_no_image", scan=scan.metadata.name, image=scan.spec.image, message=message)

    async def passed_on(self, scan: ImageScan, status: ImageScanStatus, why: Failure) -> None:
        """One place does not have the image, or not for us; the next one is tried at once."""
        now = self._clock.now()
        await self._records.save(scan.metadata.name, state.failed(status, why, retry_at=now, now=now))
        log.info("scan_reference_passed_over", scan=scan.metadata.name, message=str(why))

    async def failed(
        self, scan: ImageScan, status: ImageScanStatus, why: Failure, *, places: int = 1
    ) -> None:
        """The attempt failed; a time for the next one is found, if its class has one.

        `places` is how many references there are to try; a wait grows once all of them were.
        """
        now = self._clock.now()
        seconds = next_retry(
            why.failure_class,
            status.consecutive_failures // places + 1,
            self._rng,
            at_least_seconds=self._retry_after_seconds,
        )
        retry_at = None if seconds is None else now + timedelta(seconds=seconds)
        await self._records.save(scan.metadata.name, state.failed(status, why, retry_at=retry_at, now=now))
        self._metrics.failures.labels(why.failure_class.value).inc()
        log.warning(
            "scan_failed",
            scan=scan.metadata.name,
            image=scan.spec.image,
            failure=why.failure_class.value,
            message=why.message,
            retry_at=None if retry_at is None else retry_at.isoformat(timespec="seconds"),
        )
        await self._notify(scan, "ImageScanFailed", f"{why.failure_class}: {why.advice}")

    async def _save_fresh(self, scan: ImageScan, status: ImageScanStatus, source: ResultSource) -> None:
        name = scan.metadata.name
        await self._records.save(name, state.with_refresh(status, self._due(name, status)))
        self._metrics.results.labels(source.value).inc()

    async def _record_refused(self, scan: ImageScan, refused: Sequence[Refusal]) -> None:
        """What we may not write is not the workloads' fault, and is logged once for its kind."""
        refused = [one for one in refused if not one.by_permission]
        if refused:
            name = scan.metadata.name
            log.warning("scan_not_delivered", scan=name, reports=[str(one.key) for one in refused])
            await self._notify(scan, "ReportRefused", f"the API server refused {_problem(refused)}")

    async def _notify(self, scan: ImageScan, reason: str, note: str) -> None:
        """An Event on each workload concerned."""
        for notified, target in enumerate(self._targets.of(scan.metadata.name)):
            self._events.event(
                Delivery.reference(target.workload),
                "Warning",
                reason,
                f"container {target.container.container}: {note}",
            )
            if notified % _NOTIFIED_AT_ONCE == 0:
                await asyncio.sleep(0)


def _problem(refused: Sequence[Refusal]) -> str:
    """What a person needs to know of refusals; "" if there are none."""
    if not refused:
        return ""
    first, *others = refused
    more = f" (and {len(others)} more)" if others else ""
    return f"{first.resource.kind} {first.key}{more}: {first.error}"


def _database(version: DatabaseVersion | None) -> Database | None:
    if version is None:
        return None
    return Database(version=version.schema, updated_at=format_time(version.updated))
