"""controller-runtime's metric names: how the operator's work goes, under the names that operators in Go have.

Dashboards of operators in general know ``controller_runtime_reconcile_total`` or ``workqueue_depth``. Only
what has a true counterpart is here: the numbers of our own metrics, with the labels those dashboards use.
Buckets of histograms are ours.
"""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Callable, Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from trivyop.control.controller import ControllerMetrics
from trivyop.control.queuemetrics import QueueMetrics
from trivyop.kube.transport import ApiMetrics

_METHODS: Mapping[str, str] = {"create": "POST", "patch": "PATCH", "replace": "PUT", "delete": "DELETE"}


class ControllerRuntimeNames(Collector):
    """Queues, controllers and leader election; ``leads`` is None where there is no election."""

    def __init__(
        self,
        registry: CollectorRegistry,
        controllers: ControllerMetrics,
        queues: QueueMetrics,
        *,
        lease: str,
        leads: Callable[[], bool] | None,
    ) -> None:
        self._controllers = controllers
        self._queues = queues
        self._lease = lease
        self._leads = leads
        registry.register(self)

    def describe(self) -> Iterable[Metric]:
        return (Metric(metric.name, metric.documentation, metric.type) for metric in self.collect())

    def collect(self) -> Iterator[Metric]:
        yield from self._reconciles()
        queues = self._queues
        yield _renamed(queues.depth, "workqueue_depth", _queue_labels)
        yield _renamed(queues.adds, "workqueue_adds", _queue_labels)
        yield _renamed(queues.retries, "workqueue_retries", _queue_labels)
        yield _renamed(queues.wait, "workqueue_queue_duration_seconds", _queue_labels)
        yield _renamed(queues.work, "workqueue_work_duration_seconds", _queue_labels)
        if self._leads is not None:
            status = GaugeMetricFamily(
                "leader_election_master_status", "1 while this replica leads.", labels=["name"]
            )
            status.add_metric([self._lease], float(self._leads()))
            yield status

    def _reconciles(self) -> Iterator[Metric]:
        outcomes: Tally[tuple[str, str]] = Tally()
        for sample in _samples(self._controllers.total, "_total"):
            outcomes[sample[0]["controller"], sample[0]["outcome"]] += int(sample[1])
        names = sorted({controller for controller, _ in outcomes})
        total = _counter("reconcile", "Reconciles by result.", "controller", "result")
        errors = _counter("reconcile_errors", "Reconciles that ended in an error.", "controller")
        terminal = _counter(
            "terminal_reconcile_errors", "Errors that are not tried again as they are.", "controller"
        )
        panics = _counter("reconcile_panics", "Reconciles that met a bug.", "controller")
        for name in names:
            done, deferred, gave_up, crashed = (
                outcomes[name, outcome] for outcome in ("done", "deferred", "gave_up", "crashed")
            )
            failed = deferred + gave_up + crashed
            total.add_metric([name, "success"], done)
            total.add_metric([name, "error"], failed)
            errors.add_metric([name], failed)
            terminal.add_metric([name], gave_up)
            panics.add_metric([name], crashed)
        yield from (total, errors, terminal, panics)
        yield _renamed(
            self._controllers.seconds,
            "controller_runtime_reconcile_time_seconds",
            lambda labels: labels,
        )


class FamiliarRequests(Collector):
    """Requests to the API server, as client-go counts them."""

    def __init__(self, registry: CollectorRegistry, requests: ApiMetrics, host: str) -> None:
        self._requests = requests
        self._host = host
        registry.register(self)

    def describe(self) -> Iterable[Metric]:
        return (self._family(),)

    def collect(self) -> Iterator[Metric]:
        tally: Tally[tuple[str, str]] = Tally()
        for labels, value in _samples(self._requests.requests, "_total"):
            code = labels["code"] if labels["code"].isdigit() else "<error>"
            tally[code, _METHODS.get(labels["verb"], "GET")] += int(value)
        family = self._family()
        for (code, method), count in sorted(tally.items()):
            family.add_metric([code, self._host, method], count)
        yield family

    @staticmethod
    def _family() -> CounterMetricFamily:
        return CounterMetricFamily(
            "rest_client_requests",
            "Requests to the API server by status code, host and method.",
            labels=["code", "host", "method"],
        )


def _counter(name: str, text: str, *labels: str) -> CounterMetricFamily:
    return CounterMetricFamily(f"controller_runtime_{name}", text, labels=labels)


def _queue_labels(labels: Mapping[str, str]) -> Mapping[str, str]:
    kept = {name: value for name, value in labels.items() if name != "queue"}  # of a histogram: `le`
    return {"name": labels["queue"], "controller": labels["queue"], **kept}


def _renamed(
    source: Collector, name: str, relabel: Callable[[Mapping[str, str]], Mapping[str, str]]
) -> Metric:
    """The one family of a metric under another name."""
    (family,) = source.collect()
    renamed = Metric(name, family.documentation, family.type)
    for sample in family.samples:
        if not sample.name.endswith("_created"):
            suffix = sample.name.removeprefix(family.name)
            renamed.add_sample(f"{name}{suffix}", dict(relabel(sample.labels)), sample.value)
    return renamed


def _samples(source: Collector, suffix: str) -> Iterator[tuple[Mapping[str, str], float]]:
    for family in source.collect():
        for sample in family.samples:
            if sample.name.endswith(suffix):
                yield sample.labels, sample.value
