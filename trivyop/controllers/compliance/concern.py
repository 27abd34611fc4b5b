"""The concern of compliance: ClusterComplianceReports are watched, and the one that works fills them in.

Promises: nothing is answered before it is known which checks there are, so that a restart changes no status
whose answers are the same.
"""

from __future__ import annotations

from trivyop.controllers.audits.concern import Auditing
from trivyop.controllers.compliance.reconciler import ComplianceReconciler
from trivyop.controllers.concern import Concern
from trivyop.controllers.context import ControllerContext
from trivyop.kube.resources import CLUSTERCOMPLIANCEREPORTS


class Compliance(Concern):
    """The cluster's compliance with standards; `auditing` is None where nothing is audited."""

    name = "compliance"

    def __init__(self, context: ControllerContext, auditing: Auditing | None) -> None:
        self._auditing = auditing
        self._served = context.discovery.serves(CLUSTERCOMPLIANCEREPORTS)
        self._reconciler = ComplianceReconciler(context, auditing)
        self._controller = context.controller(
            self.name, self._reconciler.reconcile, self._reconciler.queue, self._reconciler.keys, workers=1
        )

    async def watch(self) -> None:
        if self._served:
            await self._reconciler.specifications.run()

    async def wait_synced(self) -> None:
        if self._served:
            await self._reconciler.specifications.wait_settled()

    async def run(self) -> None:
        if not self._served:
            return
        if self._auditing is not None:
            await self._auditing.ready.wait()
            self._auditing.auditor.add_handler(lambda _kinds: self._reconciler.look_at_all())
        self._reconciler.listen()
        await self._controller.run()

    async def drain(self) -> None:
        await self._controller.drain()
