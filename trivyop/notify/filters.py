"""Filters: which events an endpoint wants to hear of.

Every key that is given must be met. A report is wanted for its findings if one of them is: bad enough, with a
fix if that is asked for, and new if that is asked for. What could always be fixed by its owner (a secret, a
check, a control) counts as having a fix. Where new ones alone are not asked for, a report from which the last
finding of that sort has just gone is wanted, too: else receivers would keep what is no longer true.

Promises: pure; what is wrong with a filter names the endpoint and the key, and says what is allowed.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar, Final, Self, TypeVar, cast

from trivyop.notify.events import Change, Event, ScanFailed, Verb
from trivyop.notify.findings import FindingsDiff
from trivyop.notify.listing import FindingRef, list_findings
from trivyop.notify.validation import EndpointError
from trivyop.report import kinds
from trivyop.report.findings import Severity
from trivyop.workload.globs import Glob

T = TypeVar("T")

SCANS: Final = "ImageScan"  # the kind that failed scans are of
_NAMESPACE_GLOB = re.compile(r"[a-z0-9?*\[\]^\\-]+")


class EventType(StrEnum):
    """What happened, in the words of CloudEvents' ``type``."""

    REPORT_UPDATED = "report.updated"
    REPORT_DELETED = "report.deleted"
    FINDING_ADDED = "finding.added"
    FINDING_RESOLVED = "finding.resolved"
    SCAN_FAILED = "scan.failed"


_OF_UPDATES = frozenset({EventType.REPORT_UPDATED, EventType.FINDING_ADDED, EventType.FINDING_RESOLVED})
_OF_DELETES = frozenset({EventType.REPORT_DELETED, EventType.FINDING_RESOLVED})


@dataclass(frozen=True, slots=True)
class Filter:
    """What an endpoint wants; the empty one wants everything."""

    kinds: frozenset[str] = frozenset()
    namespaces: tuple[Glob, ...] = ()
    excluded_namespaces: tuple[Glob, ...] = ()
    severity: Severity | None = None  # at least
    only_fixable: bool = False
    only_new: bool = False
    events: frozenset[EventType] = frozenset()

    KEYS: ClassVar[tuple[str, ...]] = ("kinds", "namespaces", "severity", "onlyFixable", "onlyNew", "events")

    @property
    def needs_diff(self) -> bool:
        """Whether ``accepts`` has to know what is new, and what is gone."""
        return self.only_new or self._about_findings

    @property
    def _about_findings(self) -> bool:
        return self.only_new or self.only_fixable or self.severity not in (None, Severity.UNKNOWN)

    @classmethod
    def parse(cls, document: object, *, endpoint: str) -> Self:
        """Read the ``filter`` of an endpoint, decoded YAML; raises ``EndpointError``."""
        reader = _Reader(endpoint)
        if document is None:
            return cls()
        if not isinstance(document, dict):
            raise EndpointError(endpoint, "filter", f"a mapping is expected, with keys out of {_list(_KEYS)}")
        values: dict[str, Any] = {}
        for key, value in cast(dict[object, object], document).items():
            if not isinstance(key, str) or key not in _KEYS:
                raise EndpointError(endpoint, f"filter.{key}", _unknown("key", str(key), _KEYS))
            values.update(_KEYS[key](reader, f"filter.{key}", value))
        return cls(**values)

    def accepts(self, event: Event, diff: FindingsDiff | None, *, unsure: bool = False) -> bool:
        """Whether the endpoint wants it; ``diff`` is to what it was sent before, None: unknown.

        With ``unsure`` it may have been sent more than that, so whatever the findings are now is news.
        """
        if isinstance(event, ScanFailed):
            namespaces = {workload.split("/")[1] for workload in event.workloads if workload.count("/") == 2}
            return self._takes(SCANS, namespaces or {""}, {EventType.SCAN_FAILED})
        types = _OF_UPDATES if event.verb is Verb.UPDATE else _OF_DELETES
        if not self._takes(event.resource.kind, {event.key.namespace}, types):
            return False
        return not self._about_findings or self._takes_findings(event, diff, unsure)

    def shows(self, ids: Iterable[int]) -> bool:
        """Whether it follows from findings that were sent that what becomes of them will be accepted."""
        stateless = self.only_new or not self._about_findings
        return stateless or any(self.matches(FindingRef.of_id(number)) for number in ids)

    def wants(self, event_type: EventType) -> bool:
        """Whether events of that type are sent, by formats that tell types apart."""
        return not self.events or event_type in self.events

    def matches(self, found: FindingRef) -> bool:
        """Whether one finding is of the sort that is asked for, new or not."""
        bad_enough = self.severity is None or found.severity.rank <= self.severity.rank
        return bad_enough and (found.fixable or not self.only_fixable)

    def _takes(self, kind: str, namespaces: Iterable[str], types: Collection[EventType]) -> bool:
        if self.kinds and kind not in self.kinds:
            return False
        if self.events and self.events.isdisjoint(types):
            return False
        return any(map(self._takes_namespace, namespaces))

    def _takes_namespace(self, namespace: str) -> bool:
        if any(glob.matches(namespace) for glob in self.excluded_namespaces):
            return False
        return not self.namespaces or any(glob.matches(namespace) for glob in self.namespaces)

    def _takes_findings(self, change: Change, diff: FindingsDiff | None, unsure: bool) -> bool:
        if change.verb is Verb.DELETE:
            if self.only_new:
                return False
            if not change.whole and (diff is None or diff.first):
                return True  # nobody knows what was in it, and the receiver may know it
        if unsure and not self.only_new:
            return True
        present = list_findings(change.object or {}) if diff is None else diff.present
        if self.only_new:
            news = present if diff is None else diff.news
            return any(map(self.matches, news))
        gone = () if diff is None else diff.resolved
        return any(map(self.matches, (*present, *gone)))


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads the values of one endpoint's filter; ``where`` is the path of the key."""

    endpoint: str

    def kinds(self, where: str, value: object) -> dict[str, Any]:
        known = _kind_names()
        return {"kinds": frozenset(self._choice(where, one, known) for one in self._texts(where, value))}

    def namespaces(self, where: str, value: object) -> dict[str, Any]:
        wanted: list[Glob] = []
        excluded: list[Glob] = []
        for pattern in self._texts(where, value):
            bare = pattern.removeprefix("!")
            if not _NAMESPACE_GLOB.fullmatch(bare):
                reason = (
                    f"{pattern!r} matches no namespace; a name or a glob is expected, such as 'team-*', "
                    "or '!kube-*' for all others"
                )
                raise EndpointError(self.endpoint, where, reason)
            try:
                (excluded if bare != pattern else wanted).append(Glob.parse(bare))
            except ValueError as error:
                raise EndpointError(self.endpoint, where, str(error)) from error
        return {"namespaces": tuple(wanted), "excluded_namespaces": tuple(excluded)}

    def severity(self, where: str, value: object) -> dict[str, Any]:
        if not isinstance(value, str):
            raise EndpointError(self.endpoint, where, _unknown("severity", str(value), list(Severity)))
        return {"severity": self._choice(where, value, {one.lower(): one for one in Severity})}

    def only_fixable(self, where: str, value: object) -> dict[str, Any]:
        return {"only_fixable": self._flag(where, value)}

    def only_new(self, where: str, value: object) -> dict[str, Any]:
        return {"only_new": self._flag(where, value)}

    def events(self, where: str, value: object) -> dict[str, Any]:
        known = {one.value: one for one in EventType}
        return {"events": frozenset(self._choice(where, one, known) for one in self._texts(where, value))}

    def _choice(self, where: str, text: str, known: Mapping[str, T]) -> T:
        found = known.get(text.lower())
        if found is None:
            allowed = list(dict.fromkeys(map(str, known.values())))
            raise EndpointError(self.endpoint, where, _unknown("value", text, allowed))
        return found

    def _flag(self, where: str, value: object) -> bool:
        if not isinstance(value, bool):
            raise EndpointError(self.endpoint, where, f"true or false is expected, not {_short(value)}")
        return value

    def _texts(self, where: str, value: object) -> list[str]:
        """A list of texts, or one text alone."""
        values = cast(list[object], value if isinstance(value, list) else [value])
        texts = [one for one in values if isinstance(one, str) and one]
        if not texts or len(texts) != len(values):
            raise EndpointError(self.endpoint, where, f"a list of texts is expected, not {_short(values)}")
        return texts


_READS: Final = (
    *(_Reader.kinds, _Reader.namespaces, _Reader.severity),
    *(_Reader.only_fixable, _Reader.only_new, _Reader.events),
)
_KEYS: Final[Mapping[str, Callable[[_Reader, str, object], dict[str, Any]]]] = dict(
    zip(Filter.KEYS, _READS, strict=True)
)


def filter_kinds() -> tuple[str, ...]:
    """What ``kinds`` may name."""
    return (*(kind.resource.kind for kind in kinds.KINDS), SCANS)


def _kind_names() -> dict[str, str]:
    """Every kind, by its names as kubectl takes them."""
    return {name: kind for kind in filter_kinds() for name in (kind.lower(), f"{kind.lower()}s")}


def _unknown(what: str, text: str, allowed: Iterable[str]) -> str:
    """What to say of a value that is not known: what was probably meant, and what there is."""
    choices = {choice.lower(): choice for choice in allowed}
    near = difflib.get_close_matches(text.lower(), choices, n=1)
    hint = f" (did you mean {choices[near[0]]}?)" if near else ""
    return f"unknown {what} {_short(text)}{hint}; allowed: {_list(choices.values())}"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _list(names: Iterable[str]) -> str:
    return ", ".join(names)
