"""The concerns of nodes: how each node is set up, and the cluster's own components.

Promises: no node is looked at before it is known which checks there are, so that a restart evaluates nothing
again that was evaluated.
"""

from __future__ import annotations

from trivyop.control.queue import Priority
from trivyop.controllers.audits.concern import Auditing
from trivyop.controllers.concern import Concern
from trivyop.controllers.context import ControllerContext
from trivyop.controllers.images.concern import Images
from trivyop.controllers.metrics import NodeScanCollector
from trivyop.controllers.nodes.components import ClusterComponents
from trivyop.controllers.nodes.reconciler import NodeReconciler
from trivyop.settings import Settings


class Nodes(Concern):
    """The nodes of one cluster."""

    name = "nodes"

    def __init__(self, context: ControllerContext, auditing: Auditing) -> None:
        self._auditing = auditing
        NodeScanCollector(context.registry, context.informers)
        self._nodes = NodeReconciler(context, auditing.auditor)
        self._controller = context.controller(
            self.name, self._nodes.reconcile, self._nodes.queue, self._nodes.names
        )

    async def run(self) -> None:
        await self._auditing.ready.wait()
        self._nodes.listen()
        self._auditing.auditor.add_handler(lambda _kinds: self._nodes.look_at_all())
        for name in self._nodes.names():
            self._nodes.queue.add(name, Priority.BACKLOG)
        await self._controller.run()

    async def drain(self) -> None:
        await self._controller.drain()


class Components(Concern):
    """The cluster's own components."""

    name = "clustercomponents"

    def __init__(self, context: ControllerContext, images: Images) -> None:
        self._components = ClusterComponents(context, images.matcher)
        self._controller = context.controller(
            self.name, self._components.reconcile, self._components.queue, self._components.names
        )
        images.add_database_handler(self._components.look)

    @staticmethod
    def wanted(settings: Settings) -> bool:
        """Whether the settings switch it on."""
        operator = settings.operator
        needs = (operator.sbom_generation_enabled, operator.vulnerability_scanner_enabled)
        return operator.cluster_components_enabled and all(needs)

    async def start(self) -> None:
        self._components.listen()

    async def run(self) -> None:
        await self._controller.run()

    async def drain(self) -> None:
        await self._controller.drain()
