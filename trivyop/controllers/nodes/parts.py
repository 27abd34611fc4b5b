"""Collecting: the parts that read nodes put together, for whoever runs the operator.

Promises: no node is looked at before it is known which checks there are, so that a restart evaluates nothing
again that was evaluated.
Not here: the parts themselves.
"""

from __future__ import annotations

from trivyop.control.queue import Priority
from trivyop.controllers.audits.parts import Auditing
from trivyop.controllers.audits.selecting import build_audit_options
from trivyop.controllers.context import ControllerContext
from trivyop.controllers.informers import Informers
from trivyop.controllers.metrics import NodeMetrics, NodeScanCollector
from trivyop.controllers.nodes.reconciler import Nodes
from trivyop.controllers.reports import Reports
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
        informers: Informers,
        reports: Reports,
        auditing: Auditing,
        context: ControllerContext,
        *,
        events: EventRecorder,
    ) -> None:
        self._auditing = auditing
        self._queue = context.queue(_NAME, str)
        NodeScanCollector(context.registry, informers)
        self._nodes = Nodes(
            api,
            informers,
            discovery,
            reports,
            auditing.auditor,
            settings=context.settings,
            options=build_audit_options(context.settings),
            queue=self._queue,
            clock=context.clock,
            rng=context.rng,
            events=events,
            metrics=NodeMetrics(context.registry),
        )
        self._controller = context.controller(_NAME, self._nodes.reconcile, self._queue, self._nodes.names)

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
