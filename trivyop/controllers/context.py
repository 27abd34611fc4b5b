"""ControllerContext: what the parts of an operator share, whatever they do.

Promises: nothing here is of one cluster; the same serve the parts for as long as the operator runs.
Not here: the way to the API server, and what of it is cached (``informers``).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Hashable, Iterable
from typing import TypeVar

from prometheus_client import CollectorRegistry

from trivyop.control.clock import Clock
from trivyop.control.controller import Controller, ControllerMetrics, Reconcile
from trivyop.control.queue import WorkQueue
from trivyop.control.queuemetrics import QueueMetrics
from trivyop.controllers.metrics import ReportMetrics, ScanMetrics
from trivyop.kube.events import EventMetrics
from trivyop.kube.informer import InformerMetrics
from trivyop.observe.health import Health
from trivyop.settings import Settings

K = TypeVar("K", bound=Hashable)


class ControllerContext:
    """The clock, the settings, the registry, the measures of what every part has."""

    def __init__(
        self,
        settings: Settings,
        *,
        registry: CollectorRegistry,
        health: Health,
        clock: Clock,
        rng: random.Random,
    ) -> None:
        self.settings = settings
        self.registry = registry
        self.health = health
        self.clock = clock
        self.rng = rng
        self.queue_metrics = QueueMetrics(registry)
        self.controller_metrics = ControllerMetrics(registry)
        self.informer_metrics = InformerMetrics(registry)
        self.event_metrics = EventMetrics(registry)
        self.report_metrics = ReportMetrics(registry)
        self.scan_metrics = ScanMetrics(registry)

    def queue(self, name: str, _key: type[K]) -> WorkQueue[K]:
        """A new queue that is measured under that name."""
        return WorkQueue[K](self.clock, rng=self.rng, metrics=self.queue_metrics.of(name))

    def controller(
        self,
        name: str,
        reconcile: Reconcile[K],
        queue: WorkQueue[K],
        keys: Callable[[], Iterable[K]],
        *,
        workers: int | None = None,
    ) -> Controller[K]:
        """A controller with the resync and, unless told otherwise, the workers that the settings say."""
        operator = self.settings.operator
        return Controller(
            name,
            reconcile,
            workers or operator.workers,
            queue,
            resync_keys=keys,
            resync_seconds=operator.resync_interval_seconds,
            metrics=self.controller_metrics,
            rng=self.rng,
        )
