"""Micro-batches: what comes together, who goes first, and who stands still meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest
from prometheus_client import CollectorRegistry

from tests.clock import FakeClock, settle
from tests.unit.audit.running import audit_all, audit_settings, auditing
from trivyop.audit.auditor import MAX_BATCH, MAX_BATCH_BYTES, MAX_URGENT_BATCH, WINDOW_SECONDS
from trivyop.audit.engine import AuditError, Batch, Subject
from trivyop.audit.lanes import Request
from trivyop.audit.policies import Policies, PolicyProblem
from trivyop.control.clock import Clock
from trivyop.report.checks import Check
from trivyop.report.findings import Severity
from trivyop.settings import Settings
from trivyop.trivy.process import Brake

PASSED = (Check("AVD-KSV-0001", "", "", "", Severity.LOW, True, ""),)


class Engine:
    """Runs end when the test says so."""

    def __init__(self) -> None:
        self.runs: list[tuple[list[str], Brake, asyncio.Event]] = []
        self.at_once = False
        self.unlearned: set[str] = set()
        self.preparing = False
        self.wishes = 0
        self.changed: Callable[[], None] = lambda: None

    async def audit(
        self,
        subjects: Sequence[Subject],
        policies: Policies,
        *,
        cluster_version: str,
        urgent: bool,
        brake: Brake,
    ) -> Batch:
        end = asyncio.Event()
        self.runs.append(([subject.name for subject in subjects], brake, end))
        if not self.at_once:
            await end.wait()
        return Batch({subject.name: PASSED for subject in subjects})

    def prepare(self, policies: Policies, *, cluster_version: str) -> None:
        self.wishes += 1

    async def keep_ready(self, clock: Clock, changed: Callable[[], None]) -> None:
        self.changed = changed

    def prepares(self, preparing: bool) -> None:
        self.preparing = preparing
        self.changed()

    def is_learned(self, kind: str, policies: Policies, *, cluster_version: str) -> bool:
        return kind not in self.unlearned

    async def version(self) -> str:
        return "1.0.0"

    async def examine(self, policies: Policies) -> tuple[Policies, tuple[PolicyProblem, ...]]:
        return policies, ()


def cores(count: int) -> Settings:
    return audit_settings(OPERATOR_AUDIT_PROCESSES=str(count))


def subjects(count: int, of: str = "x") -> list[Subject]:
    return [Subject(f"Role/{of}/{n}", "Role", b"{}") for n in range(count)]


async def pass_time(clock: FakeClock, seconds: float = 1) -> None:
    """Move time on, and give batches of hundreds their turns."""
    await clock.elapse(seconds)
    await settle(200)


async def test_what_comes_within_the_window_is_one_batch(clock: FakeClock) -> None:
    engine = Engine()
    async with auditing(engine=engine, clock=clock, settings=cores(1)) as auditor:
        first = asyncio.create_task(auditor.audit(Subject("a", "Role", b"{}"), urgent=False))
        await clock.elapse(WINDOW_SECONDS * 0.9)
        second = asyncio.create_task(auditor.audit(Subject("b", "Role", b"{}"), urgent=False))
        await settle(200)
        assert engine.runs == []

        await clock.elapse(WINDOW_SECONDS * 0.2)
        assert [names for names, _, _ in engine.runs] == [["a", "b"]]
        engine.runs[0][2].set()
        assert await first == await second == PASSED


async def test_full_batch_does_not_wait(clock: FakeClock) -> None:
    """Time stands still, and it starts."""
    engine = Engine()
    async with auditing(engine=engine, clock=clock, settings=cores(1)) as auditor:
        waiting = asyncio.create_task(audit_all(auditor, subjects(MAX_BATCH + 1)))
        await settle(200)

        assert [len(names) for names, _, _ in engine.runs] == [MAX_BATCH]
        waiting.cancel()


async def test_backlog_has_a_run_on_every_core_and_no_more(clock: FakeClock) -> None:
    engine = Engine()
    async with auditing(engine=engine, clock=clock, settings=cores(3)) as auditor:
        waiting = asyncio.create_task(audit_all(auditor, subjects(900)))
        await pass_time(clock)

        assert [len(names) for names, _, _ in engine.runs] == [300, 300, 300]
        waiting.cancel()


async def test_urgent_subject_has_a_core_at_once_and_then_gives_it_back(clock: FakeClock) -> None:
    """With all cores busy with the backlog, one run stands still meanwhile; no more runs than cores go on."""
    engine = Engine()
    async with auditing(engine=engine, clock=clock, settings=cores(2)) as auditor:
        backlog = asyncio.create_task(audit_all(auditor, subjects(3000)))
        await pass_time(clock)
        assert len(engine.runs) == 2

        urgent = asyncio.create_task(auditor.audit(Subject("mine", "Role", b"{}"), urgent=True))
        await pass_time(clock, WINDOW_SECONDS)
        assert engine.runs[2][0] == ["mine"]
        assert [brake.pulled for _, brake, _ in engine.runs] == [True, False, False]

        engine.runs[2][2].set()
        assert await urgent == PASSED
        await settle(200)
        assert [brake.pulled for _, brake, _ in engine.runs] == [False, False, False]
        assert len(engine.runs) == 3
        backlog.cancel()


async def test_urgent_subjects_wait_together_for_an_engine_that_gets_ready(clock: FakeClock) -> None:
    """That is sooner done than a run that begins now; and it has a core of its own meanwhile."""
    engine = Engine()
    async with auditing(engine=engine, clock=clock, settings=cores(2)) as auditor:
        backlog = asyncio.create_task(audit_all(auditor, subjects(3000)))
        await pass_time(clock)
        assert engine.wishes > 0
        engine.prepares(True)
        await settle(200)
        assert [brake.pulled for _, brake, _ in engine.runs] == [True, False]

        mine = [asyncio.create_task(auditor.audit(one, urgent=True)) for one in subjects(1, "mine")]
        await pass_time(clock)
        mine += [asyncio.create_task(auditor.audit(one, urgent=True)) for one in subjects(1, "yours")]
        await pass_time(clock)
        assert len(engine.runs) == 2
        engine.prepares(False)
        await settle(200)

        assert engine.runs[2][0] == ["Role/mine/0", "Role/yours/0"]
        assert [brake.pulled for _, brake, _ in engine.runs] == [True, False, False]
        engine.runs[2][2].set()
        assert await asyncio.gather(*mine) == [PASSED] * 2
        await settle(200)
        assert [brake.pulled for _, brake, _ in engine.runs] == [False, False, False]
        backlog.cancel()


async def test_engine_gets_ready_for_what_is_urgent_and_when_there_is_much_else(clock: FakeClock) -> None:
    engine = Engine()
    engine.at_once = True
    async with auditing(engine=engine, clock=clock, settings=cores(1)) as auditor:
        some = asyncio.create_task(audit_all(auditor, subjects(MAX_BATCH)))
        await pass_time(clock)
        await some
        assert engine.wishes == 0

        mine = asyncio.create_task(auditor.audit(subjects(1)[0], urgent=True))
        await pass_time(clock)
        await mine
        assert engine.wishes > 0


async def test_backlog_begins_when_the_engine_is_ready_if_there_is_one_core(clock: FakeClock) -> None:
    engine = Engine()
    async with auditing(engine=engine, clock=clock, settings=cores(1)) as auditor:
        engine.prepares(True)
        backlog = asyncio.create_task(audit_all(auditor, subjects(10)))
        await pass_time(clock)
        assert engine.runs == []

        engine.prepares(False)
        await settle(200)
        assert len(engine.runs) == 1
        backlog.cancel()


async def test_urgent_subjects_come_before_a_backlog_that_waits(clock: FakeClock) -> None:
    engine = Engine()
    async with auditing(engine=engine, clock=clock, settings=cores(1)) as auditor:
        backlog = asyncio.create_task(audit_all(auditor, subjects(1200)))
        await pass_time(clock)
        urgent = asyncio.create_task(audit_all(auditor, subjects(MAX_URGENT_BATCH * 2, "mine"), urgent=True))
        await pass_time(clock)
        for _ in range(2):
            engine.runs[-1][2].set()
            await pass_time(clock)

        assert all(isinstance(one, tuple) for one in await urgent)
        assert [len(names) for names, _, _ in engine.runs] == [MAX_BATCH, MAX_URGENT_BATCH, MAX_URGENT_BATCH]
        assert not engine.runs[0][1].pulled
        backlog.cancel()


async def test_urgent_subject_that_turns_out_to_be_backlog_is_not_hurried(clock: FakeClock) -> None:
    """A burst is known as one only after it has begun; the change that came with it has the core."""
    engine = Engine()
    hurried = True
    async with auditing(engine=engine, clock=clock, settings=cores(1)) as auditor:
        burst = [
            asyncio.create_task(auditor.audit(one, urgent=lambda: hurried)) for one in subjects(5, "burst")
        ]
        await settle(200)
        mine = asyncio.create_task(auditor.audit(Subject("mine", "Service", b"{}"), urgent=True))
        await clock.elapse(WINDOW_SECONDS / 2)
        hurried = False
        await pass_time(clock)

        assert [names for names, _, _ in engine.runs] == [["mine"]]
        engine.runs[0][2].set()
        assert await mine == PASSED
        await pass_time(clock)
        assert [len(names) for names, _, _ in engine.runs] == [1, 5]
        engine.runs[1][2].set()
        assert await asyncio.gather(*burst) == [PASSED] * 5


async def test_kind_that_needs_a_run_of_its_own_holds_up_no_urgent_one(clock: FakeClock) -> None:
    engine = Engine()
    engine.unlearned = {"Role", "Ingress"}
    some = [Subject(f"{kind}/{n}", kind, b"{}") for n in range(2) for kind in ("Role", "Service", "Ingress")]
    async with auditing(engine=engine, clock=clock, settings=cores(3)) as auditor:
        waiting = asyncio.create_task(audit_all(auditor, some, urgent=True))
        await pass_time(clock)

        assert sorted(names for names, _, _ in engine.runs) == [
            [f"{kind}/{n}" for n in range(2)] for kind in ("Ingress", "Role", "Service")
        ]
        waiting.cancel()


async def test_backlog_reads_nothing_while_an_urgent_batch_is_read(clock: FakeClock) -> None:
    """The way to the server is free for it."""
    engine = Engine()
    read: list[str] = []
    answer = asyncio.Event()

    def request(name: str) -> Request:
        async def fetch() -> bytes:
            read.append(name)
            await answer.wait()
            return b"{}"

        return Request(name, "Role", fetch)

    async with auditing(engine=engine, clock=clock, settings=cores(2)) as auditor:
        mine = asyncio.create_task(auditor.audit(request("mine"), urgent=True))
        backlog = [asyncio.create_task(auditor.audit(request(str(n)), urgent=False)) for n in range(60)]
        await pass_time(clock)
        assert read == ["mine"]

        answer.set()
        await pass_time(clock)
        assert len(read) == 61
        for _, _, end in engine.runs:
            end.set()
        assert await mine == PASSED
        assert await asyncio.gather(*backlog) == [PASSED] * 60


async def test_one_name_is_never_twice_in_a_batch(clock: FakeClock) -> None:
    """What a name means may have changed in between."""
    engine = Engine()
    engine.at_once = True
    async with auditing(engine=engine, clock=clock, settings=cores(1)) as auditor:
        waiting = asyncio.create_task(
            audit_all(auditor, [Subject("a", "Role", b"1"), Subject("a", "Role", b"2"), *subjects(1)])
        )
        await pass_time(clock)

        assert await waiting == [PASSED] * 3
        assert [names for names, _, _ in engine.runs] == [["a", "Role/x/0"], ["a"]]


async def test_who_does_not_wait_any_more_is_not_audited(clock: FakeClock) -> None:
    engine = Engine()
    async with auditing(engine=engine, clock=clock, settings=cores(1)) as auditor:
        gone = asyncio.create_task(auditor.audit(Subject("gone", "Role", b"{}"), urgent=False))
        stays = asyncio.create_task(auditor.audit(Subject("stays", "Role", b"{}"), urgent=False))
        await settle(200)
        gone.cancel()
        await pass_time(clock)

        assert [names for names, _, _ in engine.runs] == [["stays"]]
        stays.cancel()


async def test_documents_are_fetched_when_their_turn_comes(clock: FakeClock) -> None:
    """10,000 that wait do not hold 10,000 documents, and big ones make small batches."""
    engine = Engine()
    engine.at_once = True
    fetched: list[str] = []
    document = b"x" * (MAX_BATCH_BYTES // 16)

    def request(name: str) -> Request:
        async def fetch() -> bytes:
            fetched.append(name)
            return document

        return Request(name, "ConfigMap", fetch)

    async with auditing(engine=engine, clock=clock, settings=cores(1)) as auditor:
        waiting = [
            asyncio.create_task(auditor.audit(request(f"ConfigMap/{n}"), urgent=False)) for n in range(40)
        ]
        await settle(200)
        assert fetched == []

        await pass_time(clock)

        assert [await one for one in waiting] == [PASSED] * 40
        assert [len(names) for names, _, _ in engine.runs] == [16, 16, 8]
        assert len(fetched) == 40


async def test_failed_fetch_is_its_own_subjects_error(clock: FakeClock) -> None:
    engine = Engine()
    engine.at_once = True

    async def fail() -> bytes:
        raise LookupError("gone")

    async with auditing(engine=engine, clock=clock) as auditor:
        bad = asyncio.create_task(auditor.audit(Request("bad", "Role", fail), urgent=True))
        good = asyncio.create_task(auditor.audit(Subject("good", "Role", b"{}"), urgent=True))
        await pass_time(clock)

        assert await good == PASSED
        with pytest.raises(LookupError, match="gone"):
            await bad


async def test_who_waits_at_the_end_is_told(clock: FakeClock) -> None:
    """Those in a batch and those before it; nobody waits for ever."""
    engine = Engine()
    async with auditing(engine=engine, clock=clock, settings=cores(1)) as auditor:
        waiting = asyncio.create_task(audit_all(auditor, subjects(MAX_BATCH + 10)))
        await pass_time(clock)
        assert len(engine.runs) == 1

    outcomes = await waiting
    assert all(isinstance(one, AuditError) and one.everyone for one in outcomes)


async def test_metrics_tell_of_batches(clock: FakeClock) -> None:
    engine = Engine()
    engine.at_once = True
    registry = CollectorRegistry()
    async with auditing(engine=engine, clock=clock, registry=registry) as auditor:
        waiting = asyncio.create_task(audit_all(auditor, subjects(10)))
        await settle(200)
        assert registry.get_sample_value("trivyop_audits_waiting") == 10
        await pass_time(clock)
        await waiting

    assert registry.get_sample_value("trivyop_audits_waiting") == 0
    assert registry.get_sample_value("trivyop_audit_batches_total", {"result": "done"}) == 1
    assert registry.get_sample_value("trivyop_audits_failed", {"reason": "timeout"}) == 0
