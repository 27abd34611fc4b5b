"""Wording: a digest as a heading and lines of styled text, the same for every service.

Text that comes from a cluster or a database (names, versions, titles, messages) is only ever the text of a
``Run``. Who writes runs out makes sure that a text cannot end its run, nor mean anything to the service.
``clean`` has taken out what is not to be seen: control characters, changes of the direction of writing.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import NamedTuple

from trivyop.notify.endpoint import Endpoint
from trivyop.notify.formats.digest import Digest, FailedScan, NewFinding, Note
from trivyop.report.findings import Severity

_NAME_LENGTH = 80
_PROSE_LENGTH = 120
_UNSEEN = frozenset({"Cc", "Cf", "Co", "Cs", "Zl", "Zp"})


class Style(Enum):
    """How a run looks."""

    PLAIN = auto()
    BOLD = auto()
    CODE = auto()  # for names: as they are, to be copied


class Run(NamedTuple):
    """A piece of text in one style."""

    text: str
    style: Style = Style.PLAIN


Line = tuple[Run, ...]


@dataclass(frozen=True, slots=True)
class Section:
    """A title with lines under it, and how many there was no room for."""

    title: str
    lines: tuple[Line, ...]
    more: int = 0

    def first(self, count: int) -> Section:
        """With so many lines at most."""
        left = self.lines[:count]
        return Section(self.title, left, self.more + len(self.lines) - len(left))


@dataclass(frozen=True, slots=True)
class Text:
    """All that a digest says."""

    id: str  # of the digest
    heading: str
    summary: str
    sections: tuple[Section, ...]

    def first(self, count: int) -> Text:
        """With so many lines in each section at most."""
        return replace(self, sections=tuple(section.first(count) for section in self.sections))


def word(notes: Sequence[Note], endpoint: Endpoint, *, lines: int) -> Text | None:
    """Say what all the notes come to, with at most so many lines a section; None if that is nothing."""
    digest = Digest.of(notes, endpoint)
    if digest.empty:
        return None
    sections = (
        Section("New findings", tuple(map(_finding, digest.findings[:lines])), _unnamed(digest, lines)),
        Section(
            "Workloads with new findings",
            tuple(
                (_name(workload), Run(f" {counts(found)}")) for workload, found in digest.workloads[:lines]
            ),
            max(0, len(digest.workloads) - lines),
        ),
        Section(
            "Scans that fail", tuple(map(_failed, digest.failed[:lines])), max(0, len(digest.failed) - lines)
        ),
    )
    prefix = f"{clean(endpoint.cluster, 40)}: " if endpoint.cluster else ""
    said = tuple(one for one in sections if one.lines)
    return Text(digest.id, prefix + _heading(digest), _summary(digest), said)


def counts(found: Mapping[Severity, int]) -> str:
    """Counts in words: "2 critical, 3 high"."""
    return ", ".join(f"{number:,} {severity.lower()}" for severity, number in found.items())


def clean(text: str, length: int = _NAME_LENGTH) -> str:
    """One line without what cannot be seen, cut where it gets too long."""
    seen = "".join(" " if unicodedata.category(char) in _UNSEEN else char for char in text[: 4 * length])
    line = " ".join(seen.split())
    return line if len(line) <= length else f"{line[: length - 1]}…"


def _name(text: str) -> Run:
    return Run(clean(text) or "?", Style.CODE)


def _heading(digest: Digest) -> str:
    new, resolved = sum(digest.new.values()), sum(digest.resolved.values())
    if new:
        return f"{_number(new, 'new finding')} in {_number(len(digest.workloads), 'workload')}"
    if resolved:
        return f"{_number(resolved, 'finding')} resolved"
    return f"{_number(len(digest.failed), 'scan')} {'fails' if len(digest.failed) == 1 else 'fail'}"


def _summary(digest: Digest) -> str:
    parts = (
        f"new: {counts(digest.new)}" if digest.new else "",
        f"resolved: {counts(digest.resolved)}" if digest.resolved else "",
        f"scans that fail: {len(digest.failed):,}" if digest.failed else "",
    )
    return "; ".join(filter(None, parts))


def _finding(found: NewFinding) -> Line:
    named = found.named
    runs = [Run(found.severity.capitalize(), Style.BOLD), Run(" "), _name(named.name)]
    if named.package:
        runs += [Run(" in "), _name(named.package)]
    if named.fixed_version:
        runs += [Run(", fixed in "), _name(named.fixed_version)]
    if found.workloads > 1:
        runs.append(Run(f", {found.workloads:,} workloads"))
    if named.title:
        runs.append(Run(f": {clean(named.title, _PROSE_LENGTH)}"))
    return tuple(run for run in runs if run.text)


def _failed(failed: FailedScan) -> Line:
    message = clean(failed.message, _PROSE_LENGTH)
    runs = (_name(failed.image), Run(f" {failed.reason}: {message}"))
    return tuple(run for run in runs if run.text)


def _unnamed(digest: Digest, lines: int) -> int:
    """How many findings are new beyond those that have a line; the same one in two workloads counts twice."""
    shown = sum(found.workloads for found in digest.findings[:lines])
    return max(0, sum(digest.new.values()) - shown)


def _number(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"
