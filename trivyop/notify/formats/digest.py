"""Digest: what happened in many reports since the last one, in few words.

A ``Note`` is what is kept of an event until the digest is due: ids of findings, and the worst few with their
names. ``Digest.of`` puts notes together. A rollout is no news: what is new in one revision of a workload and
goes with another of it was there before, and what goes with a report is not resolved.

Promises: pure; the order of notes means nothing; a note has a few kilobytes at most, for most reports less
than one. Not here: how a service is sent one (``slack.py``, ``teams.py``).
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import add
from typing import Self

import msgspec

from trivyop.notify.endpoint import Endpoint
from trivyop.notify.events import Event, ScanFailed, Verb
from trivyop.notify.findings import FindingsDiff, pack, unpack
from trivyop.notify.formats.about import About
from trivyop.notify.formats.message import text_id
from trivyop.notify.listing import ID_BYTES, FindingRef, baseline_key, stem, which
from trivyop.report.findings import Severity

_MAX_NAMED = 10  # findings of a report that are kept with their names
_MAX_TEXT = 200

Counts = tuple[int, ...]  # of each severity, the worst first
_NONE: Counts = (0,) * len(Severity)
_RANKS = bytes(FindingRef.of_id(last_byte).severity.rank for last_byte in range(256))


class Named(msgspec.Struct, frozen=True, gc=False):
    """A new finding that may be worth a line."""

    id: int
    name: str
    package: str
    fixed_version: str
    title: str


class Note(msgspec.Struct, frozen=True):
    """What a digest needs of one event."""

    baseline: str  # what it is about, whatever its revision
    workload: str  # for people: "shop/web"
    news: bytes = b""  # packed ids
    resolved: bytes = b""
    gone: bytes = b""  # with the report
    named: tuple[Named, ...] = ()  # of the news, the worst
    failed: tuple[str, str, str] | None = None  # image, reason, message

    @classmethod
    def of(cls, event: Event, diff: FindingsDiff | None, endpoint: Endpoint) -> Self | None:
        """What to keep of an event; None if there is nothing to say."""
        if isinstance(event, ScanFailed):
            failed = (event.image[:_MAX_TEXT], event.reason, event.message[:_MAX_TEXT])
            return cls(f"ImageScan/{event.scan.name}", event.image[:_MAX_TEXT], failed=failed)
        if diff is None or event.object is None:
            return None
        news = [found for found in diff.news if endpoint.filter.matches(found)]
        resolved = [found for found in diff.resolved if endpoint.filter.matches(found)]
        if not news and not resolved:
            return None
        packed = pack(found.id for found in resolved)
        deleted = event.verb is Verb.DELETE
        about = About.of(event)
        return cls(
            baseline=baseline_key(event.object),
            workload="/".join(filter(None, (about.namespace, stem(about.kind, about.name)))),
            news=pack(found.id for found in news),
            resolved=b"" if deleted else packed,
            gone=packed if deleted else b"",
            named=tuple(map(_named, news[:_MAX_NAMED])),
        )


@dataclass(frozen=True, slots=True)
class NewFinding:
    """A finding that is new in some workloads."""

    severity: Severity
    fixable: bool
    named: Named
    workloads: int


@dataclass(frozen=True, slots=True)
class FailedScan:
    """An image that cannot be scanned."""

    image: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Digest:
    """All of it; what is worst comes first."""

    id: str
    new: Mapping[Severity, int]
    resolved: Mapping[Severity, int]
    findings: tuple[NewFinding, ...]  # not all that are new, but the worst
    workloads: tuple[tuple[str, Mapping[Severity, int]], ...]  # those with something new
    failed: tuple[FailedScan, ...]

    @property
    def empty(self) -> bool:
        return not self.new and not self.resolved and not self.failed

    @classmethod
    def of(cls, notes: Sequence[Note], endpoint: Endpoint) -> Self:
        """Put notes together."""
        lines: defaultdict[str, list[Note]] = defaultdict(list)
        for note in notes:
            lines[note.baseline].append(note)
        new = resolved = _NONE
        by_workload: dict[str, Counts] = {}
        found: dict[tuple[str, str], _Found] = {}
        for revisions in lines.values():
            line = revisions[0] if len(revisions) == 1 else _as_one(revisions)
            counts = _count(line.news)
            new = _sum(new, counts)
            if counts != _NONE:
                by_workload[line.workload] = _sum(by_workload.get(line.workload, _NONE), counts)
            if not endpoint.filter.only_new:
                resolved = _sum(resolved, _count(line.resolved))
            for named in line.named:
                known = found.setdefault((named.name, named.package), _Found(named))
                known.add(named, line.workload)
        failed = {FailedScan(*note.failed) for note in notes if note.failed}
        return cls(
            id=text_id("digest", endpoint.name, *sorted(map(_fingerprint, notes))),
            new=_by_severity(new),
            resolved=_by_severity(resolved),
            findings=tuple(sorted(map(_Found.finding, found.values()), key=_importance)),
            workloads=tuple(
                (workload, _by_severity(by_workload[workload]))
                for workload in sorted(by_workload, key=lambda name: (_badness(by_workload[name]), name))
            ),
            failed=tuple(sorted(failed, key=lambda one: (one.reason, one.image, one.message))),
        )


class _Found:
    """A finding in all workloads that have it; they may differ in severity, by the source of it."""

    def __init__(self, named: Named) -> None:
        self._worst = named
        self._fixable = False
        self._workloads: set[str] = set()

    def add(self, named: Named, workload: str) -> None:
        self._workloads.add(workload)
        if named != self._worst:
            self._worst = min(self._worst, named, key=_worst)
        self._fixable = self._fixable or FindingRef.of_id(named.id).fixable

    def finding(self) -> NewFinding:
        severity = FindingRef.of_id(self._worst.id).severity
        return NewFinding(severity, self._fixable, self._worst, len(self._workloads))


def _as_one(revisions: Sequence[Note]) -> Note:
    """One note for what happened to several revisions of one container."""
    news, resolved, gone = (
        _union(ids)
        for ids in zip(*((note.news, note.resolved, note.gone) for note in revisions), strict=True)
    )
    old = resolved.keys() | gone.keys()
    names: dict[int, Named] = {}
    for named in sorted((named for note in revisions for named in note.named), key=_worst):
        names.setdefault(which(named.id), named)
    return Note(
        baseline=revisions[0].baseline,
        workload=max(note.workload for note in revisions),
        news=pack(number for one, number in news.items() if one not in old),
        resolved=pack(number for one, number in resolved.items() if one not in news),
        named=tuple(named for one, named in names.items() if one not in old),
    )


def _union(packed: Iterable[bytes]) -> dict[int, int]:
    """All ids, by which finding they are; the worst of several of one."""
    found: dict[int, int] = {}
    for ids in packed:
        for number in unpack(ids):
            found[which(number)] = min(number, found.get(which(number), number))
    return found


def _named(found: FindingRef) -> Named:
    texts = (found.name, found.package or found.place, found.fixed_version, found.title)
    # many reports have the same ones
    return Named(found.id, *(sys.intern(text[:_MAX_TEXT]) for text in texts))


def _worst(named: Named) -> tuple[int, bool, str, str, int]:
    rank = FindingRef.of_id(named.id).severity.rank
    return rank, not named.fixed_version, named.fixed_version, named.title, named.id


def _importance(found: NewFinding) -> tuple[int, bool, int, str, str]:
    return found.severity.rank, not found.fixable, -found.workloads, found.named.name, found.named.package


def _badness(counts: Counts) -> Counts:
    """Sorts the worst first."""
    return tuple(-count for count in counts)


def _count(packed: bytes) -> Counts:
    """How many findings of each severity; what is packed may be very much."""
    ranks = packed[ID_BYTES - 1 :: ID_BYTES].translate(_RANKS)  # each id ends with its state
    return tuple(map(ranks.count, range(len(Severity))))


def _sum(one: Counts, other: Counts) -> Counts:
    return tuple(map(add, one, other))


def _by_severity(counts: Counts) -> dict[Severity, int]:
    """Those that there are, worst first."""
    return {severity: count for severity, count in zip(Severity, counts, strict=True) if count}


def _fingerprint(note: Note) -> str:
    ids = (note.news.hex(), note.resolved.hex(), note.gone.hex())
    return text_id(note.baseline, note.workload, *ids, *(note.failed or ()))
