"""A Trivy kept ready: it says the same as one that is started for a run, and there is never more than one."""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from tests.clock import FakeClock
from tests.unit.audit.running import audit_settings, pod, subject_of
from trivyop.audit.engine import AuditError, AuditFailure, Outcome, Subject
from trivyop.audit.parsing import parse_policies
from trivyop.audit.policies import Policies
from trivyop.audit.standby import PATIENCE_SECONDS, PIPE, POLL_SECONDS, RETRY_SECONDS, Standby, Wish
from trivyop.audit.trivyengine import TrivyEngine
from trivyop.sandbox.programs import trivy
from trivyop.trivy.process import Brake, Completed

KEPT_SECONDS = 300
SECRETS = {"apiGroups": [""], "resources": ["secrets"], "verbs": ["*"]}
ROLE = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "Role",
    "metadata": {"name": "reader", "namespace": "shop"},
    "rules": [SECRETS],
}
SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "web", "namespace": "shop"},
    "spec": {"externalIPs": ["1.2.3.4"], "ports": [{"port": 80}]},
}
SUBJECTS = [pod("web"), subject_of(ROLE), subject_of(SERVICE)]
CUSTOM = """\
package trivyoperator.mine

__rego_metadata__ := {"id": "MINE-1", "title": "Mine", "severity": "LOW"}

deny[res] {
    input.kind == "Role"
    res := {"msg": "a role"}
}
"""
MINE, _ = parse_policies({"policy.mine.rego": CUSTOM, "policy.mine.kinds": "Role"})


class Place:
    """An engine that keeps a Trivy ready, and what that one does."""

    def __init__(self, directory: Path, clock: FakeClock) -> None:
        self.clock = clock
        self._directory = directory
        self.changes = 0
        self.engine = TrivyEngine(audit_settings(OPERATOR_TRIVY_PROGRAM=str(directory / "trivy")))
        self.program(f'exec {trivy()} "$@"')

    def program(self, script: str) -> None:
        """What Trivy does; each start is recorded by its process id."""
        program = self._directory / "new"
        program.write_text(f"#!/bin/sh\necho $$ >> {self._directory}/starts\n{script}\n")
        program.chmod(0o755)
        program.rename(self._directory / "trivy")

    @property
    def starts(self) -> list[int]:
        """Process ids of all that were started, in order."""
        try:
            return [int(line) for line in (self._directory / "starts").read_text().split()]
        except FileNotFoundError:
            return []

    def told(self) -> None:
        self.changes += 1

    def wish(self, policies: Policies | None = None) -> None:
        self.engine.prepare(policies or Policies(), cluster_version="")

    async def until_started(self, count: int = 1) -> int:
        """The process id of the newest, when there were so many."""
        await self.until(lambda: len(self.starts) >= count)
        return self.starts[-1]

    async def until_ready(self) -> None:
        await self.until(lambda: self.engine.preparing)
        await self.until(lambda: not self.engine.preparing)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not condition():
                await self.clock.elapse(POLL_SECONDS / 20)
                await asyncio.sleep(0.005)

    async def audit(
        self, *subjects: Subject, policies: Policies | None = None, urgent: bool = True
    ) -> dict[str, Outcome | AuditError]:
        batch, _ = await self.engine.run(
            subjects or SUBJECTS, policies or Policies(), urgent=urgent, brake=Brake()
        )
        return dict(batch.outcomes)


@asynccontextmanager
async def place(directory: Path, clock: FakeClock) -> AsyncGenerator[Place]:
    here = Place(directory, clock)
    keeping = asyncio.create_task(here.engine.keep_ready(clock, here.told))
    try:
        yield here
    finally:
        keeping.cancel()
        with suppress(asyncio.CancelledError):
            await keeping


@pytest.fixture
async def here(tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[Place]:
    runs = tmp_path / "runs"
    runs.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(runs))
    async with place(tmp_path, clock) as one:
        yield one
    assert not [process for process in one.starts if is_running(process)]
    assert list(runs.iterdir()) == []


def ids(outcomes: dict[str, Outcome | AuditError]) -> set[str]:
    return {check.id for outcome in outcomes.values() if isinstance(outcome, tuple) for check in outcome}


def is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


async def test_one_that_was_ready_says_what_any_other_says(here: Place) -> None:
    """Twice in a row, because the next has to be as good."""
    cold = await here.audit(urgent=False)
    assert len(ids(cold)) > 10
    for n in range(2):
        here.wish()
        await here.until_ready()
        before = here.starts
        assert len(before) == 2 + n

        assert await here.audit() == cold
        assert here.starts[: len(before)] == before


async def test_none_is_started_for_a_run_that_has_one(here: Place) -> None:
    here.wish()
    await here.until_ready()

    await here.audit()

    await here.until(lambda: len(here.starts) == 2)  # for the next
    assert here.changes >= 2


async def test_one_that_loads_for_too_long_is_as_good(here: Place) -> None:
    """Wherever it is by then: the resources are there before it looks for them."""
    cold = await here.audit(urgent=False)
    for seconds in (0.0, 0.01, 0.1, 0.5, 1.0):
        here.wish()
        await here.until(lambda: here.engine.preparing)
        await asyncio.sleep(seconds)
        await here.clock.elapse(PATIENCE_SECONDS)
        await here.until(lambda: not here.engine.preparing)

        assert await here.audit() == cold
        await here.clock.elapse(KEPT_SECONDS + 1)
        await here.until(lambda: not any(map(is_running, here.starts)))


async def test_runs_wait_for_their_turn_at_one_that_is_about_to_be_ready(here: Place) -> None:
    cold = await here.audit(urgent=False)
    here.wish()
    runs = [asyncio.create_task(here.audit()) for _ in range(3)]
    await here.until(lambda: all(run.done() for run in runs))

    assert [run.result() for run in runs] == [cold] * 3
    await here.until_ready()
    assert len(here.starts) == 1 + 3 + 1


async def test_runs_that_wait_for_one_that_fails_are_made_without(here: Place) -> None:
    here.program(f'if [ -p inputs/.git ]; then sleep 0.1; exit 3; fi; exec {trivy()} "$@"')
    here.wish()
    runs = [asyncio.create_task(here.audit()) for _ in range(2)]
    await here.until(lambda: all(run.done() for run in runs))

    assert all(isinstance(outcome, tuple) and outcome for run in runs for outcome in run.result().values())
    assert len(here.starts) == 1 + 2


async def test_custom_policies_are_loaded_as_well(here: Place) -> None:
    here.wish(MINE)
    await here.until_ready()

    outcomes = await here.audit(policies=MINE)

    assert "MINE-1" in ids(outcomes)
    assert len(ids(outcomes)) > 10


async def test_other_checks_than_those_wished_for_need_another(here: Place) -> None:
    here.wish()
    await here.until_ready()

    outcomes = await here.audit(policies=MINE)
    assert any(
        check.id == "MINE-1"
        for outcome in outcomes.values()
        if isinstance(outcome, tuple)
        for check in outcome
    )
    first = here.starts[0]
    assert is_running(first)

    here.wish(MINE)
    await here.until(lambda: not is_running(first))
    await here.until_ready()
    assert len(here.starts) == 3


async def test_none_is_kept_longer_than_the_settings_say(here: Place) -> None:
    here.wish()
    await here.until_ready()
    process = here.starts[0]

    await here.clock.elapse(KEPT_SECONDS / 2)
    here.wish()
    await here.clock.elapse(0)
    await here.clock.elapse(KEPT_SECONDS * 0.9)
    assert is_running(process)

    await here.clock.elapse(KEPT_SECONDS * 0.2)
    await here.until(lambda: not is_running(process))
    assert here.starts == [process]


async def test_one_that_was_killed_is_not_laid_to_what_is_audited_next(here: Place) -> None:
    here.wish()
    await here.until_ready()
    os.killpg(here.starts[0], signal.SIGKILL)

    outcomes = await here.audit()

    assert all(isinstance(outcome, tuple) and outcome for outcome in outcomes.values())


async def test_failure_of_one_that_was_kept_is_only_believed_of_another(here: Place, tmp_path: Path) -> None:
    cold = tmp_path / "cold"
    here.program(
        f"if [ -p inputs/.git ]; then cat inputs/.git; else touch {cold}; fi; echo FATAL poisoned >&2; exit 1"
    )
    here.wish()
    await here.until_ready()

    with pytest.raises(AuditError, match="poisoned"):
        await here.audit()

    assert cold.exists()


async def test_trivy_that_does_not_wait_is_not_tried_all_the_time(here: Place) -> None:
    here.program(f'[ -p inputs/.git ] && exit 3; exec {trivy()} "$@"')
    here.wish()
    await here.until_started()
    await here.until(lambda: not here.engine.preparing)

    outcomes = await here.audit()
    assert all(isinstance(outcome, tuple) and outcome for outcome in outcomes.values())
    here.wish()
    await here.clock.elapse(RETRY_SECONDS * 0.9)
    here.wish()
    await here.clock.elapse(0)
    assert len(here.starts) == 2

    await here.clock.elapse(RETRY_SECONDS * 0.2)
    here.wish()
    await here.until_started(3)


async def test_one_that_takes_long_to_load_holds_up_nothing(here: Place) -> None:
    here.program(f'[ -p inputs/.git ] && sleep 600; exec {trivy()} "$@"')
    here.wish()
    await here.until_started()
    assert here.engine.preparing

    await here.clock.elapse(PATIENCE_SECONDS + POLL_SECONDS)
    await here.until(lambda: not here.engine.preparing)
    assert here.changes == 2


async def test_one_that_hangs_at_a_resource_is_killed_at_the_deadline(
    here: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    here.program("cat inputs/.git; exec sleep 600")
    here.wish()
    await here.until_ready()
    monkeypatch.setattr(here.engine, "_deadline", lambda _count: 0.3)

    with pytest.raises(AuditError, match=r"took more than 0\.3 s") as caught:
        await here.audit()

    assert caught.value.reason is AuditFailure.TIMEOUT
    assert not is_running(here.starts[0])


async def test_run_that_is_cancelled_leaves_nothing(here: Place) -> None:
    """What the fixture finds at its end."""
    here.program("cat inputs/.git; exec sleep 600")
    here.wish()
    await here.until_ready()
    run = asyncio.create_task(here.audit())
    await asyncio.sleep(0.2)
    assert is_running(here.starts[0])

    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run

    assert not is_running(here.starts[0])


async def test_end_in_the_middle_of_ending_one_leaves_nothing(tmp_path: Path, clock: FakeClock) -> None:
    """As when the operator stops just when nobody has changed anything for long enough."""
    laid_out, told, gone = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def start(_wish: Wish, _directory: Path) -> Completed:
        laid_out.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            told.set()
            await gone.wait()
            raise
        raise AssertionError

    directories: list[Path] = []

    def lay_out(_wish: Wish, directory: Path) -> Path:
        directories.append(directory)
        return directory

    standby = Standby("trivy", start, lay_out=lay_out, keep_seconds=KEPT_SECONDS)
    keeping = asyncio.create_task(standby.run(clock, lambda: None))
    await asyncio.sleep(0)
    standby.wish(Wish(Policies(), ""))
    await laid_out.wait()
    reader = os.open(directories[0] / PIPE, os.O_RDONLY | os.O_NONBLOCK)
    await clock.elapse(KEPT_SECONDS + 1)
    await told.wait()

    for _ in range(2):
        keeping.cancel()
        await asyncio.wait((keeping,), timeout=0.05)
        assert not keeping.done()
        assert directories[0].exists()
    gone.set()
    with pytest.raises(asyncio.CancelledError):
        await keeping

    assert not directories[0].exists()
    assert os.read(reader, 1) == b""  # nobody holds the other end
    os.close(reader)


async def test_none_is_kept_if_none_shall_be(tmp_path: Path, clock: FakeClock) -> None:
    engine = TrivyEngine(
        audit_settings(OPERATOR_TRIVY_PROGRAM=str(tmp_path / "none"), OPERATOR_AUDIT_STANDBY="0s")
    )
    keeping = asyncio.create_task(engine.keep_ready(clock, lambda: None))
    engine.prepare(Policies(), cluster_version="")
    await clock.elapse(1)

    assert not engine.preparing
    assert clock.pending == 0
    keeping.cancel()


async def test_no_room_for_one_is_no_harm(
    here: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    here.wish()
    await here.until(lambda: not here.engine.preparing)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "runs"))

    outcomes = await here.audit()

    assert all(isinstance(outcome, tuple) and outcome for outcome in outcomes.values())
    assert len(here.starts) == 1
