"""Collecting: the parts that read nodes put together, for whoever runs the operator.

Promises: no node is looked at before it is known which checks there are, so that a restart evaluates nothing
again that was evaluated.
Not here: the parts themselves.
"""

from __future__ import annotations

from trivyop.control.queue import Priority
from trivyop.controllers.audits.parts import Auditing
from trivyop.controllers.audits.selecting import build_audit_options
from trivyop.controllers.metrics import NodeMetrics, NodeScanCollector
from trivyop.controllers.nodes.reconciler import Nodes
from trivyop.controllers.reports import Reports
from trivyop.controllers.surroundings import Surroundings
from trivyop.controllers.view import View
from trivyop.kube.client import Api
from trivyop.kube.discovery import Discovery
from trivyop.kube.events import EventRecorder

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
        around: Surroundings,
        *,
        events: EventRecorder,
    ) -> None:
        self._auditing = auditing
        self._queue = around.queue(_NAME, str)
        NodeScanCollector(around.registry, view)
        self._nodes = Nodes(
            api,
            view,
            discovery,
            reports,
            auditing.auditor,
            settings=around.settings,
            options=build_audit_options(around.settings),
            queue=self._queue,
            clock=around.clock,
            rng=around.rng,
            events=events,
            metrics=NodeMetrics(around.registry),
        )
        self._controller = around.controller(_NAME, self._nodes.reconcile, self._queue, self._nodes.names)

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
