"""Series: the metrics that are counted from reports, as text, straight from what the informers hold.

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

from trivyop.controllers.lister import Lister
from trivyop.controllers.series.labels import ResourceLabels
from trivyop.controllers.series.reader import SeriesReader
from trivyop.controllers.series.reading import SEVERITIES
from trivyop.controllers.series.scrape import Findings, Scrape
from trivyop.kube.resources import Resource
from trivyop.observe.exposition import show_head
from trivyop.report.families import Family, Form
from trivyop.report.kinds import kinds_counted
from trivyop.report.stored import StoredReport

log = structlog.get_logger(__name__)

_CHUNK_CHARACTERS = 128 * 1024  # rendered in a few milliseconds


class ReportSeries:
    """Renders the metrics of ``wanted`` families; ``active`` says whether it is this replica's to do so."""

    def __init__(
        self,
        listers: Mapping[Resource, Lister[StoredReport]],
        reader: SeriesReader,
        wanted: Sequence[Family],
        *,
        labels: ResourceLabels,
        limit: int,
        merged_roles: bool,
        active: Callable[[], bool],
        registry: CollectorRegistry,
    ) -> None:
        self._listers = listers
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
        return all(known(kind) for kind in kinds_counted(family))

    def chunks(self) -> Iterator[bytes]:
        """The text of all series, in pieces that take a few milliseconds each."""
        if not self._active():
            return
        scrape = Scrape(self._listers, self._reader, self._labels)
        for family in self._wanted:
            if not self._ready(family):
                continue
            try:
                yield from _chunks(show_head(family.name, family.help), self._texts(family, scrape))
            except Exception:  # a bug of ours: the other metrics matter more
                self._failures.labels(family.name).inc()
                log.exception("series_missing", metric=family.name)

    def _texts(self, family: Family, scrape: Scrape) -> Iterator[str]:
        """The series of a metric; those of a report, or a part of them, in one text."""
        name, kinds = family.name, kinds_counted(family)
        kind = kinds[0]
        match family.form:
            case Form.COUNTS:
                return scrape.counts(name, kind, SEVERITIES[:4])
            case Form.COUNTS_WITH_UNKNOWN:
                return scrape.counts(name, kind, SEVERITIES)
            case Form.FIXABLE:
                return scrape.fixable(name, kind)
            case Form.CLUSTER_ROLES:
                return scrape.cluster_roles(name, kinds, merged=self._merged_roles)
            case Form.PRESENCE:
                return scrape.used_by(name, kind)
            case Form.SYSTEM:
                return scrape.image_info(name, kind)
            case Form.STANDARD | Form.CONTROLS:
                return scrape.compliance(name, kind, controls=family.form is Form.CONTROLS)
            case Form.FINDINGS:
                return self._limited(family, scrape.findings(kind))
            case Form.IMAGE_FINDINGS:
                return self._limited(family, scrape.images(kind))

    def _limited(self, family: Family, found: list[Findings]) -> Iterator[str]:
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
