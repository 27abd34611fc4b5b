"""What metrics need around them: a registry that bears failures, names others know, the event loop's lag."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest
from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector
from structlog.testing import capture_logs

from tests.clock import FakeClock
from tests.series import parse
from trivyop.control.controller import ControllerMetrics
from trivyop.control.queue import WorkQueue
from trivyop.control.queuemetrics import QueueMetrics
from trivyop.kube.transport import ApiMetrics
from trivyop.observe.controllerruntime import ControllerRuntimeNames, FamiliarRequests
from trivyop.observe.exposition import escape, show_head, show_labels, show_number
from trivyop.observe.looplag import LoopLag
from trivyop.observe.registry import SteadyRegistry


class Failing(Collector):
    """A collector with a bug."""

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterable[Metric]:
        raise KeyError("a bug")


def test_collector_that_fails_takes_no_other_with_it() -> None:
    registry = SteadyRegistry()
    registry.register(Failing())
    Counter("fine", "Fine.", registry=registry).inc()

    with capture_logs() as logs:
        generate_latest(registry)
        text = generate_latest(registry).decode()

    assert "fine_total 1.0" in text
    assert registry.get_sample_value("trivyop_collector_failures_total", {"collector": "Failing"}) is not None
    assert [line["event"] for line in logs] == ["metrics_missing"]


def test_collector_that_left_is_not_asked() -> None:
    registry = SteadyRegistry()
    counter = Counter("fine", "Fine.", registry=registry)

    registry.unregister(counter)

    assert "fine_total" not in generate_latest(registry).decode()


async def test_controllers_and_queues_have_the_names_of_controller_runtime() -> None:
    registry = CollectorRegistry()
    controllers, queues = ControllerMetrics(registry), QueueMetrics(registry)
    ControllerRuntimeNames(registry, controllers, queues, lease="trivyop", leads=lambda: True)
    queue = WorkQueue[str](FakeClock(), metrics=queues.of("scans"))
    controllers.start("scans")
    for outcome in ("done", "done", "deferred", "gave_up", "crashed"):
        controllers.reconciled("scans", outcome, 0.2)
    queue.add("a")
    queue.add("b")
    await queue.get()

    def value(name: str, /, **labels: str) -> float | None:
        return registry.get_sample_value(name, labels)

    assert value("controller_runtime_reconcile_total", controller="scans", result="success") == 2
    assert value("controller_runtime_reconcile_total", controller="scans", result="error") == 3
    assert value("controller_runtime_reconcile_errors_total", controller="scans") == 3
    assert value("controller_runtime_terminal_reconcile_errors_total", controller="scans") == 1
    assert value("controller_runtime_reconcile_panics_total", controller="scans") == 1
    assert value("controller_runtime_reconcile_time_seconds_count", controller="scans") == 5
    assert value("workqueue_depth", name="scans", controller="scans") == 1
    assert value("workqueue_adds_total", name="scans", controller="scans") == 2
    assert value("workqueue_queue_duration_seconds_count", name="scans", controller="scans") == 1
    assert value("leader_election_master_status", name="trivyop") == 1
    assert parse(generate_latest(registry).decode())  # no series twice


def test_without_an_election_nobody_is_said_to_win_it() -> None:
    registry = CollectorRegistry()
    ControllerRuntimeNames(
        registry, ControllerMetrics(registry), QueueMetrics(registry), lease="trivyop", leads=None
    )

    assert "leader_election" not in generate_latest(registry).decode()


def test_requests_are_counted_by_code_and_method() -> None:
    registry = CollectorRegistry()
    requests = ApiMetrics(registry)
    FamiliarRequests(registry, requests, "10.0.0.1:443")
    for verb, resource, code in [
        ("get", "pods", "200"),
        ("watch", "jobs", "200"),
        ("create", "jobs", "201"),
        ("list", "pods", "refused"),
    ]:
        requests.requested(verb, resource, code, 0.1)

    def value(code: str, method: str) -> float | None:
        labels = {"code": code, "method": method, "host": "10.0.0.1:443"}
        return registry.get_sample_value("rest_client_requests_total", labels)

    assert (value("200", "GET"), value("201", "POST"), value("<error>", "GET")) == (2, 1, 1)


def test_lag_is_the_longest_of_the_last_minute() -> None:
    registry = CollectorRegistry()
    lag = LoopLag(registry)

    assert registry.get_sample_value("trivyop_event_loop_lag_seconds") == 0
    for now, seconds in [(0, 0.5), (30, 0.2), (59, 0.1)]:
        lag.add(now, seconds)
    assert registry.get_sample_value("trivyop_event_loop_lag_seconds") == 0.5
    lag.add(61, 0.0)
    assert registry.get_sample_value("trivyop_event_loop_lag_seconds") == 0.2


@pytest.mark.looptime
async def test_lag_is_looked_at_once_a_second() -> None:
    lag = LoopLag(CollectorRegistry())
    looking = asyncio.create_task(lag.run())

    await asyncio.sleep(10.5)
    looking.cancel()
    await asyncio.wait([looking])

    assert lag.longest() == pytest.approx(0, abs=0.01)


def test_pieces_of_a_line() -> None:
    assert escape('a"b\\c\nd') == 'a\\"b\\\\c\\nd'
    assert show_labels(a="1", class_="x") == 'a="1",class="x"'
    assert show_head("a", "One\nline.") == "# HELP a One\\nline.\n# TYPE a gauge\n"
    assert [show_number(number) for number in (10, 9.8, 7.0)] == ["10", "9.8", "7"]
