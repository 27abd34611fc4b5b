"""What becomes of the reports on a kind that is not audited now."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any, cast

import pytest
from prometheus_client import CollectorRegistry

from tests.clock import FakeClock
from trivyop.audit.auditor import Auditor
from trivyop.control.queue import WorkQueue
from trivyop.controllers.audits.audited import AuditedObjects
from trivyop.controllers.audits.failures import AuditFailures
from trivyop.controllers.audits.kinds import AuditRef
from trivyop.controllers.audits.reconciler import Audits
from trivyop.controllers.informers import BY_OWNER, Informers
from trivyop.controllers.lister import Lister
from trivyop.controllers.reports import Reports
from trivyop.kube.client import Api
from trivyop.kube.discovery import Discovery
from trivyop.kube.events import EventRecorder
from trivyop.kube.informer import Informer
from trivyop.kube.objects import Object, ObjectMeta
from trivyop.kube.resources import CONFIGAUDITREPORTS, ObjectKey, Resource
from trivyop.report import keys
from trivyop.report.audit import AuditOptions
from trivyop.report.stored import StoredReport
from trivyop.workload.selection import Namespaces, Selection

GADGET = AuditRef("Gadget", ObjectKey("shop", "blue"))


class TheAuditor:
    """Knows of some kinds that policies with a mistake are for."""

    def __init__(self) -> None:
        self.kinds: frozenset[str] = frozenset()

    def undecided(self, kind: str) -> bool:
        return kind in self.kinds

    def forget(self, name: str) -> None:
        pass


class TheReports:
    """Notes which reports are deleted."""

    def __init__(self) -> None:
        self.deleted: list[str] = []

    def is_closed(self, resource: Resource, namespace: str) -> bool:
        return False

    def add_lost_handler(self, handler: object) -> None:
        pass

    def add_permission_handler(self, handler: object) -> None:
        pass

    async def delete(self, resource: Resource, report: StoredReport) -> None:
        self.deleted.append(report.key.name)


class World:
    """A server that tells of no kind but its own, and has a report on a Gadget."""

    def __init__(self) -> None:
        clock, rng = FakeClock(), random.Random(1)
        api = cast("Api", None)
        report = Object(
            metadata=ObjectMeta(
                name="gadget-blue",
                namespace="shop",
                uid="r1",
                labels={keys.RESOURCE_KIND: "Gadget", keys.RESOURCE_NAME: "blue"},
            )
        )
        stored = StoredReport.parse(report)
        informer: Informer[Any] = Informer(
            api, CONFIGAUDITREPORTS, Object, indexes={BY_OWNER: lambda one: (one.owner,)}, clock=clock
        )
        informer.store.set(stored.key, stored)
        nothing = Discovery({})
        informers = Informers(
            api, nothing, operator_namespace="trivy-system", watched_namespaces=("",), clock=clock
        )
        informers.reports[CONFIGAUDITREPORTS] = Lister(CONFIGAUDITREPORTS, {"": informer})
        self.auditor = TheAuditor()
        self.reports = TheReports()
        self.queue = WorkQueue[AuditRef](clock, rng=rng)
        self.audited = AuditedObjects(
            api, informers, nothing, selection=Selection(Namespaces("trivy-system")), kinds=(), clock=clock
        )
        self.audits = Audits(
            api,
            informers,
            self.audited,
            cast("Reports", self.reports),
            cast("Auditor", self.auditor),
            AuditFailures(CollectorRegistry(), clock, rng),
            options=AuditOptions(),
            merge_rbac=False,
            infra=True,
            queue=self.queue,
            events=cast("EventRecorder", None),
            clock=clock,
        )

    async def look(self) -> list[str]:
        """Reconcile what is in the queue; returns the reports that were deleted."""
        while len(self.queue):
            ref = await self.queue.get()
            await self.audits.reconcile(ref)
            self.queue.done(ref)
        return self.reports.deleted


async def test_reports_on_a_kind_that_nobody_names_go() -> None:
    world = World()
    world.audits.listen()

    assert await world.look() == ["gadget-blue"]


async def test_reports_stay_while_a_policy_for_their_kind_has_a_mistake() -> None:
    world = World()
    world.auditor.kinds = frozenset({"Gadget"})
    world.audits.listen()
    assert await world.look() == []

    world.auditor.kinds = frozenset()  # the policy is gone now, and nothing needs its kind
    world.audits.look_at(None)
    assert await world.look() == ["gadget-blue"]


@pytest.mark.parametrize("afterwards", [None, frozenset({"Gadget"})], ids=["all kinds", "this kind"])
async def test_reports_stay_while_the_server_does_not_tell_of_a_kind_that_a_policy_names(
    afterwards: Iterable[str] | None,
) -> None:
    world = World()
    world.audited.add_policy_kinds({"Gadget"})
    world.audits.listen()
    assert await world.look() == []

    world.audited.add_policy_kinds(())
    world.audits.look_at(None if afterwards is None else frozenset(afterwards))
    assert await world.look() == ["gadget-blue"]
