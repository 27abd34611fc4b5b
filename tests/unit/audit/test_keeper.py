"""Policies in force; with an engine that cannot try any for a while."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Sequence

import pytest
from prometheus_client import CollectorRegistry

from tests.clock import FakeClock
from tests.unit.audit.running import Unprepared
from trivyop.audit.engine import AuditError, AuditFailure, Batch, Subject
from trivyop.audit.keeper import TRIAL, PolicyKeeper
from trivyop.audit.metrics import AuditMetrics
from trivyop.audit.policies import Policies, PolicyProblem
from trivyop.trivy.process import Brake

POLICY = {"policy.a.rego": "package trivyoperator.a", "policy.a.kinds": "*"}
NO_ROOM = AuditError(AuditFailure.SCANNER, "no room", everyone=True)
NO_FILES = OSError(errno.EMFILE, "Too many open files")


class Engine(Unprepared):
    """Fails where it is told to."""

    def __init__(self, version: Exception | None, examination: Exception | None) -> None:
        self.version_error = version
        self.examination_error = examination

    async def audit(
        self,
        subjects: Sequence[Subject],
        policies: Policies,
        *,
        cluster_version: str,
        urgent: bool,
        brake: Brake,
    ) -> Batch:
        return Batch({subject.name: () for subject in subjects})

    def is_learned(self, kind: str, policies: Policies, *, cluster_version: str) -> bool:
        return True

    async def version(self) -> str:
        if self.version_error is not None:
            raise self.version_error
        return "1.0.0"

    async def examine(self, policies: Policies) -> tuple[Policies, tuple[PolicyProblem, ...]]:
        if self.examination_error is not None:
            raise self.examination_error
        return policies, ()


@pytest.mark.parametrize(
    ("version", "examination", "words"),
    [
        (NO_ROOM, None, "no room"),
        (None, NO_ROOM, "no room"),
        (None, NO_FILES, "open files"),
        (None, KeyError("bug"), "bug"),
    ],
)
async def test_trial_that_cannot_be_is_a_problem_until_it_can(
    clock: FakeClock, version: Exception | None, examination: Exception | None, words: str
) -> None:
    engine = Engine(version, examination)
    registry = CollectorRegistry()
    told: list[tuple[PolicyProblem, ...]] = []
    keeper = PolicyKeeper(engine, clock=clock, metrics=AuditMetrics(registry))
    keeper.add_problem_handler(told.append)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(keeper.run())
        keeper.set_policies(POLICY)
        await clock.elapse(1)

        (problem,) = keeper.problems
        assert problem.policy == TRIAL
        assert words in problem.message
        assert registry.get_sample_value("trivyop_policy_problem", {"policy": TRIAL}) == 1
        await clock.elapse(600)
        assert told == [(problem,)], "told once, however often it is tried"
        assert not keeper.ready

        engine.version_error = engine.examination_error = None
        await clock.elapse(600)
        assert keeper.problems == ()
        assert [one.name for one in keeper.policies.custom] == ["a"]
        running.cancel()
