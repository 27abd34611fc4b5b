"""The bundle of checks that is published for Trivy: fetched on a schedule, tried, and the last good one kept.

Each version has a directory of its own, laid out as Trivy's cache, below the operator's cache directory. A
new one is fetched beside it, and counts only after Trivy has audited samples with it.

Promises: a failed fetch changes nothing but what is told of it; without any bundle Trivy's own checks count,
never none, and audits wait for the first fetch for ten seconds at most. At most one fetch in a back-off; that
the bundle cannot be fetched is logged once, and so is its end.
Not here: that audits use it (``keeper.py``).
"""

from __future__ import annotations

import asyncio
import os
import random
import re
import shutil
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Protocol

import msgspec
import structlog

from trivyop.audit import command
from trivyop.audit.engine import AuditError, Engine
from trivyop.audit.metrics import AuditMetrics
from trivyop.audit.policies import Policies
from trivyop.audit.results import logged
from trivyop.control.backoff import Backoff, half_jitter
from trivyop.control.clock import Clock
from trivyop.errors import is_scarcity
from trivyop.settings import Settings
from trivyop.trivy.failures import ScanError, classify
from trivyop.trivy.messages import shorten
from trivyop.trivy.process import run_program

log = structlog.get_logger(__name__)

_RETRY_BASE_SECONDS: Final = 60.0
_RETRY_MAX_SECONDS: Final = 3600.0
_PATIENCE_SECONDS: Final = 10.0  # a fetch takes 2; audits with other checks first would all be made twice
_KEPT: Final = 2  # the one in use, and the one before, which a run may still read
_DIRECTORY = re.compile(r"bundle-(\d+)")
_STAGING: Final = "staging"
_FALLBACK: Final = "Falling back to embedded checks"


class _Metadata(msgspec.Struct, rename="pascal"):
    digest: str
    downloaded_at: datetime


class Bundle(msgspec.Struct, frozen=True):
    """A bundle on disk."""

    directory: Path
    digest: str
    fetched: datetime  # aware, UTC


class Taker(Protocol):
    """Who uses the bundle."""

    def set_bundle(self, directory: str, digest: str) -> None: ...

    def set_bundle_problem(self, message: str) -> None: ...


class BundleError(Exception):
    """There is no new bundle, or it is of no use."""


class ChecksBundle:
    """Keeps the bundle fresh; ``run`` has to run beside what uses it."""

    def __init__(
        self, settings: Settings, engine: Engine, taker: Taker, *, clock: Clock, metrics: AuditMetrics
    ) -> None:
        self._settings = settings
        self._engine = engine
        self._taker = taker
        self._clock = clock
        self._metrics = metrics
        self._root = Path(settings.database.cache_dir) / "checks"
        self._backoff = Backoff(
            random.Random(),  # noqa: S311 (spreads retries)
            base_seconds=_RETRY_BASE_SECONDS,
            max_seconds=_RETRY_MAX_SECONDS,
            jitter=half_jitter,
        )
        self._current: Bundle | None = None
        self._settled = False  # whether it is decided which checks count first

    async def run(self) -> None:
        """Take what an earlier process left, then fetch as often as settings say, until cancelled."""
        opened = False
        while True:
            try:
                if not opened:
                    self._take(await asyncio.to_thread(_newest, self._root))
                    opened = True
                async with self._little_patience():
                    fetched = await self._fetch()
                self._take(fetched)
            except (BundleError, OSError) as error:
                wait = self._backoff.failed()
                self._failed(str(error), self._backoff.failures)
                await self._clock.sleep(wait)
            else:
                if self._backoff.failures:
                    log.info("checks_bundle_recovered", failures=self._backoff.failures)
                self._backoff.succeeded()
                self._taker.set_bundle_problem("")
                await self._clock.sleep(self._settings.audit.bundle_refresh_seconds)

    @asynccontextmanager
    async def _little_patience(self) -> AsyncGenerator[None]:
        """Have audits begin with Trivy's own checks if the block takes long and nothing else is there."""
        if self._settled:
            yield
            return
        waiting = asyncio.create_task(self._do_without_soon(), name="audit/bundle-patience")
        try:
            yield
        finally:
            waiting.cancel()
            await asyncio.wait((waiting,))

    async def _do_without_soon(self) -> None:
        await self._clock.sleep(_PATIENCE_SECONDS)
        self._settled = True
        self._taker.set_bundle("", "")
        self._taker.set_bundle_problem("still being fetched, Trivy's own checks are used until it is there")

    def _take(self, bundle: Bundle | None) -> None:
        if bundle is None:
            return
        self._settled = True
        if self._current is None or bundle.digest != self._current.digest:
            log.info("checks_bundle_taken", digest=bundle.digest)
            self._taker.set_bundle(str(bundle.directory), bundle.digest)
            self._current = bundle
        self._metrics.bundle_updated.set(bundle.fetched.timestamp())

    def _failed(self, message: str, failures: int) -> None:
        self._metrics.bundle_failures.inc()
        self._settled = True
        if self._current is None:
            self._taker.set_bundle("", "")
            instead = "Trivy's own checks are used"
        else:
            instead = f"the one of {self._current.fetched:%Y-%m-%d %H:%M} UTC is used"
        if failures == 1:
            log.warning("checks_bundle_not_fetched", error=message, instead=instead)
        self._taker.set_bundle_problem(f"not fetched, {instead}: {message}")

    async def _fetch(self) -> Bundle:
        """A bundle fetched just now and tried; the present one, if it is the same."""
        staging = self._root / _STAGING
        await asyncio.to_thread(_prepare, staging)
        try:
            try:
                done = await run_program(
                    command.build_fetch_command(
                        self._settings.database.trivy_program,
                        self._settings.audit.bundle_reference,
                        cache_dir=str(staging),
                    ),
                    environment=command.fetch_environment(
                        self._settings, home=str(staging), inherited=os.environ
                    ),
                    directory=str(staging),
                    timeout_seconds=self._settings.database.download_timeout_seconds,
                )
            except ScanError as error:
                raise BundleError(error.failure.message) from error
            fetched = await asyncio.to_thread(_read, staging)
            if done.exit_code != 0 or fetched is None:
                raise BundleError(_why_not(done.errors) or classify(exit_code=1, stderr=done.errors).message)
            if self._current is not None and fetched.digest == self._current.digest:
                return msgspec.structs.replace(self._current, fetched=fetched.fetched)
            await self._try(fetched)
            return await asyncio.to_thread(_keep, fetched, self._root)
        finally:
            await asyncio.to_thread(shutil.rmtree, staging, ignore_errors=True)

    async def _try(self, bundle: Bundle) -> None:
        """Audit samples with it."""
        policies = Policies(bundle=str(bundle.directory), bundle_digest=bundle.digest)
        try:
            batch = await self._engine.audit_samples(policies)
        except AuditError as error:
            raise BundleError(f"Trivy cannot use it: {error.message}") from error
        if all(isinstance(outcome, AuditError) for outcome in batch.outcomes.values()):
            raise BundleError("it has no checks for Kubernetes")


def _why_not(errors: str) -> str:
    for line in errors.splitlines():
        if _FALLBACK in line:
            return shorten(logged(line).get("err", ""))
    return ""


def _prepare(staging: Path) -> None:
    shutil.rmtree(staging, ignore_errors=True)
    (staging / command.INPUTS).mkdir(parents=True)


def _read(directory: Path) -> Bundle | None:
    """The bundle in a directory; None if there is none, or no complete one."""
    try:
        metadata = msgspec.json.decode((directory / "policy/metadata.json").read_bytes(), type=_Metadata)
        complete = any((directory / "policy/content").rglob("*.rego"))
    except (OSError, msgspec.MsgspecError) as error:
        if is_scarcity(error):
            raise  # it may well be complete
        return None
    fetched = metadata.downloaded_at
    fetched = fetched.astimezone(UTC) if fetched.tzinfo else fetched.replace(tzinfo=UTC)
    return Bundle(directory, metadata.digest, fetched) if complete else None


def _numbered(root: Path) -> list[tuple[int, Path]]:
    found = [(_DIRECTORY.fullmatch(path.name), path) for path in root.iterdir()] if root.is_dir() else []
    return sorted(((int(match[1]), path) for match, path in found if match), reverse=True)


def _newest(root: Path) -> Bundle | None:
    return next((bundle for _, path in _numbered(root) if (bundle := _read(path)) is not None), None)


def _keep(bundle: Bundle, root: Path) -> Bundle:
    """Give it a place of its own; the oldest go."""
    there = _numbered(root)
    target = root / f"bundle-{there[0][0] + 1 if there else 1}"
    bundle.directory.rename(target)
    for _, path in there[_KEPT - 1 :]:
        shutil.rmtree(path, ignore_errors=True)
    return msgspec.structs.replace(bundle, directory=target)
