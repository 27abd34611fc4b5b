"""Metrics of the webhook fan-out; the label ``endpoint`` is the name that the configuration gives it."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

RESULTS = ("delivered", "failed", "refused")
DROPS = ("backlog", "refused", "body")


class WebhookMetrics:
    """What Prometheus scrapes of the fan-out; one of these serves all endpoints."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._deliveries = Counter(
            "trivyop_webhook_deliveries_total",
            "Messages by what became of one try: delivered, failed (tried again), refused (not tried again).",
            ["endpoint", "result"],
            registry=registry,
        )
        self._seconds = Histogram(
            "trivyop_webhook_delivery_seconds",
            "Time one try took.",
            ["endpoint"],
            buckets=(0.01, 0.05, 0.1, 0.5, 1, 5, 15, 30, 60),
            registry=registry,
        )
        self._backlog = Gauge(
            "trivyop_webhook_backlog",
            "Objects whose changes wait to be sent.",
            ["endpoint"],
            registry=registry,
        )
        self._last_success = Gauge(
            "trivyop_webhook_last_success_timestamp_seconds",
            "When a message was last delivered; 0: not since the start.",
            ["endpoint"],
            registry=registry,
        )
        self._dropped = Counter(
            "trivyop_webhook_dropped_total",
            "What was not sent, by reason: backlog (full; made good later), refused (by the receiver), "
            "body (a deleted report is sent without its content).",
            ["endpoint", "reason"],
            registry=registry,
        )
        self._problem = Gauge(
            "trivyop_webhook_problem",
            "1 while an endpoint cannot be used as configured, or does not take what it is sent.",
            ["endpoint"],
            registry=registry,
        )

    def start(self, endpoint: str, backlog: Callable[[], int], problem: Callable[[], str | None]) -> None:
        """Show the series of an endpoint from the beginning."""
        for result in RESULTS:
            self._deliveries.labels(endpoint, result)
        for reason in DROPS:
            self._dropped.labels(endpoint, reason)
        self._seconds.labels(endpoint)
        self._last_success.labels(endpoint)
        self._backlog.labels(endpoint).set_function(backlog)
        self._problem.labels(endpoint).set_function(lambda: float(problem() is not None))

    def stop(self, endpoint: str) -> None:
        """Show them no longer."""
        for result in RESULTS:
            self._deliveries.remove(endpoint, result)
        for reason in DROPS:
            self._dropped.remove(endpoint, reason)
        for metric in (self._seconds, self._last_success, self._backlog, self._problem):
            metric.remove(endpoint)

    def unusable(self, endpoint: str) -> None:
        """Show that an endpoint is configured in a way that cannot be used."""
        self._problem.labels(endpoint).set(1)

    def usable(self, endpoint: str) -> None:
        """Take that back, for an endpoint that is no more."""
        self._problem.remove(endpoint)

    def tried(self, endpoint: str, result: str, seconds: float, at: float) -> None:
        self._deliveries.labels(endpoint, result).inc()
        self._seconds.labels(endpoint).observe(seconds)
        if result == "delivered":
            self._last_success.labels(endpoint).set(at)

    def dropped(self, endpoint: str, reason: str) -> None:
        self._dropped.labels(endpoint, reason).inc()
