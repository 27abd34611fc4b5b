"""Metrics of scans and reports: what Prometheus scrapes of them.

Label values come from code, never from objects, and start at 0. What can be counted in a store is counted
there at each scrape, so that no series outlives what it counts.
"""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from trivyop.audit.nodes.nodescan import Phase as NodePhase
from trivyop.controllers.informers import Informers
from trivyop.controllers.usage import Usage
from trivyop.report import kinds
from trivyop.scan.imagescan import Phase, ResultSource
from trivyop.scan.matchable import NotMatchable
from trivyop.scan.slots import Slots
from trivyop.trivy.failures import FailureClass

_SECONDS = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800)
_BYTES = tuple(4096 * 4**step for step in range(6))  # 4 KiB to 4 MiB


class ReportMetrics:
    """What happens to reports."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.writes = Counter(
            "trivyop_report_writes_total",
            "Reports by the outcome of writing them: written, unchanged, refused, denied (and to be tried "
            "again), gone (with its namespace).",
            ["kind", "result"],
            registry=registry,
        )
        self.deleted = Counter(
            "trivyop_report_deletes_total", "Reports deleted by the operator.", ["kind"], registry=registry
        )
        self.bytes = Histogram(
            "trivyop_report_bytes", "Size of reports as sent.", ["kind"], buckets=_BYTES, registry=registry
        )
        self.truncations = Counter(
            "trivyop_report_truncations_total",
            "Reports written with something left out for their size.",
            ["kind"],
            registry=registry,
        )
        for kind in (row.resource.kind for row in kinds.KINDS):
            self.deleted.labels(kind)
            self.bytes.labels(kind)
            self.truncations.labels(kind)
            for result in ("written", "unchanged", "refused", "denied", "gone"):
                self.writes.labels(kind, result)

    def wrote(self, kind: str, size: int, *, truncated: bool) -> None:
        self.writes.labels(kind, "written").inc()
        self.bytes.labels(kind).observe(size)
        if truncated:
            self.truncations.labels(kind).inc()


class ScanMetrics:
    """What happens to scans."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.results = Counter(
            "trivyop_scan_results_total",
            "Results by where they came from: Scan, Rematch, Adopted.",
            ["source"],
            registry=registry,
        )
        self.failures = Counter(
            "trivyop_scan_failures_total", "Failed attempts by class.", ["class"], registry=registry
        )
        self.jobs = Counter("trivyop_scan_jobs_total", "Scan Jobs created.", registry=registry)
        self.duration = Histogram(
            "trivyop_scan_duration_seconds",
            "From the creation of a scan Job until its reports are written.",
            buckets=_SECONDS,
            registry=registry,
        )
        self.not_matchable = Counter(
            "trivyop_scans_not_matchable_total",
            "Scans whose result only another scan can refresh, by why it cannot be matched.",
            ["reason"],
            registry=registry,
        )
        self.database_updated = Gauge(
            "trivyop_database_updated_timestamp_seconds",
            "When the vulnerability database that the operator matches with was made; 0 without one.",
            registry=registry,
        )
        for source in ResultSource:
            self.results.labels(source.value)
        for failure_class in FailureClass:
            self.failures.labels(failure_class.value)
        for reason in NotMatchable:
            self.not_matchable.labels(reason.value)


class NodeMetrics:
    """What happens to nodes that are read."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.jobs = Counter(
            "trivyop_node_collector_jobs_total", "Jobs created to read nodes.", registry=registry
        )
        self.collections = Counter(
            "trivyop_node_collections_total",
            "Nodes read, by what came of it: succeeded, failed.",
            ["result"],
            registry=registry,
        )
        self.failures = Counter(
            "trivyop_node_scan_failures_total",
            "Nodes that could not be read, by class of the failure.",
            ["class"],
            registry=registry,
        )
        for result in ("succeeded", "failed"):
            self.collections.labels(result)
        for failure_class in FailureClass:
            self.failures.labels(failure_class.value)


class ComplianceMetrics:
    """What happens to reports on compliance."""

    def __init__(self, registry: CollectorRegistry, reasons: Iterable[str]) -> None:
        self.evaluations = Counter(
            "trivyop_compliance_evaluations_total",
            "Statuses of ClusterComplianceReports that were written, by why: status-missing, spec-changed, "
            "scheduled, answers-changed, unreadable (the specification can not be evaluated).",
            ["reason"],
            registry=registry,
        )
        for reason in reasons:
            self.evaluations.labels(reason)


class ClusterComponentMetrics:
    """What happens to the components of the cluster itself."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.matches = Counter(
            "trivyop_cluster_component_matches_total",
            "Times the cluster's own components were matched against the database: succeeded, failed.",
            ["result"],
            registry=registry,
        )
        for result in ("succeeded", "failed"):
            self.matches.labels(result)


class NodeScanCollector(Collector):
    """How the scans of nodes stand, read from the store at each scrape."""

    def __init__(self, registry: CollectorRegistry, informers: Informers) -> None:
        self._informers = informers
        registry.register(self)

    def describe(self) -> Iterable[Metric]:
        return (self._family(),)

    def collect(self) -> Iterator[Metric]:
        family = self._family()
        tally = Tally(scan.status.phase for scan in self._informers.node_scans.values())
        for phase in NodePhase:
            family.add_metric([phase.value], tally[phase])
        yield family

    @staticmethod
    def _family() -> GaugeMetricFamily:
        return GaugeMetricFamily("trivyop_node_scans", "NodeScans by phase.", labels=["phase"])


class ScanCollector(Collector):
    """Gauges that are read from the stores at each scrape."""

    def __init__(self, registry: CollectorRegistry, informers: Informers, usage: Usage, slots: Slots) -> None:
        self._informers = informers
        self._usage = usage
        self._slots = slots
        registry.register(self)

    def describe(self) -> Iterable[Metric]:
        return self._families()

    def collect(self) -> Iterator[Metric]:
        phases, per_phase, failed, per_kind, slots, waiting, used, covered, ratio = self._families()
        statuses = [scan.status for scan in self._informers.scans.values()]
        tally = Tally(status.phase for status in statuses)
        classes = Tally(status.reason for status in statuses if status.phase is Phase.FAILED)
        for failure_class in FailureClass:
            failed.add_metric([failure_class.value], classes[failure_class.value])
        for phase in Phase:
            per_phase.add_metric([phase.value], tally[phase])
        for resource, lister in self._informers.reports.items():
            per_kind.add_metric([resource.kind], len(lister))
        slots.add_metric([], self._slots.limit)
        waiting.add_metric([], self._slots.waiting)
        phases.add_metric([], len(self._slots))
        names = self._usage.scans()
        scanned = {scan.metadata.name for scan in self._informers.scans.values() if scan.status.last_success}
        used.add_metric([], len(names))
        done = sum(name in scanned for name in names)
        covered.add_metric([], done)
        ratio.add_metric([], done / len(names) if names else 1)
        return iter((phases, per_phase, failed, per_kind, slots, waiting, used, covered, ratio))

    @staticmethod
    def _families() -> tuple[GaugeMetricFamily, ...]:
        return (
            GaugeMetricFamily("trivyop_scan_jobs_running", "Slots that scans hold."),
            GaugeMetricFamily("trivyop_scans", "ImageScans by phase.", labels=["phase"]),
            GaugeMetricFamily(
                "trivyop_scans_failed", "ImageScans whose last attempt failed, by class.", labels=["class"]
            ),
            GaugeMetricFamily("trivyop_reports", "Reports in the cluster.", labels=["kind"]),
            GaugeMetricFamily("trivyop_scan_slots", "Scan Jobs that may run at once."),
            GaugeMetricFamily("trivyop_scans_waiting", "Scans that wait for a slot."),
            GaugeMetricFamily("trivyop_images_in_use", "Images that workloads run."),
            GaugeMetricFamily("trivyop_images_scanned", "Images that workloads run and that have a result."),
            GaugeMetricFamily(
                "trivyop_scan_coverage_ratio",
                "Of the images that workloads run, the part that has a result; 1 if none runs.",
            ),
        )
