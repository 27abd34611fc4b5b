"""Matching anew: bills of materials against the vulnerability database of the moment, by Trivy, here.

The database is fetched when the operator starts and as often as settings say. With a Trivy server there is
none here: the server matches, and only the reports' age calls for it.

Promises: as many matches at once as settings allow; a database that cannot be fetched shows in a log line
and in the age metric, and never takes the one before away.
Not here: when to match anew (`scan.lifecycle`), and how (`scan.rematch`).
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from datetime import datetime

import structlog

from trivyop.control.clock import Clock
from trivyop.controllers.images.results import ScanResult
from trivyop.controllers.metrics import ScanMetrics
from trivyop.report.findings import Sbom
from trivyop.scan.database import DatabaseStore, DatabaseVersion
from trivyop.scan.matchable import NotMatchable, Problem
from trivyop.scan.podconfig import ScanVariant
from trivyop.scan.rematch import read_trivy_version, rematch
from trivyop.settings import Settings, TrivyMode
from trivyop.trivy.failures import ScanError

log = structlog.get_logger(__name__)

_RETRY_SECONDS = 300.0
_MEANS = "reports that are due are scanned again"


class Matcher:
    """Matches bills of materials. `run` keeps the database fresh and has to run beside it."""

    def __init__(self, settings: Settings, *, clock: Clock, metrics: ScanMetrics) -> None:
        self._settings = settings
        self._clock = clock
        self._metrics = metrics
        self._database = DatabaseStore(settings)
        self._server = settings.trivy.mode is TrivyMode.CLIENT_SERVER
        self._trivy = ""  # its version; "" before it said so
        self._limit = asyncio.Semaphore(settings.database.rematch_concurrency)
        self._possible = (
            settings.database.rematch_enabled and shutil.which(settings.database.trivy_program) is not None
        )

    @property
    def usable(self) -> bool:
        """Whether `match` can be expected to work."""
        return self._possible and bool(self._trivy) and (self._server or self._database.version is not None)

    @property
    def problem(self) -> str | None:
        """Why nothing can be matched now, though it should be; None if it can, or need not."""
        if self.usable or not self._settings.database.rematch_enabled:
            return None
        if not self._possible:
            return f"no program {self._settings.database.trivy_program!r} here: what is due is scanned again"
        what = "vulnerability database here yet" if self._trivy else "version of the Trivy here yet"
        return f"no {what}: what is due is scanned again"

    def other_trivy(self, version: str) -> Problem | None:
        """Why a result of Trivy ``version`` cannot be refreshed here: versions differ in what they find."""
        if not self._trivy or version == self._trivy:
            return None
        message = (
            f"it was scanned with Trivy {version or 'of an unknown version'}, the operator has {self._trivy}"
        )
        return Problem(NotMatchable.OTHER_TRIVY, message)

    @property
    def database_updated(self) -> datetime | None:
        """When the database here was made; None without one."""
        version = self._database.version
        return version.updated if version else None

    async def match(self, bom: Sbom, variant: ScanVariant) -> ScanResult:
        """Match one bill of materials. Raises ``ScanError`` with what Trivy says."""
        async with self._limit:
            version = self._database.version
            findings = await rematch(bom, self._settings, self._database, variant)
        return ScanResult(findings, database=version)

    async def run(self, on_new: Callable[[], None]) -> None:
        """Keep the database fresh until cancelled; `on_new` is called when there is a newer one."""
        settings = self._settings.database
        if not self._possible:
            why = (
                "switched off"
                if not settings.rematch_enabled
                else f"no program {settings.trivy_program!r} here"
            )
            log.warning("rematch_off", why=why, means=_MEANS)
            return
        await self._read_version()
        if self._server:
            on_new()
            return
        opened = False
        while True:
            before = self._database.version
            try:
                if not opened:
                    self._record(await asyncio.to_thread(self._database.open))
                    opened = True
                version = await self._database.refresh()
            except (ScanError, OSError) as error:
                log.warning(
                    "database_not_fetched",
                    error=str(error.failure if isinstance(error, ScanError) else error),
                    keeps=_text(before),
                )
                await self._clock.sleep(_RETRY_SECONDS)
                continue
            self._record(version)
            if version != before:
                log.info("database_fetched", updated=_text(version))
                on_new()
            await self._clock.sleep(settings.refresh_interval_seconds)

    async def _read_version(self) -> None:
        """Ask the Trivy here for its version until it says so."""
        while True:
            try:
                self._trivy = await read_trivy_version(self._settings)
                why = "it does not say"
            except (ScanError, OSError) as error:
                why = str(error.failure if isinstance(error, ScanError) else error)
            if self._trivy:
                return
            log.warning("rematch_off", why=f"the version of Trivy here is not known: {why}", means=_MEANS)
            await self._clock.sleep(_RETRY_SECONDS)

    def _record(self, version: DatabaseVersion | None) -> None:
        if version is not None and version.updated is not None:
            self._metrics.database_updated.set(version.updated.timestamp())


def _text(version: DatabaseVersion | None) -> str:
    return version.updated.isoformat() if version and version.updated else "none"
