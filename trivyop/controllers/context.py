"""ControllerContext: what every concern is built from.

Promises: building it reads and writes nothing; one context serves one run against one API server.
Not here: what concerns share with some others only, which they offer themselves (``Audits.auditor``).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Hashable, Iterable
from typing import TypeVar

from prometheus_client import CollectorRegistry

from trivyop.audit.nodes.job import CollectorPlace
from trivyop.control.clock import Clock
from trivyop.control.controller import Controller, ControllerMetrics, Reconcile
from trivyop.control.queue import WorkQueue
from trivyop.control.queuemetrics import QueueMetrics
from trivyop.controllers.informers import Informers
from trivyop.controllers.metrics import ReportMetrics, ScanMetrics
from trivyop.controllers.reports import Reports
from trivyop.controllers.selecting import build_selection
from trivyop.kube.client import Api
from trivyop.kube.discovery import Discovery
from trivyop.kube.events import EventMetrics, EventRecorder
from trivyop.kube.informer import InformerMetrics
from trivyop.observe.health import Health
from trivyop.settings import Settings

K = TypeVar("K", bound=Hashable)


class SharedMetrics:
    """The metrics that several concerns have; a registry takes them once."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self.queues = QueueMetrics(registry)
        self.controllers = ControllerMetrics(registry)
        self.informers = InformerMetrics(registry)
        self.events = EventMetrics(registry)
        self.reports = ReportMetrics(registry)
        self.scans = ScanMetrics(registry)


class ControllerContext:
    """The API server, what is cached of it, what the process has; `active`: whether this replica works."""

    def __init__(
        self,
        api: Api,
        discovery: Discovery,
        settings: Settings,
        *,
        metrics: SharedMetrics,
        health: Health,
        clock: Clock,
        rng: random.Random,
        active: Callable[[], bool],
    ) -> None:
        self.api = api
        self.discovery = discovery
        self.settings = settings
        self.metrics = metrics
        self.registry = metrics.registry
        self.health = health
        self.clock = clock
        self.rng = rng
        self.active = active
        self.selection = build_selection(settings)
        self.informers = Informers(
            api,
            discovery,
            operator_namespace=settings.operator.namespace,
            watched_namespaces=self.selection.namespaces.watched,
            jobs_everywhere=settings.scan_job.in_workload_namespace,
            collector_namespace=CollectorPlace.of(settings).namespace if self.collects else None,
            report_labels=settings.reports.resource_labels,
            clock=clock,
            metrics=metrics.informers,
        )
        self.events = EventRecorder(api, clock=clock, metrics=metrics.events)
        self.reports = Reports(
            api,
            self.informers,
            budget_bytes=settings.reports.size_budget_bytes,
            clock=clock,
            metrics=metrics.reports,
        )

    @property
    def collects(self) -> bool:
        """Whether nodes are read."""
        return self.settings.audit.config_audit_enabled and self.settings.audit.infra_assessment_enabled

    def queue(self, name: str, _key: type[K]) -> WorkQueue[K]:
        """A new queue that is measured under that name."""
        return WorkQueue[K](self.clock, rng=self.rng, metrics=self.metrics.queues.of(name))

    def controller(
        self,
        name: str,
        reconcile: Reconcile[K],
        queue: WorkQueue[K],
        keys: Callable[[], Iterable[K]],
        *,
        workers: int | None = None,
    ) -> Controller[K]:
        """A controller with the resync and, unless `workers` is given, the workers that the settings say."""
        operator = self.settings.operator
        return Controller(
            name,
            reconcile,
            workers or operator.workers,
            queue,
            resync_keys=keys,
            resync_seconds=operator.resync_interval_seconds,
            metrics=self.metrics.controllers,
            rng=self.rng,
        )
