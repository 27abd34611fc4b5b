"""Registry: prometheus_client's, but one collector that fails does not take the others' metrics with it.

What fails is left out of that scrape, logged once per kind of error, and counted in
``trivyop_collector_failures_total``.
"""

from __future__ import annotations

from collections.abc import Iterator

import structlog
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

log = structlog.get_logger(__name__)


class SteadyRegistry(CollectorRegistry):
    """Collects from each collector on its own."""

    def __init__(self) -> None:
        super().__init__()
        self.collectors: list[Collector] = []  # in the order in which they came
        self._told: set[tuple[str, str]] = set()
        self._failures = Counter(
            "trivyop_collector_failures_total",
            "Times that a scrape had to leave out what one collector has to say.",
            ["collector"],
            registry=self,
        )

    def register(self, collector: Collector) -> None:
        super().register(collector)
        self.collectors.append(collector)

    def unregister(self, collector: Collector) -> None:
        super().unregister(collector)
        self.collectors.remove(collector)

    def collect(self) -> Iterator[Metric]:
        """The metrics of all collectors that have any now."""
        for collector in self.collectors:
            try:
                families = list(collector.collect())
            except Exception as error:  # noqa: BLE001 - whatever it is, the other metrics matter more
                self._failed(type(collector).__name__, error)
            else:
                yield from families

    def _failed(self, collector: str, error: Exception) -> None:
        self._failures.labels(collector).inc()
        problem = (collector, type(error).__name__)
        if problem not in self._told:
            self._told.add(problem)
            log.error("metrics_missing", collector=collector, exc_info=error)
