"""Scrape: the series of each kind of metric, in text, from the reports at one moment.

A text holds the series of one report, or a part of them. Labels that stand in front are put together anew for
each report: that is as fast as keeping them, and takes no memory.
Not here: which metrics are served, and how many series of each (``reports.py``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from trivyop.controllers.lister import Lister
from trivyop.controllers.series.bodies import Counts
from trivyop.controllers.series.labels import ResourceLabels
from trivyop.controllers.series.reader import SeriesReader, parse_counts
from trivyop.controllers.series.reading import (
    SEVERITIES,
    ComplianceReading,
    Reading,
    image_labels,
    split_image,
    split_system,
    system_labels,
)
from trivyop.kube.resources import Resource
from trivyop.observe.exposition import escape, show_labels
from trivyop.report.audit import report_kind
from trivyop.report.kinds import About, reports_about
from trivyop.report.stored import StoredReport

_NOTHING = Reading()


class Findings:
    """The findings of one report, or of one image, that have the same labels in front."""

    __slots__ = ("extra", "head", "reading")

    def __init__(self, head: str, reading: Reading, extra: str) -> None:
        self.head = head
        self.reading = reading
        self.extra = extra

    def show(self, name: str, begin: int, end: int) -> str:
        before, after = f"{name}{{{self.head},", f"{self.extra}}} 1\n"
        return "".join([before + row + after for row in self.reading.rows[begin:end]])


class Scrape:
    """The reports at one moment, and the texts that their series share."""

    def __init__(
        self, listers: Mapping[Resource, Lister[StoredReport]], reader: SeriesReader, labels: ResourceLabels
    ) -> None:
        self._listers = listers
        self._reader = reader
        self._extra = labels.render
        self._taken: dict[Resource, list[StoredReport]] = {}
        self._of_containers = reports_about(About.CONTAINER)
        self._images: dict[str, tuple[str, str]] = {}
        self._systems: dict[str, str] = {}

    def _reports(self, kind: Resource) -> list[StoredReport]:
        if kind not in self._taken:
            self._taken[kind] = list(self._listers[kind].values()) if kind in self._listers else []
        return self._taken[kind]

    def _reading(self, kind: Resource, report: StoredReport) -> Reading | None:
        reading = self._reader.reading(kind, report.key)
        return reading if isinstance(reading, Reading) else None

    def _image(self, report: StoredReport, reading: Reading | None) -> tuple[str, str]:
        """The labels that name a report's image, and its digest."""
        if not report.image:
            return (reading.image, reading.digest) if reading else ("", "")
        known = self._images.get(report.image)
        if known is None:
            parts = split_image(report.image)
            known = self._images[report.image] = (image_labels(*parts), parts[3])
        return known

    def _counted(self, kind: Resource) -> Iterator[tuple[StoredReport, Counts, str]]:
        """Each report with its counts and the labels in front; one whose counts are unknown is left out."""
        reading_of = self._reader.reading
        containers = kind in self._of_containers
        for report in self._reports(kind):
            counts = parse_counts(report.summary)
            reading = None
            if counts is None or (containers and not report.image):
                reading = reading_of(kind, report.key)
                if not isinstance(reading, Reading):
                    continue
                counts = reading.counts
            if containers:
                yield report, counts, f"{_container_head(report)},{self._image(report, reading)[0]}"
            else:
                yield report, counts, _head(report)

    def counts(self, name: str, kind: Resource, severities: Sequence[str]) -> Iterator[str]:
        """A series for each severity of each report."""
        with_unknown = len(severities) == len(SEVERITIES)
        for report, counts, head in self._counted(kind):
            yield _severities(name, head, self._extra(report.labels), counts, with_unknown=with_unknown)

    def fixable(self, name: str, kind: Resource) -> Iterator[str]:
        for report, _, head in self._counted(kind):
            counts = parse_counts(report.fixable)
            if counts is None:
                counts = (self._reading(kind, report) or _NOTHING).fixable
            after = self._extra(report.labels)
            yield (
                f'{name}{{{head},severity="Critical"{after}}} {counts[0]}\n'
                f'{name}{{{head},severity="High"{after}}} {counts[1]}\n'
            )

    def cluster_roles(self, name: str, kinds: Sequence[Resource], *, merged: bool) -> Iterator[str]:
        """Those of ClusterRoles, whichever kind of report they are in; first the kind that is written now."""
        written = report_kind("ClusterRole", namespaced=False, merge_rbac=merged)
        served: set[str] = set()
        for kind in sorted(kinds, key=lambda kind: kind != written):
            for report, counts, head in self._counted(kind):
                if report.key.name not in served and _kind_of(report) == "ClusterRole":
                    served.add(report.key.name)
                    labels = head.removeprefix('namespace="",')
                    yield _severities(name, labels, self._extra(report.labels), counts, with_unknown=False)

    def image_info(self, name: str, kind: Resource) -> Iterator[str]:
        for report, _, head in self._counted(kind):
            system = self._systems.get(report.os)
            if not report.image:
                system = (self._reading(kind, report) or _NOTHING).system
            elif system is None:
                family, version, eosl = split_system(report.os)
                system = self._systems[report.os] = system_labels(family, version, eosl=eosl)
            yield f"{name}{{{head},{system}{self._extra(report.labels)}}} 1\n"

    def used_by(self, name: str, kind: Resource) -> Iterator[str]:
        for report, _, head in self._counted(kind):
            yield f"{name}{{{head}{self._extra(report.labels)}}} 1\n"

    def findings(self, kind: Resource) -> list[Findings]:
        """What was read of each report that has findings."""
        found: list[Findings] = []
        for report, _, head in self._counted(kind):
            reading = self._reading(kind, report)
            if reading is not None and reading.rows:
                found.append(Findings(head, reading, self._extra(report.labels)))
        return found

    def images(self, kind: Resource) -> list[Findings]:
        """What was read of each image, however many reports and references there are of it."""
        readings: dict[str, dict[tuple[str | bool, ...], tuple[str, Reading]]] = {}
        for report in self._reports(kind):
            reading = self._reading(kind, report)
            if reading is not None and reading.rows:
                digest = self._image(report, reading)[1]
                if digest:
                    several = readings.setdefault(digest, {})
                    scan = (report.platform, report.settings_hash, report.scanned_at, report.complete)
                    known = several.get(scan)
                    if known is None or report.reference < known[0]:  # the same one next time
                        several[scan] = (report.reference, reading)
        return [
            Findings(
                f'image_digest="{escape(digest)}"',
                _merged(list({id(one): one for _, one in several.values()}.values())),
                "",
            )
            for digest, several in readings.items()
        ]

    def compliance(self, name: str, kind: Resource, *, controls: bool) -> Iterator[str]:
        written: set[str] = set()
        for report in sorted(self._reports(kind), key=lambda report: report.key):
            reading = self._reader.reading(kind, report.key)
            if not isinstance(reading, ComplianceReading):
                continue
            rows = reading.controls
            if not controls:
                rows = (('status="Fail"', reading.failed), ('status="Pass"', reading.passed))
            after = self._extra(report.labels)
            for row, value in rows:
                labels = f"{reading.title},{row}{after}"
                if labels not in written:
                    written.add(labels)
                    yield f"{name}{{{labels}}} {value}\n"


def _severities(name: str, head: str, after: str, counts: Counts, *, with_unknown: bool) -> str:
    critical, high, medium, low, unknown = counts
    text = (
        f'{name}{{{head},severity="Critical"{after}}} {critical}\n'
        f'{name}{{{head},severity="High"{after}}} {high}\n'
        f'{name}{{{head},severity="Medium"{after}}} {medium}\n'
        f'{name}{{{head},severity="Low"{after}}} {low}\n'
    )
    return f'{text}{name}{{{head},severity="Unknown"{after}}} {unknown}\n' if with_unknown else text


def _kind_of(report: StoredReport) -> str:
    return report.owner.partition("/")[0]


def _head(report: StoredReport) -> str:
    """The labels that name a report and its owner."""
    namespace, name = report.key
    head = (
        f'namespace="{namespace}",name="{name}",resource_kind="{_kind_of(report)}",'
        f'resource_name="{report.resource_name}"'
    )
    return head if _is_plain(head, 4) else _head_with_care(report)


def _container_head(report: StoredReport) -> str:
    """The same with the container."""
    namespace, name = report.key
    head = (
        f'namespace="{namespace}",name="{name}",resource_kind="{_kind_of(report)}",'
        f'resource_name="{report.resource_name}",container_name="{report.container}"'
    )
    if _is_plain(head, 5):
        return head
    return f'{_head_with_care(report)},container_name="{escape(report.container)}"'


def _is_plain(labels: str, count: int) -> bool:
    """Whether nothing had to be escaped; API servers take no such names, but who knows."""
    return labels.count('"') == 2 * count and "\\" not in labels and "\n" not in labels


def _head_with_care(report: StoredReport) -> str:
    namespace, name = report.key
    return show_labels(
        namespace=namespace,
        name=name,
        resource_kind=_kind_of(report),
        resource_name=report.resource_name,
    )


def _merged(readings: Sequence[Reading]) -> Reading:
    """All that several reports on one image say, each finding once."""
    if len(readings) == 1:
        return readings[0]
    rows: list[str] = []
    ends: list[int] = []
    for rank in range(len(SEVERITIES)):
        parts = (one.rows[one.ends[rank - 1] if rank else 0 : one.ends[rank]] for one in readings)
        rows += dict.fromkeys(row for part in parts for row in part)
        ends.append(len(rows))
    return Reading(rows=tuple(rows), ends=(ends[0], ends[1], ends[2], ends[3], ends[4]))
