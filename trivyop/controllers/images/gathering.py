"""Gathering: what decides on the next step of an image's scan, as of now.

Promises: nothing is written, and nothing waits.
Not here: the decision (`scan.lifecycle`), what is asked for (`asking.py`), what runs (`running.py`).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from trivyop.controllers.deadlines import job_deadline, spread_ttl
from trivyop.controllers.images.delivery import Delivery
from trivyop.controllers.images.rematch import Matcher
from trivyop.controllers.images.targets import Target
from trivyop.scan import state
from trivyop.scan.imagescan import ImageScan, ImageScanStatus
from trivyop.scan.lifecycle import Demand, Means, Policy, refresh_due
from trivyop.settings.values import Settings
from trivyop.workload.images import ImageKey


class Gathering:
    """Reads settings, the database's age, and the reports that there are."""

    def __init__(self, delivery: Delivery, matcher: Matcher, settings: Settings, settings_hash: str) -> None:
        self._delivery = delivery
        self._matcher = matcher
        self._settings = settings
        self._settings_hash = settings_hash

    def hash(self, targets: list[Target]) -> str:
        """Hash of the settings for these; they all want their image scanned in the same way."""
        variant = targets[0].variant.key if targets else ""
        return f"{self._settings_hash}-{variant}" if variant else self._settings_hash

    def policy(self, name: str, settings_hash: str = "") -> Policy:
        """What the settings say about the scan of that name."""
        reports, scan_job = self._settings.reports, self._settings.scan_job
        return Policy(
            settings_hash=settings_hash,
            report_ttl=spread_ttl(reports.ttl_seconds, name),
            forget_after=timedelta(seconds=reports.cache_ttl_seconds or 0),
            job_deadline=job_deadline(scan_job.timeout_seconds),
            keep_jobs=bool(scan_job.ttl_seconds),
            database_updated=self._matcher.database_updated,
        )

    def due(self, name: str, status: ImageScanStatus) -> datetime | None:
        """When a result gets old by itself; a newer database may come before."""
        return refresh_due(state.history_of(status), replace(self.policy(name), database_updated=None))

    def means(
        self,
        scan: ImageScan,
        status: ImageScanStatus,
        image: ImageKey,
        demand: Demand,
        settings_hash: str,
        *,
        never: bool,
    ) -> Means:
        """Where reports can come from but a Job; `never`: whether the scan never had a result."""
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
            and self._matcher.other_trivy(status.scanner.version if status.scanner else "") is None
            and self._delivery.bill_of_materials(image, settings_hash) is not None
        )
        return Means(
            sources=sources and not never, adoptable=sources and never and by_digest, rematchable=rematchable
        )
