"""A batch is settled whatever spoils it, and who spoils it is named; with an engine that fails to order."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.clock import FakeClock
from tests.clock import settle as turns
from tests.unit.audit.running import Unprepared, audit_all, audit_settings, auditing
from trivyop.audit.engine import AuditError, AuditFailure, Batch, Crash, Outcome, Subject
from trivyop.audit.policies import CustomPolicy, Module, Policies, PolicyProblem
from trivyop.audit.splitting import MAX_CULPRITS, Settlement
from trivyop.report.checks import Check
from trivyop.report.findings import Severity
from trivyop.trivy.process import Brake


def passed(check_id: str) -> Check:
    return Check(check_id, "", "", "", Severity.LOW, True, "")


def policy(name: str) -> CustomPolicy:
    return CustomPolicy(name, Module(f"policy.{name}.rego", f"package trivyoperator.{name}"), frozenset("*"))


def subjects(count: int) -> list[Subject]:
    return [Subject(f"Role/shop/{n}", "Role", b"{}") for n in range(count)]


class Engine(Unprepared):
    """Every subject passes ``BUILTIN`` and each policy, but for what is told to fail."""

    def __init__(self) -> None:
        self.runs: list[list[str]] = []
        self.failures: list[Exception] = []  # of the next runs
        self.most = 1000  # subjects that there is memory for
        self.before_run: Callable[[], Awaitable[object]] = lambda: asyncio.sleep(0)
        self.hangs: Callable[[str, Policies], bool] = lambda _name, _policies: False
        self.crashes: Callable[[str, str], bool] = lambda _name, _check: False

    async def audit(
        self,
        subjects: Sequence[Subject],
        policies: Policies,
        *,
        cluster_version: str,
        urgent: bool,
        brake: Brake,
    ) -> Batch:
        names = [subject.name for subject in subjects]
        self.runs.append(names)
        await self.before_run()
        if self.failures:
            raise self.failures.pop(0)
        if len(names) > self.most:
            raise AuditError(AuditFailure.MEMORY, "exit code 137")
        if any(self.hangs(name, policies) for name in names):
            raise AuditError(AuditFailure.TIMEOUT, "took more than 60 s")
        checks = {"BUILTIN": "builtin.rego"} | {one.name: one.module.key for one in policies.custom}
        crashed = [file for file in checks.values() if any(self.crashes(name, file) for name in names)]
        outcome = tuple(passed(check) for check, file in checks.items() if file not in crashed)
        return Batch(dict.fromkeys(names, outcome), tuple(Crash(file, "conflict") for file in crashed))

    def is_learned(self, kind: str, policies: Policies, *, cluster_version: str) -> bool:
        return True

    async def version(self) -> str:
        return "1.0.0"

    async def examine(self, policies: Policies) -> tuple[Policies, tuple[PolicyProblem, ...]]:
        return policies, ()


class Heard:
    """What the settlement told."""

    def __init__(self) -> None:
        self.outcomes: dict[str, Outcome | AuditError] = {}
        self.crashes: list[tuple[str, str]] = []
        self.given_up: list[str] = []

    def settled(self, name: str, outcome: Outcome | AuditError) -> None:
        assert name not in self.outcomes
        self.outcomes[name] = outcome

    def crashed(self, name: str, crash: Crash) -> None:
        self.crashes.append((name, crash.check))

    def unusable(self, policy: CustomPolicy, message: str) -> None:
        self.given_up.append(policy.name)

    def ids(self, name: str) -> set[str]:
        outcome = self.outcomes[name]
        return set() if isinstance(outcome, AuditError) else {check.id for check in outcome}


async def settle(engine: Engine, batch: list[Subject], *custom: CustomPolicy) -> Heard:
    heard = Heard()
    await Settlement(engine, Policies(custom), heard, cluster_version="", urgent=False, brake=Brake()).settle(
        batch
    )
    return heard


@given(
    count=st.integers(1, 60),
    hanging=st.sets(st.integers(0, 59), max_size=3),
    crashing=st.sets(st.integers(0, 59), max_size=MAX_CULPRITS - 1),
)
async def test_everyone_but_the_culprits_has_all_results(
    count: int, hanging: set[int], crashing: set[int]
) -> None:
    """Wherever they stand in the batch."""
    engine = Engine()
    engine.hangs = lambda name, _: int(name.rpartition("/")[2]) in hanging
    engine.crashes = lambda name, file: file == "builtin.rego" and int(name.rpartition("/")[2]) in crashing

    heard = await settle(engine, subjects(count), policy("team"))

    for number, subject in enumerate(subjects(count)):
        if number in hanging:
            assert isinstance(heard.outcomes[subject.name], AuditError)
        elif number in crashing:
            assert heard.ids(subject.name) == {"team"}
        else:
            assert heard.ids(subject.name) == {"BUILTIN", "team"}
    assert {name for name, _ in heard.crashes} == {
        f"Role/shop/{number}" for number in crashing - hanging if number < count
    }


async def test_one_culprit_among_500_is_found_in_few_runs() -> None:
    """Halving: each half that is fine is done with."""
    engine = Engine()
    engine.hangs = lambda name, _: name == "Role/shop/333"

    heard = await settle(engine, subjects(500))

    assert [name for name, one in heard.outcomes.items() if isinstance(one, AuditError)] == ["Role/shop/333"]
    assert len(engine.runs) <= 20


async def test_policy_that_hangs_is_given_up_and_the_others_are_evaluated() -> None:
    engine = Engine()
    engine.hangs = lambda _, policies: any(one.name == "loop" for one in policies.custom)

    heard = await settle(engine, subjects(100), policy("a"), policy("b"), policy("loop"), policy("c"))

    assert heard.given_up == ["loop"]
    assert all(heard.ids(subject.name) == {"BUILTIN", "a", "b", "c"} for subject in subjects(100))
    assert len(engine.runs) <= 10


@pytest.mark.parametrize("count", [1, 100])
@pytest.mark.parametrize("names", [["a"], ["a", "b", "c"]])
async def test_no_policy_is_given_up_for_what_happened_once(count: int, names: list[str]) -> None:
    """A run that is killed, or slow for a moment; all have all results nevertheless."""
    engine = Engine()
    engine.failures = [AuditError(AuditFailure.TIMEOUT, "took more than 60 s")]

    heard = await settle(engine, subjects(count), *map(policy, names))

    assert heard.given_up == []
    assert all(heard.ids(subject.name) == {"BUILTIN", *names} for subject in subjects(count))
    assert len(engine.runs) <= 3


@pytest.mark.parametrize("count", [1, 100])
async def test_nobody_is_blamed_when_there_are_no_more_files(count: int) -> None:
    """One run shows it, for all: more of them, to find who is guilty, would fail as well."""
    engine = Engine()
    engine.failures = [OSError(errno.EMFILE, "Too many open files") for _ in range(100)]

    heard = await settle(engine, subjects(count), policy("a"), policy("b"))

    assert heard.given_up == []
    assert len(engine.runs) == 1
    assert all(isinstance(one, AuditError) and one.everyone for one in heard.outcomes.values())


async def test_resource_is_not_blamed_for_being_slow_once() -> None:
    """The machine had other things to do."""
    engine = Engine()
    engine.failures = [AuditError(AuditFailure.TIMEOUT, "took more than 60 s")]

    heard = await settle(engine, subjects(1))

    assert heard.ids("Role/shop/0") == {"BUILTIN"}
    assert len(engine.runs) == 2


@pytest.mark.parametrize("names", [[], ["a"]])
async def test_resource_that_is_slow_again_is_blamed(names: list[str]) -> None:
    engine = Engine()
    engine.hangs = lambda _name, _policies: True

    heard = await settle(engine, subjects(1), *map(policy, names))

    failed = heard.outcomes["Role/shop/0"]
    assert isinstance(failed, AuditError)
    assert (failed.reason, failed.everyone) == (AuditFailure.TIMEOUT, False)
    assert heard.given_up == []
    assert len(engine.runs) == 2 + len(names)


@pytest.mark.parametrize("count", [1, 100])
async def test_policies_that_fail_together_only_cost_no_other_results(count: int) -> None:
    engine = Engine()
    engine.hangs = lambda _, policies: len(policies.custom) > 1

    heard = await settle(engine, subjects(count), policy("a"), policy("b"))

    assert sorted(heard.given_up) == ["a", "b"]
    assert all(heard.ids(subject.name) == {"BUILTIN"} for subject in subjects(count))


async def test_policies_that_are_too_slow_for_a_large_batch_are_kept() -> None:
    """Each is in time, all of them are with half of the batch."""
    engine = Engine()
    engine.hangs = lambda _, policies: len(policies.custom) * len(engine.runs[-1]) > 100

    heard = await settle(engine, subjects(50), policy("a"), policy("b"), policy("c"))

    assert heard.given_up == []
    assert all(heard.ids(subject.name) == {"BUILTIN", "a", "b", "c"} for subject in subjects(50))


async def test_batch_that_memory_is_too_small_for_is_halved_and_nobody_is_to_blame() -> None:
    engine = Engine()
    engine.most = 100

    heard = await settle(engine, subjects(500), policy("a"), policy("b"))

    assert heard.given_up == []
    assert all(heard.ids(subject.name) == {"BUILTIN", "a", "b"} for subject in subjects(500))
    assert len(engine.runs) <= 15


async def test_want_of_memory_for_anything_is_no_subjects_fault() -> None:
    """Two may be too large by themselves; then it is not believed any more, and not tried 500 times."""
    engine = Engine()
    engine.most = 0

    heard = await settle(engine, subjects(500), policy("a"))

    errors = [one for one in heard.outcomes.values() if isinstance(one, AuditError)]
    assert len(errors) == 500
    assert [one.everyone for one in errors].count(False) < MAX_CULPRITS
    assert heard.given_up == []
    assert len(engine.runs) <= 30


async def test_policy_that_takes_all_memory_is_given_up() -> None:
    """It is known by a subject that is well without it."""
    engine = Engine()
    audit = engine.audit

    async def devouring(subjects: Sequence[Subject], policies: Policies, **more: Any) -> Batch:
        engine.most = 0 if policies.custom else 1000
        return await audit(subjects, policies, **more)

    engine.audit = devouring  # type: ignore[method-assign]
    heard = await settle(engine, subjects(100), policy("bad"))

    assert heard.given_up == ["bad"]
    assert all(heard.ids(subject.name) == {"BUILTIN"} for subject in subjects(100))


async def test_policy_that_crashes_everywhere_is_given_up_soon() -> None:
    """It is not looked for the last of 500 resources that it crashes on."""
    engine = Engine()
    engine.crashes = lambda _, file: file == "policy.bad.rego"

    heard = await settle(engine, subjects(500), policy("good"), policy("bad"))

    assert heard.given_up == ["bad"]
    assert len(heard.crashes) == MAX_CULPRITS
    assert all(heard.ids(subject.name) == {"BUILTIN", "good"} for subject in subjects(500))
    assert len(engine.runs) <= 30


async def test_no_room_is_nobodys_fault() -> None:
    """Every subject gets the error, and nothing is tried in halves."""
    engine = Engine()

    async def no_room(*_args: object, **_more: object) -> Batch:
        engine.runs.append([])
        raise AuditError(AuditFailure.SCANNER, "no room", everyone=True)

    engine.audit = no_room  # type: ignore[method-assign]
    heard = await settle(engine, subjects(100), policy("a"))

    assert len(engine.runs) == 1
    assert all(isinstance(one, AuditError) for one in heard.outcomes.values())
    assert heard.given_up == []


async def test_fixed_policy_is_not_given_up_for_what_it_was(clock: FakeClock) -> None:
    """A batch that began before the change hangs, and says so after it."""
    engine = Engine()
    changed = asyncio.Event()
    engine.hangs = lambda _, policies: any("loop" in one.module.text for one in policies.custom)
    engine.before_run = changed.wait
    config = {"policy.a.kinds": "*", "policy.a.rego": "package trivyoperator.a\n# loop"}
    async with auditing(config, engine=engine, clock=clock) as auditor:
        waiting = asyncio.create_task(audit_all(auditor, subjects(3)))
        await clock.elapse(1)
        assert len(engine.runs) == 1
        auditor.set_policies(config | {"policy.a.rego": "package trivyoperator.a"})
        await turns(200)
        changed.set()
        await waiting

        assert [one.name for one in auditor.policies.custom] == ["a"]
        assert auditor.problems == ()


async def test_culprit_is_alone_the_next_time() -> None:
    """It does not split every batch that it comes in."""
    engine = Engine()
    engine.hangs = lambda name, _: name == "Role/shop/7"
    async with auditing(engine=engine, settings=audit_settings(OPERATOR_AUDIT_PROCESSES="1")) as auditor:
        await audit_all(auditor, subjects(20))
        engine.runs.clear()

        outcomes = await audit_all(auditor, subjects(20))

        assert sorted(map(len, engine.runs)) == [1, 1, 19]
        assert [isinstance(one, AuditError) for one in outcomes].count(True) == 1


async def test_culprit_that_is_well_again_comes_with_the_others() -> None:
    engine = Engine()
    engine.hangs = lambda name, _: name == "Role/shop/7"
    async with auditing(engine=engine, settings=audit_settings(OPERATOR_AUDIT_PROCESSES="1")) as auditor:
        await audit_all(auditor, subjects(20))
        engine.hangs = lambda _name, _policies: False
        await audit_all(auditor, subjects(20))
        engine.runs.clear()

        await audit_all(auditor, subjects(20))

        assert list(map(len, engine.runs)) == [20]


async def test_problem_of_a_check_is_named_until_it_is_well() -> None:
    engine = Engine()
    engine.crashes = lambda name, _file: name == "Role/shop/3"
    async with auditing(engine=engine) as auditor:
        await audit_all(auditor, subjects(10))
        assert auditor.problems == (PolicyProblem("builtin.rego", "crashed on Role/shop/3: conflict"),)

        engine.crashes = lambda _name, _file: False
        await audit_all(auditor, subjects(10))

        assert auditor.problems == ()


@pytest.mark.parametrize("gone", [True, False])
async def test_subject_that_is_gone_has_no_problem_any_more(gone: bool) -> None:
    engine = Engine()
    engine.crashes = lambda name, _file: name == "Role/shop/3"
    async with auditing(engine=engine) as auditor:
        await audit_all(auditor, subjects(10))
        if gone:
            auditor.forget("Role/shop/3")
        assert bool(auditor.problems) is not gone
