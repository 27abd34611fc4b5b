"""The vulnerability database that the operator itself keeps, to match bills of materials against.

Each version has a directory of its own below the cache directory. A new one is fetched next to the present
one and takes its place in one step once it is complete; the old one goes when its last user is done.

Promises: ``using`` always gives a complete database; a failed refresh changes nothing. One refresh at a time.
Not here: when to refresh; the databases of scan pods.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from trivyop.errors import is_scarcity
from trivyop.scan.localtrivy import build_download_command, download_environment
from trivyop.settings import Settings
from trivyop.trivy.failures import FailureClass, ScanError, classify, failure
from trivyop.trivy.process import run_program

_DIRECTORY = re.compile(r"db-(\d+)")
_STAGING = "staging"


class _Metadata(msgspec.Struct, rename="pascal"):
    version: int = 0
    updated_at: datetime | None = None
    next_update: datetime | None = None
    downloaded_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class DatabaseVersion:
    """Which database it is. Times are aware and UTC; None when the database does not say."""

    schema: int
    updated: datetime | None
    next_update: datetime | None = None


class NoDatabaseError(ScanError):
    """There is no database yet."""

    failure_class = FailureClass.DATABASE


def read_database_version(cache_dir: Path) -> DatabaseVersion | None:
    """Version of the database in a cache directory of Trivy; None if there is none, or no complete one.

    ``OSError`` if files cannot be opened just now.
    """
    directory = cache_dir / "db"
    try:
        data = (directory / "metadata.json").read_bytes()
        complete = (directory / "trivy.db").stat().st_size > 0
    except OSError as error:
        if is_scarcity(error):
            raise  # else a good database would be deleted
        return None
    return parse_database_version(data) if complete else None


def parse_database_version(data: bytes) -> DatabaseVersion | None:
    """Read Trivy's ``metadata.json``; None if it is none."""
    try:
        metadata = msgspec.json.decode(data, type=_Metadata)
    except msgspec.MsgspecError:
        return None
    return DatabaseVersion(metadata.version, _utc(metadata.updated_at), _utc(metadata.next_update))


def _utc(when: datetime | None) -> datetime | None:
    if when is None or when.year <= 1:
        return None
    return when.astimezone(UTC) if when.tzinfo else when.replace(tzinfo=UTC)


class DatabaseStore:
    """Owns the cache directory. Create it once per process; it looks for what an earlier process left."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._root = Path(settings.database.cache_dir)
        self._refreshing = asyncio.Lock()
        self._users: dict[Path, int] = {}
        self._current: Path | None = None
        self._version: DatabaseVersion | None = None

    @property
    def version(self) -> DatabaseVersion | None:
        """Version of the present database; None before there is one."""
        return self._version

    def open(self) -> DatabaseVersion | None:
        """Take over the newest complete database on disk, and remove what else is there."""
        self._root.mkdir(parents=True, exist_ok=True)
        self._remove(self._root / _STAGING)
        found = sorted(self._directories(), key=lambda path: -_number(path))
        versions = {directory: read_database_version(directory) for directory in found}  # all, or nothing
        for directory, version in versions.items():
            if version is not None and self._current is None:
                self._current, self._version = directory, version
            else:
                self._remove(directory)
        return self._version

    @contextmanager
    def using(self) -> Generator[Path]:
        """Cache directory for ``trivy --cache-dir``, that stays as it is while the block runs."""
        directory = self._current
        if directory is None:
            raise NoDatabaseError("there is no vulnerability database yet")
        self._users[directory] = self._users.get(directory, 0) + 1
        try:
            yield directory
        finally:
            self._users[directory] -= 1
            if not self._users[directory]:
                del self._users[directory]
                if directory != self._current:
                    self._remove(directory)

    async def refresh(self) -> DatabaseVersion:
        """Fetch the database; ``ScanError`` if that fails, and then the present one stays.

        The answer may be the version there was before. Whoever wants to know compares.
        """
        async with self._refreshing:
            staging = self._root / _STAGING
            await asyncio.to_thread(self._prepare, staging)
            try:
                done = await run_program(
                    build_download_command(self._settings, cache_dir=str(staging)),
                    environment=download_environment(self._settings, home=str(staging), inherited=os.environ),
                    directory=str(staging),
                    timeout_seconds=self._settings.database.download_timeout_seconds,
                )
                if done.exit_code != 0:
                    error = ScanError(f"fetching the vulnerability database failed ({done.exit_code})")
                    error.failure = classify(exit_code=done.exit_code, stderr=done.errors, database_step=True)
                    raise error
                version = read_database_version(staging)
                if version is None:
                    error = ScanError("Trivy fetched no database")
                    error.failure = failure(FailureClass.DATABASE, str(error))
                    raise error
                self._take(staging, version)
            finally:
                await asyncio.to_thread(self._remove, staging)
            return version

    def _prepare(self, staging: Path) -> None:
        self._remove(staging)
        staging.mkdir(parents=True)

    def _take(self, staging: Path, version: DatabaseVersion) -> None:
        """One step: from here on ``using`` gives the new one."""
        number = max((_number(path) for path in self._directories()), default=0) + 1
        target = self._root / f"db-{number}"
        staging.rename(target)
        old, self._current, self._version = self._current, target, version
        if old is not None and old not in self._users:
            self._remove(old)

    def _directories(self) -> list[Path]:
        return [path for path in self._root.iterdir() if _DIRECTORY.fullmatch(path.name)]

    def _remove(self, directory: Path) -> None:
        shutil.rmtree(directory, ignore_errors=True)  # what stays, the next start removes


def _number(path: Path) -> int:
    match = _DIRECTORY.fullmatch(path.name)
    return int(match[1]) if match else 0
