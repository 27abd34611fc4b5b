"""Collecting: the parts that read nodes put together, for whoever runs the operator.

Promises: no node is looked at before it is known which checks there are, so that a restart evaluates nothing
again that was evaluated.
Not here: the parts themselves.
"""

from __future__ import annotations

import random

from prometheus_client import CollectorRegistry

from trivyop.control.clock import Clock
from trivyop.control.controller import Controller, ControllerMetrics
from trivyop.control.queue import Priority, QueueMetrics, WorkQueue
from trivyop.controllers.audits.parts import Auditing
from trivyop.controllers.audits.selecting import build_audit_options
from trivyop.controllers.metrics import NodeMetrics, NodeScanCollector
from trivyop.controllers.nodes.reconciler import Nodes
from trivyop.controllers.reports import Reports
from trivyop.controllers.view import View
from trivyop.kube.client import Api
from trivyop.kube.discovery import Discovery
from trivyop.kube.events import EventRecorder
from trivyop.settings import Settings

_NAME = "nodes"


class Collecting:
    """The nodes of one cluster."""

    def __init__(
        self,
        api: Api,
        discovery: Discovery,
        view: View,
        reports: Reports,
        auditing: Auditing,
        settings: Settings,
        *,
        events: EventRecorder,
        registry: CollectorRegistry,
        queue_metrics: QueueMetrics,
        controller_metrics: ControllerMetrics,
        clock: Clock,
        rng: random.Random,
    ) -> None:
        self._auditing = auditing
        self._queue = WorkQueue[str](clock, rng=rng, metrics=queue_metrics.of(_NAME))
        NodeScanCollector(registry, view)
        self._nodes = Nodes(
            api,
            view,
            discovery,
            reports,
            auditing.auditor,
            settings=settings,
            options=build_audit_options(settings),
            queue=self._queue,
            clock=clock,
            rng=rng,
            events=events,
            metrics=NodeMetrics(registry),
        )
        self._controller = Controller(
            _NAME,
            self._nodes.reconcile,
            settings.operator.workers,
            self._queue,
            resync_keys=self._nodes.names,
            resync_seconds=settings.operator.resync_interval_seconds,
            metrics=controller_metrics,
            rng=rng,
        )

    async def work(self) -> None:
        """Read nodes until `shut_down`, or until cancelled."""
        await self._auditing.ready.wait()
        self._nodes.listen()
        self._auditing.auditor.add_handler(lambda _kinds: self._nodes.look_at_all())
        for name in self._nodes.names():
            self._queue.add(name, Priority.BACKLOG)
        await self._controller.run()

    def shut_down(self) -> None:
        """Take in no more."""
        self._auditing.ready.set()
        self._queue.shut_down(drain=False)
