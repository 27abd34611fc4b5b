"""Parts: what one run of the operator is made of, and how it begins and ends.

A part that the settings switch off, or that others make superfluous, is None.
Promises: every replica watches; only what `listen` and `work` begin writes anything.
Not here: how parts are built (``building.py``), who may work (``operator.py``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from trivyop.control.controller import Controller
from trivyop.controllers.audits.parts import Auditing
from trivyop.controllers.images.imagescans import ImageScans
from trivyop.controllers.images.rematch import Matcher
from trivyop.controllers.images.workloads import Workloads
from trivyop.controllers.informers import Informers
from trivyop.controllers.nodes.components import ClusterComponents
from trivyop.controllers.nodes.parts import Collecting
from trivyop.controllers.series.reader import Unread
from trivyop.controllers.series.rendering import ReportSeries
from trivyop.controllers.usage import Usage
from trivyop.controllers.webhooks.notifications import Notifications
from trivyop.kube.events import EventRecorder


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What one run is made of."""

    informers: Informers
    usage: Usage
    events: EventRecorder
    matcher: Matcher
    workloads: Workloads
    scans: ImageScans
    series: ReportSeries
    reading: Controller[Unread]
    auditing: Auditing | None
    collecting: Collecting | None
    components: ClusterComponents | None
    notifications: Notifications
    asking: Callable[[], Coroutine[Any, Any, None]]
    """Finds out when reports may be written that may not."""
    tidying: Callable[[], Coroutine[Any, Any, None]]
    """Removes what parts left that are switched off now."""
    controllers: tuple[Controller[Any], ...]
    working: list[asyncio.Task[None]] = field(default_factory=list[asyncio.Task[None]])

    async def wait_synced(self) -> bool:
        """Wait until it is known what there is; then True."""
        if self.auditing is not None:
            await self.auditing.wait_synced()
        return await self.informers.wait_synced()

    def watch(self, group: asyncio.TaskGroup) -> list[asyncio.Task[None]]:
        """Begin to watch the cluster, which every replica does, until the tasks are cancelled."""
        tasks = [
            group.create_task(self.informers.run(), name="informers"),
            group.create_task(self.reading.run(), name=self.reading.name),
        ]
        if self.auditing is not None:
            tasks.append(group.create_task(self.auditing.watch(), name="audited"))
        return tasks

    async def listen(self) -> None:
        """Look at what there is, and from then on at what changes; only who leads does."""
        self.scans.listen()
        self.workloads.listen()
        await self.workloads.prime()
        if self.components is not None:
            self.components.listen()

    async def work(self) -> None:
        """Reconcile until `shut_down`, then keep what never ends until cancelled; after `listen`."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.matcher.run(self._database_is_newer), name="database")
            group.create_task(self.notifications.run(), name="webhooks")
            group.create_task(self.tidying(), name="tidying")
            group.create_task(self.asking(), name="denials")
            if self.auditing is not None:
                group.create_task(self.auditing.work(), name="auditing")
            if self.collecting is not None:
                self.working.append(group.create_task(self.collecting.work(), name="nodes"))
            for controller in self.controllers:
                self.working.append(group.create_task(controller.run(), name=controller.name))

    def _database_is_newer(self) -> None:
        """Have everything matched again that can be."""
        self.scans.look_at_all()
        if self.components is not None:
            self.components.look()

    async def shut_down(self) -> None:
        """Take in no more keys, and wait until the workers have finished what they hold."""
        if self.collecting is not None:
            self.collecting.shut_down()
        if self.auditing is not None:
            self.auditing.shut_down()
        for controller in self.controllers:
            controller.queue.shut_down(drain=False)
        if self.working:
            await asyncio.wait(self.working)
