"""Series: the metrics that are counted from reports, as text, straight from what the informers mirror.

Whatever reports come and go, what is served is what the stores hold: no series outlives its report, none is
there twice, and sums over series are sums over reports. Nothing is kept for a scrape and nothing is read or
decoded at one. A metric is left out until all reports that it counts are known, and while another replica
leads; ``trivyop_series_ready`` says so.

Of metrics with a series per finding at most ``limit`` series are served, the worst severities first; which of
the last severity are, does not change from scrape to scrape.

Where two reports would make the same series, the first counts: of a ClusterRole, the report of the kind that
is written now; of reports on compliance with the same title, the first by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property

import structlog
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from trivyop.controllers import series_families as families
from trivyop.controllers.mirror import Mirror
from trivyop.controllers.series_families import Family
from trivyop.controllers.series_labels import ResourceLabels
from trivyop.controllers.series_reader import SeriesReader, parse_counts
from trivyop.controllers.series_reading import (
    SEVERITIES,
    ComplianceReading,
    Counts,
    Reading,
    image_labels,
    split_image,
    split_system,
    system_labels,
)
from trivyop.kube.resources import (
    CLUSTERCONFIGAUDITREPORTS,
    CLUSTERRBACASSESSMENTREPORTS,
    VULNERABILITYREPORTS,
    Resource,
)
from trivyop.observe.exposition import escape, show_head, show_labels
from trivyop.report.stored import StoredReport

log = structlog.get_logger(__name__)

_CHUNK_CHARACTERS = 128 * 1024  # rendered in a few milliseconds
_NOTHING = Reading()


class ReportSeries:
    """Renders the metrics of ``wanted`` families; ``active`` says whether it is this replica's to do so."""

    def __init__(
        self,
        mirrors: Mapping[Resource, Mirror[StoredReport]],
        reader: SeriesReader,
        wanted: Sequence[Family],
        *,
        labels: ResourceLabels,
        limit: int,
        merged_roles: bool,
        active: Callable[[], bool],
        registry: CollectorRegistry,
    ) -> None:
        self._mirrors = mirrors
        self._reader = reader
        self._wanted = tuple(wanted)
        self._labels = labels
        self._limit = limit
        self._merged_roles = merged_roles
        self._active = active
        self._dropped = Counter(
            "trivyop_series_dropped_total",
            "Series that scrapes left out because a metric has more than the limit, by metric.",
            ["metric"],
            registry=registry,
        )
        self._failures = Counter(
            "trivyop_series_failures_total",
            "Times that a scrape had to leave out the rest of a metric that is counted from reports.",
            ["metric"],
            registry=registry,
        )
        for family in self._wanted:
            self._failures.labels(family.name)
            if family.per_finding:
                self._dropped.labels(family.name)
        _Readiness(registry, self.readiness)

    def readiness(self) -> Mapping[str, bool]:
        """Whether each metric is served now."""
        active = self._active()
        return {family.name: active and self._ready(family) for family in self._wanted}

    def _ready(self, family: Family) -> bool:
        known = self._reader.complete if family.per_finding else self._reader.counted
        return all(known(kind) for kind in family.kinds)

    def chunks(self) -> Iterator[bytes]:
        """The text of all series, in pieces that take a few milliseconds each."""
        if not self._active():
            return
        scrape = _Scrape(self._mirrors, self._reader, self._labels)
        for family in self._wanted:
            if not self._ready(family):
                continue
            try:
                yield from _chunks(show_head(family.name, family.help), self._texts(family, scrape))
            except Exception:  # a bug of ours: the other metrics matter more
                self._failures.labels(family.name).inc()
                log.exception("series_missing", metric=family.name)

    def _texts(self, family: Family, scrape: _Scrape) -> Iterator[str]:
        """The series of a metric; those of a report, or a part of them, in one text."""
        name, kind = family.name, family.kinds[0]
        match family:
            case families.IMAGE_VULNERABILITIES:
                return scrape.counts(name, kind, SEVERITIES)
            case families.IMAGE_SECRETS:
                return scrape.counts(name, kind, SEVERITIES[:4])
            case families.FIXABLE_VULNERABILITIES:
                return scrape.fixable(name)
            case families.CONFIG_AUDITS | families.ROLES | families.INFRA:
                return scrape.counts(name, kind, SEVERITIES[:4])
            case families.CLUSTER_ROLES:
                return scrape.cluster_roles(name, merged=self._merged_roles)
            case families.IMAGE_INFO:
                return scrape.image_info(name)
            case families.IMAGE_USED_BY:
                return scrape.used_by(name)
            case families.COMPLIANCE | families.COMPLIANCE_INFO:
                return scrape.compliance(name, kind, controls=family is families.COMPLIANCE_INFO)
            case families.IMAGE_VULNERABILITY_INFO:
                return self._limited(family, scrape.images())
            case _:
                return self._limited(family, scrape.findings(kind))

    def _limited(self, family: Family, found: list[_Findings]) -> Iterator[str]:
        totals = [sum(one.reading.ends[rank] for one in found) for rank in range(len(SEVERITIES))]
        rest = self._limit
        if totals[-1] <= rest:
            for one in found:
                yield one.show(family.name, 0, one.reading.ends[-1])
            return
        self._dropped.labels(family.name).inc(totals[-1] - rest)
        found.sort(key=lambda one: one.head)  # the same ones next time
        for rank in range(len(SEVERITIES)):
            for one in found:
                begin, end = one.reading.ends[rank - 1] if rank else 0, one.reading.ends[rank]
                end = min(end, begin + rest)
                if begin < end:
                    yield one.show(family.name, begin, end)
                    rest -= end - begin
            if not rest:
                return


class _Findings:
    """The findings of one report, or of one image, that have the same labels in front."""

    __slots__ = ("extra", "head", "reading")

    def __init__(self, head: str, reading: Reading, extra: str) -> None:
        self.head = head
        self.reading = reading
        self.extra = extra

    def show(self, name: str, begin: int, end: int) -> str:
        before, after = f"{name}{{{self.head},", f"{self.extra}}} 1\n"
        return "".join([before + row + after for row in self.reading.rows[begin:end]])


class _Scrape:
    """The reports at one moment, and the texts that their series share."""

    def __init__(
        self, mirrors: Mapping[Resource, Mirror[StoredReport]], reader: SeriesReader, labels: ResourceLabels
    ) -> None:
        self._mirrors = mirrors
        self._reader = reader
        self._extra = labels.render
        self._taken: dict[Resource, list[StoredReport]] = {}
        self._images: dict[str, tuple[str, str]] = {}
        self._systems: dict[str, str] = {}

    def _reports(self, kind: Resource) -> list[StoredReport]:
        if kind not in self._taken:
            self._taken[kind] = list(self._mirrors[kind].values()) if kind in self._mirrors else []
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
        containers = kind in _IMAGE_KINDS
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

    def fixable(self, name: str) -> Iterator[str]:
        for report, _, head in self._counted(VULNERABILITYREPORTS):
            counts = parse_counts(report.fixable)
            if counts is None:
                counts = (self._reading(VULNERABILITYREPORTS, report) or _NOTHING).fixable
            after = self._extra(report.labels)
            yield (
                f'{name}{{{head},severity="Critical"{after}}} {counts[0]}\n'
                f'{name}{{{head},severity="High"{after}}} {counts[1]}\n'
            )

    def cluster_roles(self, name: str, *, merged: bool) -> Iterator[str]:
        """Those of ClusterRoles, whichever kind of report they are in."""
        kinds = [CLUSTERRBACASSESSMENTREPORTS, CLUSTERCONFIGAUDITREPORTS]
        told: set[str] = set()
        for kind in reversed(kinds) if merged else kinds:
            for report, counts, head in self._counted(kind):
                if report.key.name not in told and _kind_of(report) == "ClusterRole":
                    told.add(report.key.name)
                    labels = head.removeprefix('namespace="",')
                    yield _severities(name, labels, self._extra(report.labels), counts, with_unknown=False)

    def image_info(self, name: str) -> Iterator[str]:
        for report, _, head in self._counted(VULNERABILITYREPORTS):
            system = self._systems.get(report.os)
            if not report.image:
                system = (self._reading(VULNERABILITYREPORTS, report) or _NOTHING).system
            elif system is None:
                family, version, eosl = split_system(report.os)
                system = self._systems[report.os] = system_labels(family, version, eosl=eosl)
            yield f"{name}{{{head},{system}{self._extra(report.labels)}}} 1\n"

    def used_by(self, name: str) -> Iterator[str]:
        for report, _, head in self._counted(VULNERABILITYREPORTS):
            yield f"{name}{{{head}{self._extra(report.labels)}}} 1\n"

    def findings(self, kind: Resource) -> list[_Findings]:
        """What was read of each report that has findings."""
        found: list[_Findings] = []
        for report, _, head in self._counted(kind):
            reading = self._reading(kind, report)
            if reading is not None and reading.rows:
                found.append(_Findings(head, reading, self._extra(report.labels)))
        return found

    def images(self) -> list[_Findings]:
        """What was read of each image, whatever number of reports are about it."""
        readings: dict[str, dict[int, Reading]] = {}
        for report in self._reports(VULNERABILITYREPORTS):
            reading = self._reading(VULNERABILITYREPORTS, report)
            if reading is not None and reading.rows:
                digest = self._image(report, reading)[1]
                if digest:
                    readings.setdefault(digest, {})[id(reading)] = reading
        return [
            _Findings(f'image_digest="{escape(digest)}"', _merged(list(several.values())), "")
            for digest, several in readings.items()
        ]

    def compliance(self, name: str, kind: Resource, *, controls: bool) -> Iterator[str]:
        told: set[str] = set()
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
                if labels not in told:
                    told.add(labels)
                    yield f"{name}{{{labels}}} {value}\n"


_IMAGE_KINDS = frozenset(
    kind for family in families.FAMILIES if "container_name" in family.labels for kind in family.kinds
)


def _chunks(head: str, texts: Iterable[str]) -> Iterator[bytes]:
    """Put texts together; nothing if there is none."""
    batch: list[str] = [head]
    size = 0
    for text in texts:
        batch.append(text)
        size += len(text)
        if size > _CHUNK_CHARACTERS:
            yield "".join(batch).encode()
            batch.clear()
            size = 0
    if size:
        yield "".join(batch).encode()


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


class _Readiness(Collector):
    def __init__(self, registry: CollectorRegistry, readiness: Callable[[], Mapping[str, bool]]) -> None:
        self._readiness = readiness
        registry.register(self)

    def describe(self) -> Iterable[Metric]:
        return (self._family,)

    def collect(self) -> Iterable[Metric]:
        family = self._new_family()
        for name, ready in self._readiness().items():
            family.add_metric([name], float(ready))
        return (family,)

    @cached_property
    def _family(self) -> GaugeMetricFamily:
        return self._new_family()

    @staticmethod
    def _new_family() -> GaugeMetricFamily:
        return GaugeMetricFamily(
            "trivyop_series_ready",
            "1 while a metric that is counted from reports is served; 0 until all its reports are known, "
            "and while another replica leads.",
            labels=["metric"],
        )
