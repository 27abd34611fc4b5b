"""Checkpoint: the pages of the ledger, all records as of one moment, written page by page.

Only changed pages are written, sets of findings before the records that refer to them. A page of records says
which parts of the journal it covers. So a checkpoint that broke off between two pages does no harm: replay
takes from the journal what each page does not cover.

Promises: ``write`` stores the state at its beginning; pages that it did not get to, because it raised, still
count as changed. A page without records is written empty, because the journal may refer to it, and ``tidy``
deletes it.
Not here: when a checkpoint is due (``ledger``).
"""

from __future__ import annotations

import asyncio

from trivyop.notify.events import Subject
from trivyop.notify.ledger.configmaps import ConfigMaps, encode_covers, encode_findings, encode_records
from trivyop.notify.ledger.records import RecordStore, holds_sets

_MAX_PAGE_BYTES = 900_000


class Checkpoint:
    """The pages of one endpoint."""

    def __init__(self, configmaps: ConfigMaps, records: RecordStore) -> None:
        self._configmaps = configmaps
        self._records = records
        self._changed: dict[str, int] = {}  # by page, the number of the last change
        self._changes = 0
        self._sizes: dict[str, int] = {}  # of the stored pages
        self._empty: set[str] = set()

    @property
    def size(self) -> int:
        """About how many bytes ``write`` would write, as far as is known."""
        return sum(self._sizes.get(page, 0) for page in self._changed)

    def found(self, page: str, size: int) -> None:
        """Note a stored page."""
        self._sizes[page] = size

    def touch(self, page: str) -> None:
        """Note that something on that page changes."""
        self._changes += 1
        self._changed[page] = self._changes

    async def write(self, covers: int) -> int:
        """Write the changed pages; returns the bytes. Raises transient and terminal errors."""
        wanted = sorted(self._changed.items(), key=lambda page: (not holds_sets(page[0]), page))
        sets = {page: self._records.sets_of(page) for page, _ in wanted if holds_sets(page)}
        records = {page: self._records.records_of(page) for page, _ in wanted if not holds_sets(page)}
        written = 0
        for page, change in wanted:
            if holds_sets(page):
                written += await self._write_sets(page, sets.pop(page))
            else:
                written += await self._write_records(page, records.pop(page), covers)
            if self._changed[page] == change:
                del self._changed[page]
        return written

    async def tidy(self) -> None:
        """Delete pages that were written without records."""
        for page in sorted(self._empty):
            await self._configmaps.delete(page)
            self._empty.discard(page)
            self._sizes.pop(page, None)

    async def _write_sets(self, page: str, sets: dict[bytes, bytes]) -> int:
        data, size = await asyncio.to_thread(encode_findings, sets, _MAX_PAGE_BYTES)
        return await self._write(page, data, size, empty=not sets)

    async def _write_records(self, page: str, records: dict[Subject, bytes], covers: int) -> int:
        data, size = await asyncio.to_thread(_encoded, records)
        return await self._write(page, data | encode_covers(covers), size, empty=not records)

    async def _write(self, page: str, data: dict[str, str], size: int, *, empty: bool) -> int:
        await self._configmaps.write(page, data)
        self._sizes[page] = size
        if empty:
            self._empty.add(page)
        else:
            self._empty.discard(page)
        return size


def _encoded(records: dict[Subject, bytes]) -> tuple[dict[str, str], int]:
    by_kind: dict[str, dict[str, bytes]] = {}
    for subject, packed in records.items():
        by_kind.setdefault(subject.resource.name, {})[str(subject.key)] = packed
    return encode_records(by_kind)
