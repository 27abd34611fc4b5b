"""Queue metrics: the metrics of work queues.

Promises: noting what became of a key costs little, however many there are; families are made when asked for.
"""

from __future__ import annotations

import itertools
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from trivyop.control.queue import QueueObserver

_LABELS = ("queue",)
_WAIT_SECONDS = (0.001, 0.01, 0.1, 0.5, 1, 5, 15, 60, 300, 1800, 7200)
_WORK_SECONDS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 15, 60)


class QueueMetrics:
    """Metrics of work queues; ``of`` is the observer of one queue.

    A queue moves thousands of keys a second, so each is noted in plain numbers, of which families are made
    when they are asked for.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._queues: dict[str, _Noted] = {}
        self.depth = _Numbers(
            self._queues,
            lambda: GaugeMetricFamily("trivyop_workqueue_depth", "Keys ready to be served.", labels=_LABELS),
            lambda noted: noted.depth,
        )
        self.adds = _Numbers(
            self._queues,
            lambda: CounterMetricFamily("trivyop_workqueue_adds", "Keys that became ready.", labels=_LABELS),
            lambda noted: noted.adds,
        )
        self.retries = _Numbers(
            self._queues,
            lambda: CounterMetricFamily(
                "trivyop_workqueue_retries", "Keys put off by a back-off.", labels=_LABELS
            ),
            lambda noted: noted.retries,
        )
        self.wait = _Histograms(
            self._queues, "trivyop_workqueue_wait_seconds", "From ready to served.", lambda noted: noted.wait
        )
        self.work = _Histograms(
            self._queues, "trivyop_workqueue_work_seconds", "From served to done.", lambda noted: noted.work
        )
        for collector in (self.depth, self.adds, self.retries, self.wait, self.work):
            registry.register(collector)

    def of(self, name: str) -> QueueObserver:
        """The observer of the queue called ``name``."""
        return self._queues.setdefault(name, _Noted())


class _Durations:
    """How often it took how long."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0


class _Noted:
    """What became of the keys of one queue."""

    __slots__ = ("adds", "depth", "retries", "wait", "work")

    def __init__(self) -> None:
        self.depth = 0
        self.adds = 0
        self.retries = 0
        self.wait = _Durations(_WAIT_SECONDS)
        self.work = _Durations(_WORK_SECONDS)

    def added(self, depth: int) -> None:
        self.depth = depth
        self.adds += 1

    def served(self, depth: int, waited_seconds: float) -> None:
        self.depth = depth
        wait = self.wait
        wait.counts[bisect_left(_WAIT_SECONDS, waited_seconds)] += 1
        wait.total += waited_seconds

    def finished(self, worked_seconds: float) -> None:
        work = self.work
        work.counts[bisect_left(_WORK_SECONDS, worked_seconds)] += 1
        work.total += worked_seconds

    def retried(self) -> None:
        self.retries += 1


class _Numbers(Collector):
    """One number of each queue."""

    def __init__(
        self,
        queues: Mapping[str, _Noted],
        family: Callable[[], GaugeMetricFamily | CounterMetricFamily],
        read: Callable[[_Noted], int],
    ) -> None:
        self._queues = queues
        self._family = family
        self._read = read

    def describe(self) -> Iterable[Metric]:
        return (self._family(),)

    def collect(self) -> Iterable[Metric]:
        family = self._family()
        for name, noted in self._queues.items():
            family.add_metric([name], self._read(noted))
        return (family,)


class _Histograms(Collector):
    """One histogram of each queue."""

    def __init__(
        self, queues: Mapping[str, _Noted], name: str, text: str, read: Callable[[_Noted], _Durations]
    ) -> None:
        self._queues = queues
        self._name = name
        self._text = text
        self._read = read

    def describe(self) -> Iterable[Metric]:
        return (HistogramMetricFamily(self._name, self._text, labels=_LABELS),)

    def collect(self) -> Iterable[Metric]:
        family = HistogramMetricFamily(self._name, self._text, labels=_LABELS)
        for name, noted in self._queues.items():
            durations = self._read(noted)
            bounds = [*(str(float(bound)) for bound in durations.bounds), "+Inf"]
            buckets = list(zip(bounds, itertools.accumulate(durations.counts), strict=True))
            family.add_metric([name], buckets=buckets, sum_value=durations.total)
        return (family,)
