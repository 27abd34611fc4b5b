"""The concern of images: workloads, the scans of their images, and the database for matching results."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from trivyop.controllers.concern import Concern
from trivyop.controllers.context import ControllerContext
from trivyop.controllers.images.imagescans import ImageScans
from trivyop.controllers.images.rematch import Matcher
from trivyop.controllers.images.targets import Targets
from trivyop.controllers.images.workloads import Workloads
from trivyop.controllers.metrics import ScanCollector
from trivyop.controllers.usage import Usage


class Images(Concern):
    """The images that workloads run."""

    name = "images"

    def __init__(self, context: ControllerContext) -> None:
        informers = context.informers
        self.matcher = Matcher(context.settings, clock=context.clock, metrics=context.metrics.scans)
        self._newer_handlers: list[Callable[[], None]] = []
        self.usage = Usage()
        targets = Targets(
            informers.listers, informers.sole_platform, self.usage, context.settings, context.selection
        )
        self._scans = ImageScans(context, targets, self.matcher)
        self._workloads = Workloads(context, self.usage, targets, self._scans)
        ScanCollector(context.registry, informers, self.usage, self._scans.slots)
        context.health.mention("database", lambda: self.matcher.problem)
        self._controllers = (
            context.controller(
                "workloads", self._workloads.reconcile, self._workloads.queue, self._workloads.all
            ),
            context.controller("imagescans", self._scans.reconcile, self._scans.queue, self._scans.names),
        )

    def add_database_handler(self, handler: Callable[[], None]) -> None:
        """Call `handler` when there is a newer vulnerability database."""
        self._newer_handlers.append(handler)

    async def start(self) -> None:
        """Find out who uses which scan before any scan is looked at: none starts that is superfluous."""
        self._scans.listen()
        self._workloads.listen()
        await self._workloads.prime()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self.matcher.run(self._database_is_newer), name="database")
            for controller in self._controllers:
                group.create_task(controller.run(), name=controller.name)

    async def drain(self) -> None:
        await asyncio.gather(*(controller.drain() for controller in self._controllers))

    def _database_is_newer(self) -> None:
        self._scans.look_at_all()
        for handler in self._newer_handlers:
            handler()
