"""Manager: runs the concerns on one API server, from their informers to their last key.

Promises: every replica watches; only what `start` and `run` begin writes anything.
Not here: what a concern does (``controllers``), who may work (``operator.py``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from trivyop.controllers.audits.concern import Auditing
from trivyop.controllers.audits.strays import delete_switched_off
from trivyop.controllers.compliance.concern import Compliance
from trivyop.controllers.concern import Concern
from trivyop.controllers.context import ControllerContext
from trivyop.controllers.images.concern import Images
from trivyop.controllers.nodes.concern import Components, Nodes
from trivyop.controllers.series.concern import Series
from trivyop.controllers.webhooks.notifications import Notifications


def build_concerns(context: ControllerContext, images: Images, series: Series) -> Iterator[Concern]:
    """Every concern that the settings switch on, those first that others build upon."""
    settings = context.settings
    yield images
    if Components.wanted(settings):
        yield Components(context, images)
    yield series
    auditing = None
    if settings.audit.config_audit_enabled:
        yield (auditing := Auditing(context))
        if context.collects:
            yield Nodes(context, auditing)
    if settings.compliance.enabled:
        yield Compliance(context, auditing)
    yield Notifications.of(context)


class Manager:
    """The concerns, and what they share."""

    def __init__(self, context: ControllerContext) -> None:
        self._context = context
        self.informers = context.informers
        self.events = context.events
        context.health.mention("permissions", self._permissions)
        images, self.series = Images(context), Series(context)
        self.usage = images.usage
        self._concerns = tuple(build_concerns(context, images, self.series))

    def _permissions(self) -> str | None:
        """What we may not do, for people; None if there is nothing."""
        texts = (self._context.reports.denials.text(), self._context.api.permissions.text())
        return "; ".join(filter(None, texts)) or None

    def watch(self, group: asyncio.TaskGroup) -> list[asyncio.Task[None]]:
        """Begin to watch the cluster, which every replica does, until the tasks are cancelled."""
        return [
            group.create_task(self.informers.run(), name="informers"),
            *(group.create_task(one.watch(), name=f"{one.name}/watch") for one in self._concerns),
        ]

    async def wait_synced(self) -> bool:
        """Wait until all is cached that concerns need; then True."""
        for concern in self._concerns:
            await concern.wait_synced()
        return await self.informers.wait_synced()

    async def start(self) -> None:
        """Start every concern; only who leads does."""
        for concern in self._concerns:
            await concern.start()

    async def run(self) -> None:
        """Work until drained, then keep what never ends until cancelled; after `start`."""
        context = self._context
        async with asyncio.TaskGroup() as group:
            for concern in self._concerns:
                group.create_task(concern.run(), name=concern.name)
            group.create_task(context.reports.denials.run(), name="denials")
            tidying = delete_switched_off(context.api, context.informers, context.settings, context.clock)
            group.create_task(tidying, name="tidying")

    async def drain(self) -> None:
        """Take in no more keys, and wait until the workers have finished what they hold."""
        await asyncio.gather(*(concern.drain() for concern in self._concerns))
