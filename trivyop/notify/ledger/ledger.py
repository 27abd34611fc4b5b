"""Ledger: what was sent to an endpoint, recorded in the cluster, compactly.

For each report it records which object it was (its uid, so that a deletion that the watch missed is noticed),
a hash of the content that was sent, and, where an endpoint asks what is new, the ids of its findings. Changes
go to a journal at once; those that arrive during a write are written together. When the journal has become
long, or much is to be written at once, the pages are written instead, and the journal starts again.

Promises: what ``written`` has waited for survives a crash at any moment; it waits for no timer, but for what
etcd can sustain. Changes that nobody waits for are written within seconds. A ConfigMap that cannot be read
counts as empty, and is logged. While the API server is slow, or away for a short time, callers wait with it.
When it stays away, or denies access, the ledger keeps its records in memory, nobody waits, and ``problem``
says why.
Not here: what follows from the records (``notify.deduplication``); reading them again (``replay``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import suppress

import structlog

from trivyop.control.backoff import exponential
from trivyop.control.clock import Clock, deadline
from trivyop.errors import TerminalError, TransientError
from trivyop.kube.client import Api
from trivyop.kube.resources import Resource
from trivyop.notify.events import Subject
from trivyop.notify.ledger.checkpoint import Checkpoint
from trivyop.notify.ledger.configmaps import ConfigMaps
from trivyop.notify.ledger.journal import Entry, Journal
from trivyop.notify.ledger.records import (
    Record,
    RecordStore,
    pack_record,
    page_of,
    page_of_set,
    unpack_record,
)
from trivyop.notify.ledger.replay import Replay

log = structlog.get_logger(__name__)

_LAZY_SECONDS = 1.0  # changes that nobody waits for are collected for so long
_JOURNAL_BYTES = (
    250_000,
    2_000_000,
)  # a checkpoint is due at the size of the pages, within these
_CHECKPOINT_BYTES_PER_SECOND = 100_000  # at most, on average: etcd keeps every version for minutes
_MAX_CHECKPOINT_SECONDS = 30.0
_RETRY_SECONDS = (0.5, 15.0)
_OUTAGE_SECONDS = 30.0  # callers wait so long for an API server in trouble


class Ledger:
    """The records of one endpoint; ``load`` it, then ``run`` it."""

    def __init__(
        self, api: Api, namespace: str, endpoint: str, kinds: Iterable[Resource], *, clock: Clock
    ) -> None:
        self.problem: str | None = None
        self._endpoint = endpoint
        self._kinds = {resource.name: resource for resource in kinds}
        self._clock = clock
        self._configmaps = ConfigMaps(api, namespace, endpoint)
        self._changes = 0
        self._written = 0  # all changes up to this one are in the cluster
        self._work = asyncio.Event()
        self._wanted = asyncio.Event()  # somebody waits
        self._progress = asyncio.Event()
        self._begin()

    def _begin(self) -> None:
        self._records = RecordStore()
        self._journal = Journal(self._configmaps, self._clock)
        self._checkpoint = Checkpoint(self._configmaps, self._records)
        self._subjects: dict[Subject, None] = {}  # changed since they were written
        self._sets: dict[bytes, None] = {}  # sets of findings that are new
        self._not_before = self._clock.monotonic()  # the next checkpoint
        self._failures = 0
        self._failing_since = 0.0
        self._asked_pause = 0.0

    # the records

    def get(self, subject: Subject) -> Record | None:
        packed = self._records.get(subject)
        return None if packed is None else unpack_record(packed)

    def findings(self, record: Record) -> bytes | None:
        """The ids of findings sent with it; None if there are none, or they are lost."""
        return self._records.ids(record.findings) if record.findings else None

    def subjects(self) -> Iterator[Subject]:
        """All subjects with a record; the ledger must not change meanwhile."""
        return iter(self._records)

    def __len__(self) -> int:
        return len(self._records)

    @property
    def clean(self) -> bool:
        """Whether every change is in the cluster."""
        return self._written >= self._changes

    def put(self, subject: Subject, record: Record, findings: bytes | None = None) -> int:
        """Store a record; ``findings`` replace those of ``record``.

        Returns the number of the change, which ``written`` waits for.
        """
        if findings is not None:
            name, new = self._records.keep(findings)
            record = record.having(name)
            if new:
                self._sets[name] = None
                self._checkpoint.touch(page_of_set(name))
        packed = pack_record(record)
        if self._records.get(subject) != packed:
            self._records.put(subject, packed)
            self._touch(subject)
        return self._changes

    def remove(self, subject: Subject) -> int:
        """Remove the record, if there is one; returns the same as ``put``."""
        if self._records.remove(subject):
            self._touch(subject)
        return self._changes

    def _touch(self, subject: Subject) -> None:
        self._changes += 1
        self._subjects[subject] = None
        self._checkpoint.touch(page_of(subject))
        self._work.set()

    # storage

    def deny(self, problem: str) -> None:
        """Assume that nothing can be read or written, for that reason, until a write succeeds."""
        self.problem = problem

    async def load(self) -> None:
        """Read what is stored; raises ``TransientError``, or ``TerminalError`` if it may not be read."""
        found = await self._configmaps.list()
        self._begin()
        self._written = self._changes
        replay = Replay(self._kinds, self._records, self._checkpoint, self._journal)
        for name, error in await replay.run(found):
            log.warning("webhook_ledger_damaged", endpoint=self._endpoint, page=name, error=error)

    async def written(self, change: int) -> None:
        """Wait until that change is in the cluster, or until writing fails for too long."""
        while self._written < change and not self.problem:
            self._wanted.set()
            self._progress.clear()
            await self._progress.wait()

    async def run(self) -> None:
        """Write what changes, until cancelled."""
        while True:
            await self._wait_due()
            if pause := self._pause:
                await self._clock.sleep(pause)
            await self.flush()

    async def _wait_due(self) -> None:
        if self._journal.empty:
            await self._work.wait()
        with suppress(TimeoutError):
            async with deadline(self._clock, max(self._journal.ripe_in, self._checkpoint_in)):
                await self._work.wait()
        if self._subjects and not self._failures:
            with suppress(TimeoutError):
                async with deadline(self._clock, _LAZY_SECONDS):
                    await self._wanted.wait()

    @property
    def _checkpoint_in(self) -> float:
        return self._not_before - self._clock.monotonic()

    @property
    def _pause(self) -> float:
        if not self._failures:
            return self._journal.pause
        base, most = _RETRY_SECONDS
        pause = exponential(self._failures - 1, base_seconds=base, max_seconds=most)
        return min(max(pause, self._asked_pause), most)

    async def flush(self) -> None:
        """Write all that has changed."""
        self._work.clear()
        self._wanted.clear()
        change = self._changes
        subjects, self._subjects = self._subjects, {}
        sets, self._sets = self._sets, {}
        entries = self._entries(subjects, sets)
        try:
            if self._is_checkpoint_due(sum(entry.size for entry in entries)):
                await self._write_pages(change)
            else:
                await self._journal.add(entries)
                self._written = change
        except (TransientError, TerminalError) as error:
            self._fail(error)
        else:
            self._failures = 0
            self.problem = None
        finally:
            if self._written < change:
                self._subjects = subjects | self._subjects
                self._sets = sets | self._sets
                self._work.set()
            self._progress.set()

    def _entries(self, subjects: Iterable[Subject], sets: Iterable[bytes]) -> list[Entry]:
        """Their journal entries; sets first."""
        found = ((name, self._records.ids(name)) for name in sets)
        entries = [Entry("", name, ids) for name, ids in found if ids is not None]
        for subject in subjects:
            packed = self._records.get(subject) or b""
            entries.append(Entry(subject.resource.name, str(subject.key), packed))
        return entries

    def _is_checkpoint_due(self, size: int) -> bool:
        """Whether to write the pages instead of adding ``size`` bytes to the journal."""
        journal = self._journal
        if self._checkpoint_in > 0:
            return False
        least, most = _JOURNAL_BYTES
        long = journal.full or journal.size + size >= min(max(least, self._checkpoint.size), most)
        return long or (not journal.empty and not journal.ripe_in)

    async def _write_pages(self, change: int) -> None:
        """Write a checkpoint, which replaces the journal and what would have been added to it."""
        self._not_before = self._clock.monotonic() + _MAX_CHECKPOINT_SECONDS  # if it fails
        covers = self._journal.seal()
        size = await self._checkpoint.write(covers)
        pause = min(size / _CHECKPOINT_BYTES_PER_SECOND, _MAX_CHECKPOINT_SECONDS)
        self._not_before = self._clock.monotonic() + pause
        self._journal.covered()
        self._records.drop_unused()
        self._written = change
        self._progress.set()  # callers need not wait for the clean-up
        await self._journal.drop(covers)
        await self._checkpoint.tidy()

    def _fail(self, error: TransientError | TerminalError) -> None:
        now = self._clock.monotonic()
        if not self._failures:
            self._failing_since = now
        self._failures += 1
        self._asked_pause = (isinstance(error, TransientError) and error.retry_after) or 0.0
        if isinstance(error, TransientError) and now - self._failing_since < _OUTAGE_SECONDS:
            return
        if self.problem is None:
            log.warning("webhook_ledger_not_written", endpoint=self._endpoint, error=str(error))
        self.problem = f"what was delivered cannot be remembered: {error}"
