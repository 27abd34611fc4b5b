"""Journal: what has changed since the pages of the ledger were written, in small numbered ConfigMaps.

Each addition rewrites the last part until it holds some kilobytes; then the next part begins. A part holds
the last state of each record in it, an empty one for a removed record, and the sets of findings that are new.
Reading the parts in the order of their numbers gives the state of the last addition.

Promises: an addition that has returned is in the cluster, and no earlier write that arrives late can undo it:
after a write whose outcome is unknown, the next part begins. Numbers only grow, also across restarts.
``pause`` says how long to wait to spare etcd.
Not here: what a damaged part means (``replay``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from trivyop.control.clock import Clock
from trivyop.errors import TerminalError
from trivyop.notify.ledger.configmaps import (
    FINDINGS,
    RECORDS,
    ConfigMaps,
    PageError,
    decode_findings,
    decode_records,
    encode_findings,
    encode_records,
)

_PART = "journal-"
_PART_BYTES = 4_000  # etcd keeps each version of a part for minutes; on average half a part is rewritten
_MAX_PART_BYTES = 250_000  # of one addition
_MAX_PARTS = 250
_AGE_SECONDS = 3600.0

_WRITES_PER_SECOND = 20  # in the long run
_BYTES_PER_SECOND = 100_000
_BURST_SECONDS = 2.0  # so much of both may come at once
_MAX_PAUSE_SECONDS = 30.0  # the longest pause
_OVERHEAD_BYTES = 600  # names, labels, who wrote what


class Entry(NamedTuple):
    """One record, packed, or b"" for none; or a set of findings, which has no kind."""

    kind: str
    name: str | bytes
    data: bytes

    @property
    def size(self) -> int:
        return len(self.name) + len(self.data) + 4


class Part(NamedTuple):
    """The content of a part."""

    records: Mapping[str, Mapping[str, bytes]]  # by kind and key
    sets: Mapping[bytes, bytes]


class Journal:
    """The journal of one endpoint."""

    def __init__(self, configmaps: ConfigMaps, clock: Clock) -> None:
        self.size = 0  # added since the last checkpoint, about
        self._configmaps = configmaps
        self._clock = clock
        self._parts: set[int] = set()  # all that may be stored
        self._number = int(clock.now().timestamp())  # higher than stored ones, even if they cannot be read
        self._open: dict[tuple[str, str | bytes], Entry] = {}
        self._open_size = 0
        self._sealed = True
        self._since = clock.monotonic()  # when it was last empty
        self._free = clock.monotonic() - _BURST_SECONDS  # from then on a write need not wait

    @property
    def empty(self) -> bool:
        """Whether there are no parts."""
        return not self._parts

    @property
    def full(self) -> bool:
        """Whether there are so many parts that a checkpoint is due."""
        return len(self._parts) >= _MAX_PARTS

    @property
    def ripe_in(self) -> float:
        """Seconds until it is so old that a checkpoint is due."""
        return max(0.0, self._since + _AGE_SECONDS - self._clock.monotonic())

    @property
    def pause(self) -> float:
        """How many seconds to wait before the next addition."""
        wait = self._free - self._clock.monotonic()
        return min(max(0.0, wait), _MAX_PAUSE_SECONDS)

    def found(self, number: int, size: int) -> None:
        """Note a stored part."""
        self._parts.add(number)
        self._number = max(self._number, number + 1)
        self.size += size

    def found_covered(self, before: int) -> None:
        """Note that a page covers all parts before that number."""
        self._number = max(self._number, before)

    async def add(self, entries: Iterable[Entry]) -> None:
        """Write entries, sets before the records that refer to them; raises transient and terminal errors.

        If it raises, some of them may be stored.
        """
        for chunk in _chunks(entries):
            await self._add(chunk)

    def seal(self) -> int:
        """End the last part; returns a number that all later parts reach or exceed."""
        self._next()
        return self._number

    def covered(self) -> None:
        """Note that the pages contain what was sealed."""
        self.size = 0
        self._since = self._clock.monotonic()

    async def drop(self, before: int) -> None:
        """Delete the parts before that number, oldest first, so that no outdated state can come back."""
        for number in sorted(number for number in self._parts if number < before):
            await self._configmaps.delete(_name_of(number))
            self._parts.discard(number)

    async def _add(self, chunk: list[Entry]) -> None:
        if self._sealed or self._open_size >= _PART_BYTES:
            self._next()
        content = self._open | {(entry.kind, entry.name): entry for entry in chunk}
        if self.empty:
            self._since = self._clock.monotonic()
        self._parts.add(self._number)
        self._sealed = True  # until the outcome is known
        try:
            data, size = await asyncio.to_thread(_encoded, list(content.values()))
            self._charge(size)
            await self._configmaps.write(_name_of(self._number), data)
        except TerminalError:  # nothing was written
            self._sealed = False
            if not self._open:
                self._parts.discard(self._number)
            raise
        self._sealed = False
        self._open = content
        self._open_size = sum(entry.size for entry in content.values())
        self.size += sum(entry.size for entry in chunk)

    def _next(self) -> None:
        self._number += 1
        self._open = {}
        self._open_size = 0
        self._sealed = False

    def _charge(self, size: int) -> None:
        """Make the next additions wait as long as this one takes at the sustained rate."""
        cost = max(1 / _WRITES_PER_SECOND, (size + _OVERHEAD_BYTES) / _BYTES_PER_SECOND)
        self._free = max(self._free, self._clock.monotonic() - _BURST_SECONDS) + cost


def number_of(name: str) -> int | None:
    """The number of a part of that name; None if it is no part."""
    digits = name.removeprefix(_PART)
    return int(digits) if name.startswith(_PART) and digits.isascii() and digits.isdigit() else None


def decode_part(data: Mapping[str, str]) -> Part:
    """Read a part; raises ``PageError`` for what is damaged."""
    if not data.keys() & {RECORDS, FINDINGS}:
        raise PageError("it has neither records nor findings")
    return Part(
        decode_records(data) if RECORDS in data else {},
        decode_findings(data) if FINDINGS in data else {},
    )


def _name_of(number: int) -> str:
    return f"{_PART}{number:010d}"


def _chunks(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    """Cut entries into pieces that fit into a part."""
    chunk: list[Entry] = []
    size = 0
    for entry in entries:
        if chunk and size + entry.size > _MAX_PART_BYTES:
            yield chunk
            chunk, size = [], 0
        chunk.append(entry)
        size += entry.size
    if chunk:
        yield chunk


def _encoded(entries: list[Entry]) -> tuple[dict[str, str], int]:
    records: dict[str, dict[str, bytes]] = {}
    sets: dict[bytes, bytes] = {}
    for entry in entries:
        if isinstance(entry.name, bytes):
            sets[entry.name] = entry.data
        else:
            records.setdefault(entry.kind, {})[entry.name] = entry.data
    data, size = encode_records(records) if records else ({}, 0)
    if sets:
        more, more_size = encode_findings(sets, 2 * _MAX_PART_BYTES)
        data, size = data | more, size + more_size
    return data, size
