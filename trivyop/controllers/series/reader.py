"""Reader: reads those reports whose metadata does not tell metrics enough, each content once.

That is a report that another operator wrote, a report on compliance, and, where a metric has a series per
finding, one report for each image and result. What was read is kept as text and counts, shared by all reports
that say the same, and only for as long as one of them exists; while a new content is not read yet the old one
stands in.

Promises: a report is read when its event has arrived, a few at a time, and never at a scrape. ``counted`` is
true once every report that was there at the start and whose counts only its body tells has been tried,
``complete`` once all were.
Not here: retries, which are the controller's.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import NamedTuple
from weakref import WeakValueDictionary

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from trivyop.control.queue import Priority, WorkQueue
from trivyop.controllers.lister import Lister
from trivyop.controllers.series.bodies import Counts
from trivyop.controllers.series.reading import ComplianceReading, Reading, counts_of, reader_of
from trivyop.kube.client import Api
from trivyop.kube.resources import ObjectKey, Resource
from trivyop.report.families import Family
from trivyop.report.kinds import About, kinds_counted, reports_about
from trivyop.report.stored import StoredReport
from trivyop.report.summary import SeverityCounts

_LOOK_AGAIN_SECONDS = 2.0

Content = tuple[str | bool, ...]
"""Names what a report says: reports of a kind that have it in common say the same."""


class Unread(NamedTuple):
    """A content to be read."""

    resource: Resource
    content: Content

    def __str__(self) -> str:
        return f"{self.resource.plural} {' '.join(str(part) for part in self.content if part)}"


@dataclass(slots=True)
class _Kind:
    """What is known of the reports of one kind; of those alone that have to be read."""

    wanted: dict[ObjectKey, Content] = field(default_factory=dict[ObjectKey, Content])
    users: dict[Content, dict[ObjectKey, None]] = field(default_factory=dict[Content, dict[ObjectKey, None]])
    unread: set[Content] = field(default_factory=set[Content])
    uncounted: set[Content] = field(default_factory=set[Content])  # untried, and their counts are unknown
    untried: set[Content] = field(default_factory=set[Content])
    shown: dict[ObjectKey, Reading | ComplianceReading] = field(
        default_factory=dict[ObjectKey, "Reading | ComplianceReading"]
    )
    known: WeakValueDictionary[Content, Reading | ComplianceReading] = field(
        default_factory=WeakValueDictionary[Content, "Reading | ComplianceReading"]
    )
    counted: bool = False
    complete: bool = False

    def tried(self, content: Content) -> None:
        self.untried.discard(content)
        self.uncounted.discard(content)


@lru_cache(maxsize=4096)
def parse_counts(summary: str) -> Counts | None:
    """The counts in a summary annotation; None if it has none."""
    counts = SeverityCounts.parse(summary)
    return None if counts is None else counts_of(counts)


class SeriesReader:
    """What was read of reports, by their keys."""

    def __init__(
        self,
        api: Api,
        listers: Mapping[Resource, Lister[StoredReport]],
        families: Iterable[Family],
        queue: WorkQueue[Unread],
        registry: CollectorRegistry,
    ) -> None:
        self._api = api
        families = tuple(families)
        kinds = {kind for family in families for kind in kinds_counted(family) if kind in listers}
        self._of_images: Collection[Resource] = reports_about(About.CONTAINER)
        self._with_findings: Collection[Resource] = {
            kind for family in families if family.per_finding for kind in kinds_counted(family)
        }
        self._listers = {kind: listers[kind] for kind in kinds}
        self._kinds = {kind: _Kind() for kind in kinds}
        self._queue = queue
        # readings by their hash, so that equal ones are one
        self._same: WeakValueDictionary[int, Reading | ComplianceReading] = WeakValueDictionary()
        for resource, lister in self._listers.items():
            lister.add_handler(partial(self._changed, resource))
        _Unread(registry, self.unread)

    def reading(self, resource: Resource, key: ObjectKey) -> Reading | ComplianceReading | None:
        """What was read of a report; None if nothing was, or its metadata is enough."""
        return self._kinds[resource].shown.get(key)

    def counted(self, resource: Resource) -> bool:
        """Whether the counts of all reports of a kind that were there at the start are known; it stays so."""
        kind = self._kinds.get(resource)
        if kind is None:
            return True
        kind.counted = kind.counted or (self._listers[resource].synced and not kind.uncounted)
        return kind.counted

    def complete(self, resource: Resource) -> bool:
        """Whether their findings are known as well, where they are wanted; it stays so."""
        kind = self._kinds.get(resource)
        if kind is None:
            return True
        kind.complete = kind.complete or (self._listers[resource].synced and not kind.untried)
        return kind.complete

    def unread(self) -> Mapping[str, int]:
        """How many reports of each kind are still to be read."""
        return {
            resource.kind: sum(len(kind.users[content]) for content in kind.unread)
            for resource, kind in self._kinds.items()
        }

    def keys(self) -> list[Unread]:
        """All that is still to be read, for the resync."""
        return [
            Unread(resource, content) for resource, kind in self._kinds.items() for content in kind.unread
        ]

    def _changed(
        self, resource: Resource, key: ObjectKey, _old: StoredReport | None, new: StoredReport | None
    ) -> None:
        kind = self._kinds[resource]
        before = kind.wanted.get(key)
        wanted = None if new is None else self._content(resource, new)
        if wanted is None or wanted != before:
            if before is not None:
                self._leave(kind, key, before)
            if wanted is None:
                kind.shown.pop(key, None)
            else:
                self._join(resource, key, wanted, counted=new is not None and self._is_counted(resource, new))

    def _join(self, resource: Resource, key: ObjectKey, content: Content, *, counted: bool) -> None:
        kind = self._kinds[resource]
        kind.wanted[key] = content
        kind.users.setdefault(content, {})[key] = None
        reading = kind.known.get(content)
        if reading is not None:
            kind.shown[key] = reading
            return
        if content not in kind.unread:
            kind.unread.add(content)
            if not self._listers[resource].synced:  # it was there at the start
                kind.untried.add(content)
                if not counted:
                    kind.uncounted.add(content)
            self._queue.add(Unread(resource, content), Priority.BACKLOG)

    @staticmethod
    def _leave(kind: _Kind, key: ObjectKey, content: Content) -> None:
        del kind.wanted[key]
        users = kind.users[content]
        del users[key]
        if not users:
            del kind.users[content]
            kind.unread.discard(content)
            kind.tried(content)

    def _is_counted(self, resource: Resource, report: StoredReport) -> bool:
        """Whether the metadata tells the counts, and of which image."""
        counts = None if report.revision else parse_counts(report.summary)
        return counts is not None and bool(report.image or resource not in self._of_images)

    def _content(self, resource: Resource, report: StoredReport) -> Content | None:
        """What is to be read; None if the metadata is enough."""
        if report.revision:
            return (report.uid, report.revision)
        if not self._is_counted(resource, report):  # somebody touched annotations
            return (report.uid, report.summary, report.content_hash, report.scanned_at)
        if resource not in self._with_findings:
            return None
        if resource in self._of_images:
            # targets have the reference, and one image may have several: nginx:1, docker.io/nginx:1
            image = (report.image, report.reference, report.platform)
            result = (*image, report.settings_hash, report.scanned_at)
            return (
                (*result, report.summary, report.complete)
                if any(parse_counts(report.summary) or ())
                else None
            )
        return (report.uid, report.content_hash, report.scanned_at)

    async def read(self, unread: Unread) -> float | None:
        """Read one of the reports that have a content; returns when to look again if it has it no more."""
        resource, content = unread
        kind = self._kinds[resource]
        users = kind.users.get(content)
        if not users or content not in kind.unread:
            return None
        key = next(iter(users))
        kind_of_struct, read = reader_of(resource)
        try:
            report = await self._api.get(resource, key, kind_of_struct)
        finally:
            kind.tried(content)
        found = None if report is None else self._content(resource, StoredReport.parse(report))
        if report is not None and found == content:
            reading = self._one(read(report))
            kind.known[content] = reading
            kind.unread.discard(content)
            for user in kind.users.get(content, ()):
                kind.shown[user] = reading
            return None
        # its event is on its way; another report may still say this
        users = kind.users.get(content, {})
        if key in users:
            del users[key]
            users[key] = None
        return _LOOK_AGAIN_SECONDS

    def _one(self, reading: Reading | ComplianceReading) -> Reading | ComplianceReading:
        """The one that is kept of all that are equal."""
        number = hash(reading)
        same = self._same.get(number)
        if same == reading and same is not None:
            return same
        self._same[number] = reading
        return reading


class _Unread(Collector):
    def __init__(self, registry: CollectorRegistry, unread: Callable[[], Mapping[str, int]]) -> None:
        self._unread = unread
        registry.register(self)

    def describe(self) -> Iterable[Metric]:
        return (self._family(),)

    def collect(self) -> Iterable[Metric]:
        family = self._family()
        for kind, count in sorted(self._unread().items()):
            family.add_metric([kind], count)
        return (family,)

    @staticmethod
    def _family() -> GaugeMetricFamily:
        return GaugeMetricFamily(
            "trivyop_reports_unread",
            "Reports still to be read for metrics, which lack them or show an older state.",
            labels=["kind"],
        )
