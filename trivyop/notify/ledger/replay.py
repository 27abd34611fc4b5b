"""Replay: reads the stored ledger of an endpoint: the pages, then the newer parts of the journal.

Promises: correct after a crash between any two writes. A part of the journal counts for a record unless the
page of the record covers it; of two parts the later one counts. Damaged ConfigMaps count as empty.
Not here: how the ledger is written (``checkpoint``, ``journal``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping

from trivyop.kube.resources import ObjectKey, Resource
from trivyop.notify.events import Subject
from trivyop.notify.ledger.checkpoint import Checkpoint
from trivyop.notify.ledger.configmaps import (
    Found,
    PackedRecords,
    PageError,
    decode_covers,
    decode_findings,
    decode_records,
)
from trivyop.notify.ledger.journal import Journal, Part, decode_part, number_of
from trivyop.notify.ledger.records import RecordStore, holds_sets, page_of, page_of_set


class Replay:
    """Fills a record store, and notes in checkpoint and journal what is stored."""

    def __init__(
        self, kinds: Mapping[str, Resource], records: RecordStore, checkpoint: Checkpoint, journal: Journal
    ) -> None:
        self._kinds = kinds  # by name; records of other kinds are skipped
        self._records = records
        self._checkpoint = checkpoint
        self._journal = journal
        self._covers: dict[str, int] = {}  # by page of records

    async def run(self, found: Iterable[Found]) -> list[tuple[str, str]]:
        """Read all ConfigMaps; returns the names of damaged ones, each with the error."""
        parts: list[tuple[int, Found]] = []
        damaged: list[tuple[str, str]] = []
        for one in found:
            number = number_of(one.name)
            if number is not None:
                parts.append((number, one))
                continue
            try:
                await self._take_page(one)
            except (PageError, ValueError) as error:
                damaged.append((one.name, str(error)))
        for number, one in sorted(parts):
            self._journal.found(number, _size_of(one))
            try:
                self._take_part(number, await asyncio.to_thread(decode_part, one.data))
            except (PageError, ValueError) as error:
                damaged.append((one.name, str(error)))
        self._records.drop_unused()
        return damaged

    async def _take_page(self, page: Found) -> None:
        self._checkpoint.found(page.name, _size_of(page))
        if holds_sets(page.name):
            self._records.restore(await asyncio.to_thread(decode_findings, page.data))
            return
        for subject, packed in self._known(await asyncio.to_thread(decode_records, page.data)):
            self._records.put(subject, packed)
        self._covers[page.name] = covers = decode_covers(page.data)
        self._journal.found_covered(covers)

    def _take_part(self, number: int, part: Part) -> None:
        for name, ids in part.sets.items():
            if self._records.ids(name) is None:
                self._records.restore({name: ids})
                self._checkpoint.touch(page_of_set(name))
        for subject, packed in self._known(part.records):
            page = page_of(subject)
            if number < self._covers.get(page, 0):
                continue
            if packed:
                self._records.put(subject, packed)
            else:
                self._records.remove(subject)
            self._checkpoint.touch(page)

    def _known(self, records: PackedRecords) -> Iterator[tuple[Subject, bytes]]:
        for kind, by_key in records.items():
            resource = self._kinds.get(kind)
            if resource is not None:
                for key, packed in by_key.items():
                    yield Subject(resource, ObjectKey.parse(key)), packed


def _size_of(one: Found) -> int:
    return sum(map(len, one.data.values())) * 3 // 4  # it is base64
