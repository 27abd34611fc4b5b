"""Findings: what is new in a report and what is gone, told from a few bytes remembered of the last time.

A finding is one vulnerability in one package, one secret rule in one file, one failed check, one failed
control. Versions are not part of what it is: an update of the package that leaves the vulnerability in is no
news. All of a report's findings are remembered as numbers of 48 bits each: 44 of a hash that says which
finding, 3 of its severity, 1 whether it can be fixed. So a finding that grew worse, or for which a fix came
out, is seen to have changed, and one that is gone is still known by its severity.

Promises: pure; the order in a report means nothing; after ``diff`` the ids are those of the new report.
A report that had no room for all of its findings resolves nothing, because what it does not show may be there.
Not here: how a report is read (``listing.py``), where the numbers are kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any

import msgspec

from trivyop.report.findings import Severity

ID_BYTES = 6
MAX_IDS = 20_000  # of one report: 120 kB; more are remembered as if they were not there

_STATE_BITS = 4
_STATE_MASK = (1 << _STATE_BITS) - 1
_HASH_BITS = 8 * ID_BYTES - _STATE_BITS
_SEVERITIES = tuple(Severity)


class FindingKind(StrEnum):
    """What kind of thing was found."""

    VULNERABILITY = "vulnerability"
    SECRET = "secret"  # noqa: S105  (a word, not one)
    CHECK = "check"
    CONTROL = "control"  # of a compliance report


class FindingRef(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One finding, as far as messages tell of it; texts are "" where nothing is known."""

    id: int  # what is remembered of it
    kind: FindingKind | None = None  # None: only the id is known any more
    name: str = ""  # "CVE-2023-5363", "aws-access-key-id", "AVD-KSV-0014"
    severity: Severity
    fixable: bool = True  # only of a vulnerability it can be false
    package: str = ""
    installed_version: str = ""
    fixed_version: str = ""
    place: str = ""  # the file, of a secret or of a package in a language's archive
    title: str = ""
    link: str = ""

    @property
    def identity(self) -> str:
        """Which finding, whatever its severity: the same text when it is added and when it is resolved."""
        return f"{self.id >> _STATE_BITS:011x}"


class FindingsDiff(msgspec.Struct, frozen=True, kw_only=True):
    """What a report says beyond what it said last time; each tuple worst first, then by name."""

    added: tuple[FindingRef, ...] = ()
    changed: tuple[FindingRef, ...] = ()  # known ones that are worse now, or can be fixed now
    resolved: tuple[FindingRef, ...] = ()
    present: tuple[FindingRef, ...] = ()  # all that the report shows
    ids: tuple[int, ...] = ()  # what to remember; ascending
    first: bool = False  # nothing was known of the report

    @property
    def news(self) -> tuple[FindingRef, ...]:
        """What was not there, or not as bad, or without a fix, before."""
        return (*self.added, *self.changed)


def finding_id(identity: Iterable[str], severity: Severity, *, fixable: bool) -> int:
    """The number for a finding; ``identity`` are the texts that make it the same finding next time."""
    digest = hashlib.blake2b("\0".join(identity).encode(errors="surrogatepass"), digest_size=8).digest()
    which = int.from_bytes(digest) >> (64 - _HASH_BITS)
    return which << _STATE_BITS | severity.rank << 1 | fixable


def finding_ids(report: Mapping[str, Any]) -> tuple[int, ...]:
    """What to remember of a report that is seen for the first time."""
    return diff(None, report).ids


def diff(old_ids: Sequence[int] | None, report: Mapping[str, Any], *, deleted: bool = False) -> FindingsDiff:
    """Compare a report with what is remembered of it; None: nothing is.

    With ``deleted``, ``report`` is what was last known of it (or its metadata alone): all is resolved that
    is remembered, with names where ``report`` still tells them.
    """
    from trivyop.notify.listing import list_findings, shows_everything

    present = list_findings(report)
    now = {found.id >> _STATE_BITS: found for found in present}
    before = {number >> _STATE_BITS: number for number in old_ids or ()}
    if deleted:
        return FindingsDiff(resolved=_known(before.values(), now), present=present, first=old_ids is None)
    gone = [number for which, number in before.items() if which not in now]
    ids = [found.id for found in present[:MAX_IDS]]  # the worst, as they are sorted
    if not shows_everything(report):
        ids, gone = [*ids, *gone][:MAX_IDS], []
    return FindingsDiff(
        added=tuple(found for which, found in now.items() if which not in before),
        changed=tuple(
            found for which, found in now.items() if which in before and _grew(before[which], found.id)
        ),
        resolved=_known(gone, {}),
        present=present,
        ids=tuple(sorted(ids)),
        first=old_ids is None,
    )


def pack(ids: Iterable[int]) -> bytes:
    """The ids as bytes, ``ID_BYTES`` for each."""
    return b"".join(number.to_bytes(ID_BYTES) for number in ids)


def unpack(data: bytes) -> tuple[int, ...]:
    """Read what ``pack`` wrote; raises ``ValueError`` for what it cannot have written."""
    if len(data) % ID_BYTES:
        raise ValueError(f"{len(data)} bytes are no ids of {ID_BYTES} bytes each")
    return tuple(_numbers(data))


def _numbers(data: bytes) -> Iterator[int]:
    for start in range(0, len(data), ID_BYTES):
        yield int.from_bytes(data[start : start + ID_BYTES])


def _known(numbers: Iterable[int], names: Mapping[int, FindingRef]) -> tuple[FindingRef, ...]:
    found = (names.get(number >> _STATE_BITS) or _nameless(number) for number in numbers)
    return tuple(sorted(found, key=order))


def _nameless(number: int) -> FindingRef:
    rank = (number & _STATE_MASK) >> 1
    severity = _SEVERITIES[rank] if rank < len(_SEVERITIES) else Severity.UNKNOWN
    return FindingRef(id=number, severity=severity, fixable=bool(number & 1))


def _grew(old: int, new: int) -> bool:
    """Whether it is worse than it was, or has a fix that it had not."""
    worse = (new & _STATE_MASK) >> 1 < (old & _STATE_MASK) >> 1
    return worse or bool(new & 1 and not old & 1)


def order(found: FindingRef) -> tuple[int, bool, str, str, int]:
    """Sorts findings: worst first, those with a fix before those without, then by name."""
    return found.severity.rank, not found.fixable, found.name, found.package, found.id
