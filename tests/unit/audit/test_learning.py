"""What is found out in idle moments, so that the first object of a kind need not wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from tests.clock import FakeClock, settle
from tests.unit.audit.running import Unprepared, audit_settings, auditing, pod, subject_of
from trivyop.audit.auditor import WINDOW_SECONDS
from trivyop.audit.engine import AuditError, AuditFailure, Batch, Subject
from trivyop.audit.learning import IDLE_SECONDS
from trivyop.audit.policies import Policies, PolicyProblem
from trivyop.audit.samples import bare_sample
from trivyop.audit.trivyengine import TrivyEngine
from trivyop.trivy.process import Brake

KINDS = [("v1", "LimitRange"), ("v1", "ResourceQuota"), ("networking.k8s.io/v1", "Ingress")]
ROLE = Subject("Role/shop/reader", "Role", b"{}")


class Engine(Unprepared):
    """Learns of what it audits, in no time."""

    def __init__(self) -> None:
        self.audited: list[list[str]] = []
        self.learned: set[str] = set()
        self.fails = False

    async def audit(
        self,
        subjects: Sequence[Subject],
        policies: Policies,
        *,
        cluster_version: str,
        urgent: bool,
        brake: Brake,
    ) -> Batch:
        self.audited.append([subject.kind for subject in subjects])
        if self.fails:
            raise AuditError(AuditFailure.SCANNER, "Trivy crashed")
        self.learned |= {subject.kind for subject in subjects}
        return Batch({subject.name: () for subject in subjects})

    def is_learned(self, kind: str, policies: Policies, *, cluster_version: str) -> bool:
        return kind in self.learned

    async def audit_samples(self, policies: Policies) -> Batch:
        return Batch({})

    async def examine(self, policies: Policies) -> tuple[Policies, tuple[PolicyProblem, ...]]:
        return policies, ()

    async def version(self) -> str:
        return "1"


async def idle(clock: FakeClock, seconds: float) -> None:
    await settle(200)
    await clock.elapse(seconds)
    await settle(200)


async def test_kinds_are_learned_of_one_by_one_after_a_while(clock: FakeClock) -> None:
    engine = Engine()
    async with auditing(engine=engine, clock=clock) as auditor:
        auditor.expect(lambda: KINDS)
        await idle(clock, IDLE_SECONDS * 0.9)
        assert engine.audited == []

        await idle(clock, IDLE_SECONDS * 0.2)
        assert engine.audited == [[kind] for _, kind in KINDS]

        await idle(clock, IDLE_SECONDS * 10)
        assert len(engine.audited) == len(KINDS)


async def test_what_there_is_to_audit_comes_first(clock: FakeClock) -> None:
    engine = Engine()
    async with auditing(engine=engine, clock=clock) as auditor:
        auditor.expect(lambda: KINDS)
        await idle(clock, IDLE_SECONDS * 0.9)
        waiting = asyncio.create_task(auditor.audit(ROLE, urgent=False))
        await idle(clock, WINDOW_SECONDS)
        await waiting
        await idle(clock, IDLE_SECONDS * 0.9)
        assert engine.audited == [["Role"]]

        await idle(clock, IDLE_SECONDS * 0.2)
        assert engine.audited == [["Role"], *([kind] for _, kind in KINDS)]


async def test_kinds_that_were_audited_are_known(clock: FakeClock) -> None:
    engine = Engine()
    engine.learned = {"LimitRange", "Ingress"}
    async with auditing(engine=engine, clock=clock) as auditor:
        auditor.expect(lambda: KINDS)
        await idle(clock, IDLE_SECONDS)

        assert engine.audited == [["ResourceQuota"]]


async def test_what_cannot_be_learned_is_tried_again_only_with_other_checks(clock: FakeClock) -> None:
    engine = Engine()
    engine.fails = True
    async with auditing(engine=engine, clock=clock) as auditor:
        auditor.expect(lambda: KINDS)
        await idle(clock, IDLE_SECONDS)
        await idle(clock, IDLE_SECONDS * 10)
        assert engine.audited == [[kind] for _, kind in KINDS]
        assert auditor.problems == ()

        auditor.set_cluster_version("1.36.0")
        await idle(clock, IDLE_SECONDS * 10)
        auditor.expect(lambda: KINDS)
        await idle(clock, IDLE_SECONDS)
        assert engine.audited == [[kind] for _, kind in KINDS] * 2


async def test_what_an_object_with_nothing_but_a_name_teaches_holds_for_its_kind() -> None:
    """Whether a kind is learned of by such an object or by the first real one makes no difference."""
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "reader", "namespace": "shop"},
        "rules": [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}],
    }
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"externalIPs": ["1.2.3.4"], "ports": [{"port": 80}]},
    }
    subjects = [pod("web"), subject_of(role), subject_of(service)]
    learned, fresh = TrivyEngine(audit_settings()), TrivyEngine(audit_settings())
    samples = [
        bare_sample(*family) for family in (("Pod", "v1"), ("Role", role["apiVersion"]), ("Service", "v1"))
    ]

    async def outcomes(engine: TrivyEngine, some: list[Subject]) -> dict[str, object]:
        batch = await engine.audit(some, Policies(), cluster_version="", urgent=False, brake=Brake())
        return dict(batch.outcomes)

    await outcomes(learned, samples)

    assert await outcomes(learned, subjects) == await outcomes(fresh, subjects)
