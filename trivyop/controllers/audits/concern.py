"""Auditing: the parts of audits put together, for whoever runs the operator.

Every replica runs informers; only the one that works evaluates checks and writes reports.
Promises: no audit before it is known which policies there are and in which version the cluster is, so that a
restart audits nothing again that was audited.
Not here: the parts themselves.
"""

from __future__ import annotations

import asyncio

import structlog

from trivyop.audit.auditor import Auditor
from trivyop.audit.metrics import AuditMetrics
from trivyop.audit.trivyengine import TrivyEngine
from trivyop.controllers.audits.audited import AuditedObjects
from trivyop.controllers.audits.failures import AuditFailures
from trivyop.controllers.audits.kinds import AuditRef
from trivyop.controllers.audits.policies import PolicyWatch
from trivyop.controllers.audits.reconciler import WORKERS, Audits
from trivyop.controllers.audits.selecting import build_audit_kinds, build_audit_options, build_audit_selection
from trivyop.controllers.audits.strays import delete_strays
from trivyop.controllers.concern import Concern
from trivyop.controllers.context import ControllerContext
from trivyop.errors import TerminalError, TransientError

log = structlog.get_logger(__name__)

_NAME = "audits"
_VERSION_RETRY_SECONDS = 5.0
_TELL_AGAIN_SECONDS = 1800.0  # half as long as Events last
_VERSION_SECONDS = 3600.0  # clusters are upgraded under a running operator


class Auditing(Concern):
    """Audits of one cluster."""

    name = "audits"

    def __init__(self, context: ControllerContext) -> None:
        self.ready = asyncio.Event()
        """Set when it is known which checks there are, and nothing keeps others from using the auditor."""
        settings, clock = context.settings, context.clock
        api, informers, events = context.api, context.informers, context.events
        self._api = api
        self._clock = clock
        self._queue = context.queue(_NAME, AuditRef)
        self.auditor = Auditor(
            TrivyEngine(settings), settings=settings, clock=clock, metrics=AuditMetrics(context.registry)
        )
        self.failures = AuditFailures(context.registry, clock, context.rng)
        selection = build_audit_selection(settings)
        self._namespaces = selection.namespaces
        self._namespace = settings.operator.namespace
        self._audited = AuditedObjects(
            api,
            informers,
            context.discovery,
            selection=selection,
            kinds=build_audit_kinds(settings),
            clock=clock,
            metrics=context.metrics.informers,
        )
        self._policies = PolicyWatch(
            api,
            self.auditor,
            self._audited,
            namespace=settings.operator.namespace,
            events=events,
            clock=clock,
            metrics=context.metrics.informers,
        )
        self._audits = Audits(
            api,
            informers,
            self._audited,
            context.reports,
            self.auditor,
            self.failures,
            options=build_audit_options(settings),
            merge_rbac=settings.audit.merge_rbac_findings,
            infra=settings.audit.infra_assessment_enabled,
            queue=self._queue,
            events=events,
            clock=clock,
        )
        self._controller = context.controller(
            _NAME, self._audits.reconcile, self._queue, self._audits.all, workers=WORKERS
        )
        context.health.require("audits", self.waiting_for)
        context.health.mention("audit limits", self.limits)

    def absent_kinds(self) -> frozenset[str]:
        """The kinds that are audited and of which the cluster has no object."""
        return self._audited.absent_kinds()

    # what is wrong

    def waiting_for(self) -> str | None:
        """What has not been listed yet; None if all has."""
        waiting = self._audited.waiting_for
        return f"waiting for the first list of {', '.join(waiting)}" if waiting else None

    def limits(self) -> str | None:
        """What is not audited and why, and what is wrong with policies; None if nothing is."""
        problems = [*self._audited.problems(), self._policies.problem(), self.failures.text()]
        return "; ".join(filter(None, problems)) or None

    # running

    async def watch(self) -> None:
        """Run the informers until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._audited.run(), name="audited")
            group.create_task(self._policies.run(), name="policies")

    async def wait_synced(self) -> None:
        await self._audited.wait_synced()

    async def run(self) -> None:
        """Audit until drained, or until cancelled."""
        async with asyncio.TaskGroup() as group:
            background = [group.create_task(self.auditor.run(), name="auditor")]
            await self._find_version()
            background.append(group.create_task(self._follow_version(), name="cluster-version"))
            await self._policies.start()
            self.ready.set()
            self._audits.listen()
            self._policies.listen(self._audits.look_at)
            self.auditor.expect(self._audited.families)
            background.append(group.create_task(self._tell_again(), name="audit-problems"))
            strays = delete_strays(self._api, self._namespaces, self._namespace, self._clock)
            background.append(group.create_task(strays, name="strays"))
            await self._controller.run()
            for task in background:
                task.cancel()

    async def drain(self) -> None:
        """Take in no more; what is in hand is lost without harm."""
        self._queue.shut_down(drain=False)

    async def _find_version(self) -> None:
        while not await self._ask_version():
            await self._clock.sleep(_VERSION_RETRY_SECONDS)

    async def _tell_again(self) -> None:
        while True:
            await self._clock.sleep(_TELL_AGAIN_SECONDS)
            self._policies.tell_again()
            self._audits.tell_again()

    async def _follow_version(self) -> None:
        while True:
            await self._clock.sleep(_VERSION_SECONDS)
            await self._ask_version()

    async def _ask_version(self) -> bool:
        """Ask which version the cluster has; says whether that is known now."""
        try:
            document = await self._api.version()
        except TransientError as error:
            log.info("version_not_told", error=str(error))
            return False
        except TerminalError as error:  # everybody may ask, unless somebody took care of that
            log.warning("version_not_told", error=str(error))
            return True
        self.auditor.set_cluster_version(str(document.get("gitVersion", "")).removeprefix("v"))
        return True
