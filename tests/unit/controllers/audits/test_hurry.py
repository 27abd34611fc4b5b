"""What somebody waits for is audited, and written, before the backlog."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable, Iterator
from typing import Any, cast

import msgspec
from prometheus_client import CollectorRegistry

from tests.clock import FakeClock
from trivyop.audit.auditor import Auditor
from trivyop.audit.engine import Outcome
from trivyop.audit.lanes import Request, Urgency
from trivyop.control.queue import WorkQueue
from trivyop.controllers.audits.audited import Audited, AuditedObjects
from trivyop.controllers.audits.failures import AuditFailures
from trivyop.controllers.audits.kinds import AuditRef
from trivyop.controllers.audits.reconciler import Audits
from trivyop.controllers.informers import Informers
from trivyop.controllers.reports import Reports
from trivyop.kube.client import Api
from trivyop.kube.discovery import Discovery
from trivyop.kube.events import EventRecorder
from trivyop.kube.objects import Object, ObjectMeta
from trivyop.kube.resources import RBACASSESSMENTREPORTS, ROLES, ObjectKey, Resource
from trivyop.report import keys
from trivyop.report.audit import AuditOptions
from trivyop.report.stored import StoredReport

Lost = Callable[[Resource, ObjectKey, StoredReport], None]
BACKLOG = [
    AuditRef("Role", ObjectKey("shop", f"role-{number}")) for number in range(9)
]  # one more than may write


class TheRoles:
    """Roles, as the operator and the server know them, without any report yet."""

    def __init__(self) -> None:
        self.changed: Callable[[AuditRef, bool], None]

    def listen(self, changed: Callable[[AuditRef, bool], None]) -> None:
        self.changed = changed

    def all(self) -> Iterator[AuditRef]:
        return iter(BACKLOG)

    def get(self, ref: AuditRef) -> Audited:
        return Audited(f"uid-of-{ref.key.name}", "state")

    def resource(self, ref: AuditRef) -> Resource:
        return ROLES


class TheServer:
    async def get(self, resource: Resource, key: ObjectKey, as_: type[msgspec.Raw]) -> msgspec.Raw:
        meta = {"name": key.name, "namespace": key.namespace, "uid": f"uid-of-{key.name}"}
        return as_(json.dumps({"metadata": meta, "rules": []}).encode())


class TheAuditor:
    """Finds nothing, at once; remembers who was urgent."""

    version = "1"

    def __init__(self) -> None:
        self.urgent: list[str] = []

    def undecided(self, kind: str) -> bool:
        return False

    def policies_hash(self, kind: str) -> str:
        return "policies"

    async def audit(self, request: Request, *, urgent: Urgency) -> Outcome:
        if urgent():
            self.urgent.append(request.name)
        await request.fetch()
        return ()


class TheReports:
    """Reports that are never done being written."""

    def __init__(self) -> None:
        self.writing: list[str] = []
        self.lost: Lost

    def add_lost_handler(self, handler: Lost) -> None:
        self.lost = handler

    def add_permission_handler(self, handler: object) -> None: ...

    def is_closed(self, resource: Resource, namespace: str) -> bool:
        return False

    def check(self, resource: Resource, namespace: str) -> None: ...

    def deleted_by_us(self, uid: str) -> bool:
        return False

    def get(self, resource: Resource, key: ObjectKey) -> None:
        return None

    async def write_object(self, resource: Resource, report: dict[str, Any]) -> None:
        self.writing.append(report["metadata"]["name"])
        await asyncio.get_running_loop().create_future()


class World:
    """A backlog of Roles, more than may have their reports written at once, all of them audited."""

    def __init__(self, group: asyncio.TaskGroup) -> None:
        rng = random.Random(1)
        self._group = group
        self.clock = FakeClock()
        self.roles, self.auditor, self.reports = TheRoles(), TheAuditor(), TheReports()
        self.queue = WorkQueue[AuditRef](self.clock, rng=rng)
        api = cast("Api", TheServer())
        self.audits = Audits(
            api,
            Informers(api, Discovery({}), operator_namespace="x", watched_namespaces=("",), clock=self.clock),
            cast("AuditedObjects", self.roles),
            cast("Reports", self.reports),
            cast("Auditor", self.auditor),
            AuditFailures(CollectorRegistry(), self.clock, rng),
            options=AuditOptions(),
            merge_rbac=False,
            infra=False,
            queue=self.queue,
            events=cast("EventRecorder", None),
            clock=self.clock,
        )
        self.audits.listen()
        self._tasks: list[asyncio.Task[None]] = []

    async def work(self) -> None:
        """Have all that is in the queue served, until it waits for something."""
        await self.clock.elapse(0)
        while len(self.queue):
            self._tasks.append(self._group.create_task(self._serve(await self.queue.get())))
            await self.clock.elapse(0)

    async def _serve(self, ref: AuditRef) -> None:
        await self.audits.reconcile(ref)
        self.queue.done(ref)

    def end(self) -> None:
        for task in self._tasks:
            task.cancel()


def report_name(ref: AuditRef) -> str:
    return f"role-{ref.key.name}"


async def test_change_overtakes_the_outcome_of_the_backlog_that_waits_to_be_written() -> None:
    async with asyncio.TaskGroup() as group:
        world = World(group)
        await world.work()
        (last,) = (ref for ref in BACKLOG if report_name(ref) not in world.reports.writing)
        assert world.auditor.urgent == []

        world.roles.changed(last, False)
        await world.work()

        assert world.auditor.urgent == [str(last)]
        assert world.reports.writing[-1] == report_name(last)
        world.end()


async def test_report_that_is_deleted_does_not_wait_for_the_backlog() -> None:
    ref = AuditRef("Role", ObjectKey("shop", "reader"))
    labels = {keys.RESOURCE_KIND: "Role", keys.RESOURCE_NAME: "reader"}
    report = StoredReport.parse(
        Object(metadata=ObjectMeta(name="role-reader", namespace="shop", uid="r1", labels=labels))
    )
    async with asyncio.TaskGroup() as group:
        world = World(group)
        await world.work()

        world.reports.lost(RBACASSESSMENTREPORTS, report.key, report)
        await world.work()
        assert report_name(ref) not in world.reports.writing  # the Role itself may be about to go

        await world.clock.elapse(1)
        await world.work()

        assert world.auditor.urgent == [str(ref)]
        assert world.reports.writing[-1] == report_name(ref)
        world.end()
