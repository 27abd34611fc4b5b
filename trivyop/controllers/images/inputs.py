"""Inputs: what decides on the next step of an image's scan, gathered in one place, as of now.

Promises: nothing is written; the scan, its targets and its reports are read once for a step, so that the
decision and the step see the same.
Not here: the decision (`scan.lifecycle`), the steps (`jobsteps.py`, `serving.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from trivyop.controllers.deadlines import job_deadline, spread_ttl
from trivyop.controllers.images.delivery import Delivery
from trivyop.controllers.images.pending import PendingRequests
from trivyop.controllers.images.records import ScanRecords
from trivyop.controllers.images.rematch import Matcher
from trivyop.controllers.images.scanjobs import ScanJobs
from trivyop.controllers.images.scanstarts import ScanStarts
from trivyop.controllers.images.targets import Target
from trivyop.kube.times import time_or_none
from trivyop.scan import state
from trivyop.scan.imagescan import ImageScan, ImageScanStatus
from trivyop.scan.lifecycle import (
    Demand,
    History,
    Inputs,
    JobState,
    JobView,
    Means,
    Policy,
    refresh_due,
)
from trivyop.settings.values import Settings
from trivyop.workload.images import ImageKey


@dataclass(frozen=True, slots=True)
class Gathered:
    """A scan as it stands: the inputs of its decision, and what the steps need beside them."""

    scan: ImageScan
    status: ImageScanStatus  # as written last
    image: ImageKey
    targets: list[Target]  # the first that need it
    settings_hash: str
    inputs: Inputs

    @property
    def name(self) -> str:
        return self.scan.metadata.name


class InputReader:
    """Reads the records, the Jobs, the requests, the reports, the database's age and the settings."""

    def __init__(
        self,
        records: ScanRecords,
        jobs: ScanJobs,
        starts: ScanStarts,
        pending: PendingRequests,
        delivery: Delivery,
        matcher: Matcher,
        settings: Settings,
        settings_hash: str,
    ) -> None:
        self._records = records
        self._jobs = jobs
        self._starts = starts
        self._pending = pending
        self._delivery = delivery
        self._matcher = matcher
        self._settings = settings
        self._settings_hash = settings_hash

    async def gather(self, scan: ImageScan, targets: list[Target], *, now: datetime) -> Gathered:
        """Gather what there is to know of a scan."""
        name = scan.metadata.name
        status = self._records.status(name) or scan.status
        image, settings_hash = self._records.image(name), self.hash(targets)
        job = self._job(name)
        missing = not state.has_nothing(status) and await self._pending.any_lacks(name, image, settings_hash)
        demand = Demand(
            in_use=bool(targets),
            missing=missing,
            rescan_after=time_or_none(scan.spec.rescan_after),
            new=self._pending.is_urgent(name),
        )
        self._starts.remember(name, status, targets)
        history = state.history_of(status)
        if self._starts.lets_through(name):
            history = replace(history, next_retry=now)
        policy = replace(self._policy(name, settings_hash), start_patience=self._starts.patience(name))
        means = self._means(scan, status, image, history, demand, settings_hash)
        inputs = Inputs(history, demand, means, job, policy)
        return Gathered(scan, status, image, targets, settings_hash, inputs)

    def _job(self, name: str) -> JobView | None:
        """The Job of a scan: the one that runs, else the newest that has ended."""
        running = self._starts.running.get(name)
        if running is not None:
            return JobView(
                running.key.name,
                JobState.RUNNING,
                running.age,
                stuck=running.stuck,
                lonely=running.lonely,
            )
        newest = self._jobs.newest(name, self._starts.running.counts)
        return None if newest is None else JobView(newest.metadata.name, newest.state, attempt=newest.attempt)

    def hash(self, targets: list[Target]) -> str:
        """Hash of the settings for these; they all want their image scanned in the same way."""
        variant = targets[0].variant.key if targets else ""
        return f"{self._settings_hash}-{variant}" if variant else self._settings_hash

    def due(self, name: str, status: ImageScanStatus) -> datetime | None:
        """When a result gets old by itself; a newer database may come before."""
        return refresh_due(state.history_of(status), replace(self._policy(name), database_updated=None))

    def _policy(self, name: str, settings_hash: str = "") -> Policy:
        reports, scan_job = self._settings.reports, self._settings.scan_job
        return Policy(
            settings_hash=settings_hash,
            report_ttl=spread_ttl(reports.ttl_seconds, name),
            forget_after=timedelta(seconds=reports.cache_ttl_seconds or 0),
            job_deadline=job_deadline(scan_job.timeout_seconds),
            keep_jobs=bool(scan_job.ttl_seconds),
            database_updated=self._matcher.database_updated,
        )

    def _means(
        self,
        scan: ImageScan,
        status: ImageScanStatus,
        image: ImageKey,
        history: History,
        demand: Demand,
        settings_hash: str,
    ) -> Means:
        """Where reports can come from but a Job."""
        by_digest, never = bool(scan.spec.digest), history.last_success is None
        sources = (
            (demand.missing or never)
            and bool(image.digest)
            and self._delivery.has_sources(image, settings_hash, scan.spec.namespace)
        )
        rematchable = (
            by_digest
            and self._matcher.usable
            and status.settings_hash == settings_hash
            and self._matcher.other_trivy(status.scanner.version if status.scanner else "") is None
            and self._delivery.bill_of_materials(image, settings_hash) is not None
        )
        return Means(
            sources=sources and not never, adoptable=sources and never and by_digest, rematchable=rematchable
        )
