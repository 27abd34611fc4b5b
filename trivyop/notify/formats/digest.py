"""Digest: what happened in many reports since the last one, in few words.

A ``Note`` is what is kept of an event until the digest is due: ids of findings, and the worst few with their
names. ``Digest.of`` puts notes together. A rollout is no news: what is new in one revision of a workload and
goes with another of it was there before, and what goes with a report is not resolved.

Promises: pure; the order of notes means nothing; a note has a few kilobytes at most, for most reports less
than one. Not here: how a service is told (``slack.py``, ``teams.py``).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

import msgspec

from trivyop.notify.endpoint import Endpoint
from trivyop.notify.events import Event, ScanFailed, Verb
from trivyop.notify.findings import FindingsDiff, pack, unpack
from trivyop.notify.formats.about import About
from trivyop.notify.formats.ids import text_id
from trivyop.notify.listing import FindingRef, lineage, stem, which
from trivyop.report.findings import Severity

_MAX_NAMED = 10  # findings of a report that are kept with their names
_MAX_TEXT = 200


class Named(msgspec.Struct, frozen=True, gc=False):
    """A new finding that may be worth a line."""

    id: int
    name: str
    package: str
    fixed_version: str
    title: str


class Note(msgspec.Struct, frozen=True):
    """What a digest needs of one event."""

    lineage: str  # what it is about, whatever revision
    workload: str  # for people: "shop/web"
    news: bytes = b""  # packed ids
    resolved: bytes = b""
    gone: bytes = b""  # with the report
    named: tuple[Named, ...] = ()  # of the news, the worst
    failed: tuple[str, str, str] | None = None  # image, reason, message

    @classmethod
    def of(cls, event: Event, diff: FindingsDiff | None, endpoint: Endpoint) -> Self | None:
        """What to keep of an event; None if there is nothing to tell."""
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
            lineage=lineage(event.object),
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
        lines: defaultdict[str, _Line] = defaultdict(_Line)
        for note in notes:
            lines[note.lineage].add(note)
        new: Counter[Severity] = Counter()
        resolved: Counter[Severity] = Counter()
        by_workload: defaultdict[str, Counter[Severity]] = defaultdict(Counter)
        found: defaultdict[tuple[str, str], list[tuple[Named, str]]] = defaultdict(list)
        for line in lines.values():
            counts = _count(line.new_ids)
            new.update(counts)
            if counts:
                by_workload[line.workload].update(counts)
            if not endpoint.filter.only_new:
                resolved.update(_count(line.resolved_ids))
            for named in line.named:
                found[named.name, named.package].append((named, line.workload))
        failed = {FailedScan(*note.failed) for note in notes if note.failed}
        return cls(
            id=text_id("digest", endpoint.name, *sorted(map(_fingerprint, notes))),
            new=_worst_first(new),
            resolved=_worst_first(resolved),
            findings=tuple(sorted(map(_together, found.values()), key=_importance)),
            workloads=tuple(
                (workload, _worst_first(counts))
                for workload, counts in sorted(by_workload.items(), key=_badness)
            ),
            failed=tuple(sorted(failed, key=lambda one: (one.reason, one.image, one.message))),
        )


@dataclass(slots=True)
class _Line:
    """What happened to all revisions of one container; ids by which finding they are."""

    workload: str = ""
    news: dict[int, int] = field(default_factory=dict[int, int])
    resolved: dict[int, int] = field(default_factory=dict[int, int])
    gone: dict[int, int] = field(default_factory=dict[int, int])
    names: dict[int, Named] = field(default_factory=dict[int, Named])

    def add(self, note: Note) -> None:
        self.workload = max(self.workload, note.workload)
        for ids, known in ((note.news, self.news), (note.resolved, self.resolved), (note.gone, self.gone)):
            for number in unpack(ids):
                known[which(number)] = min(number, known.get(which(number), number))
        for named in note.named:
            known_name = self.names.get(which(named.id), named)
            self.names[which(named.id)] = min(named, known_name, key=msgspec.structs.astuple)

    @property
    def new_ids(self) -> list[int]:
        return [number for one, number in self.news.items() if self._is_new(one)]

    @property
    def resolved_ids(self) -> list[int]:
        return [number for one, number in self.resolved.items() if one not in self.news]

    @property
    def named(self) -> list[Named]:
        return [named for one, named in self.names.items() if self._is_new(one)]

    def _is_new(self, one: int) -> bool:
        return one not in self.resolved and one not in self.gone


def _named(found: FindingRef) -> Named:
    texts = (found.name, found.package or found.place, found.fixed_version, found.title)
    return Named(found.id, *(text[:_MAX_TEXT] for text in texts))


def _together(found: Sequence[tuple[Named, str]]) -> NewFinding:
    """One line for a finding of several workloads; they may differ in severity, by the source of it."""
    worst = min((named for named, _ in found), key=_worst)
    fixable = any(FindingRef.of_id(named.id).fixable for named, _ in found)
    return NewFinding(_severity(worst.id), fixable, worst, len({workload for _, workload in found}))


def _worst(named: Named) -> tuple[int, bool, str, str]:
    return _severity(named.id).rank, not named.fixed_version, named.fixed_version, named.title


def _importance(found: NewFinding) -> tuple[int, bool, int, str, str]:
    return found.severity.rank, not found.fixable, -found.workloads, found.named.name, found.named.package


def _badness(item: tuple[str, Mapping[Severity, int]]) -> tuple[tuple[int, ...], str]:
    workload, counts = item
    return tuple(-counts.get(severity, 0) for severity in Severity), workload


def _severity(number: int) -> Severity:
    return FindingRef.of_id(number).severity


def _count(ids: Iterable[int]) -> Counter[Severity]:
    return Counter(map(_severity, ids))


def _worst_first(counts: Mapping[Severity, int]) -> dict[Severity, int]:
    return {severity: counts[severity] for severity in Severity if counts.get(severity)}


def _fingerprint(note: Note) -> str:
    ids = (note.news.hex(), note.resolved.hex(), note.gone.hex())
    return text_id(note.lineage, note.workload, *ids, *(note.failed or ()))
