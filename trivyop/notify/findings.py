"""Findings: what is new in a report and what is gone, compared with ids recorded the last time.

The record holds the ids of the findings (``listing.py``), ``ID_BYTES`` bytes each. A finding that has become
worse, or for which a fix came out, counts as changed.

Promises: pure; the order in a report means nothing; after ``diff`` the ids are those of the new report.
A report that had no room for all of its findings resolves nothing: what it does not show may still be there.
Not here: where the ids are stored (``notify.ledger``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from trivyop.notify.listing import ID_BYTES, FindingRef, grew, list_findings, order, shows_everything, which

MAX_IDS = 20_000  # of one report, 120 kB; beyond that the least bad ones are not compared


class FindingsDiff(msgspec.Struct, frozen=True, kw_only=True):
    """How a report differs from what was recorded of it; each tuple worst first, then by name."""

    added: tuple[FindingRef, ...] = ()
    changed: tuple[FindingRef, ...] = ()  # known ones that are worse now, or can be fixed now
    resolved: tuple[FindingRef, ...] = ()
    present: tuple[FindingRef, ...] = ()  # all that the report shows
    ids: tuple[int, ...] = ()  # to be recorded; ascending
    first: bool = False  # nothing was recorded of the report

    @property
    def news(self) -> tuple[FindingRef, ...]:
        """What was not there, or not as bad, or without a fix, before."""
        return (*self.added, *self.changed)


def finding_ids(report: Mapping[str, Any]) -> tuple[int, ...]:
    """The ids to record of a report that is seen for the first time."""
    return diff(None, report).ids


def diff(old_ids: Iterable[int] | None, report: Mapping[str, Any], *, deleted: bool = False) -> FindingsDiff:
    """Compare a report with the ids recorded of it; None: none are recorded.

    With ``deleted``, ``report`` is its last known state (or its metadata alone). All recorded findings are
    resolved then, with names where ``report`` still has them.
    """
    present = list_findings(report)
    now = {found.which: found for found in present[:MAX_IDS]}
    before = {which(number): number for number in old_ids or ()}
    first = old_ids is None
    if deleted:
        return FindingsDiff(resolved=_refs(before.values(), now), present=present, first=first)
    gone = [number for one, number in before.items() if one not in now]
    ids = [found.id for found in now.values()]
    if not shows_everything(report):
        ids, gone = [*ids, *gone], []
    return FindingsDiff(
        added=tuple(found for one, found in now.items() if one not in before),
        changed=tuple(found for one, found in now.items() if one in before and grew(before[one], found.id)),
        resolved=_refs(gone, {}),
        present=present,
        ids=tuple(sorted(ids[:MAX_IDS])),
        first=first,
    )


def pack(ids: Iterable[int]) -> bytes:
    """The ids as bytes, ``ID_BYTES`` for each."""
    return b"".join(number.to_bytes(ID_BYTES) for number in ids)


def unpack(data: bytes) -> tuple[int, ...]:
    """Read what ``pack`` wrote; raises ``ValueError`` for what it cannot have written."""
    if len(data) % ID_BYTES:
        raise ValueError(f"{len(data)} bytes are no ids of {ID_BYTES} bytes each")
    starts = range(0, len(data), ID_BYTES)
    return tuple(int.from_bytes(data[start : start + ID_BYTES]) for start in starts)


def _refs(numbers: Iterable[int], names: Mapping[int, FindingRef]) -> tuple[FindingRef, ...]:
    found = (names.get(which(number)) or FindingRef.of_id(number) for number in numbers)
    return tuple(sorted(found, key=order))
