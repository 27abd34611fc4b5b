"""The gate of a namespace in which pods of scans do not start."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.clock import FakeClock
from trivyop.control.queue import Priority
from trivyop.controllers.images.startgates import StartGates
from trivyop.trivy.failures import Failure, FailureClass, failure

QUOTA = failure(FailureClass.ADMISSION, "exceeded quota")
SELECTOR = failure(FailureClass.UNSCHEDULABLE, "0/1 nodes are available")
HERE = "trivy-system"


class World:
    """Gates, and scans that start as soon as they are called."""

    def __init__(self, clock: FakeClock, *, limit: int = 10) -> None:
        self.clock = clock
        self.tries: list[str] = []
        self.running: set[str] = set()
        self.wanting: set[str] = set()
        self.called: list[str] = []
        self.gates = StartGates(clock, random.Random(1), limit, lambda scan, _: self.called.append(scan))
        self.limit = limit

    def want(self, *scans: str) -> None:
        self.wanting.update(scans)
        for scan in scans:
            self.start(scan)

    def start(self, scan: str) -> None:
        if scan in self.wanting and self.gates.may_start(scan, HERE, Priority.BACKLOG):
            self.tries.append(scan)
            self.running.add(scan)

    def serve(self, outcome: Callable[[str], Failure | None]) -> None:
        """Let what runs start, or fail; then start what was called, until there is nothing more to do."""
        while self.running or self.called:
            for scan in sorted(self.running):
                self.running.discard(scan)
                why = outcome(scan)
                if why is None:
                    self.wanting.discard(scan)
                    self.gates.started(scan, HERE)
                    self.gates.made_room(HERE)
                else:
                    self.gates.failed(scan, HERE, why)
            called, self.called = self.called, []
            for scan in called:
                self.start(scan)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def test_one_scan_tries_for_a_thousand(clock: FakeClock) -> None:
    world = World(clock)
    world.want("first")
    world.serve(lambda _: QUOTA)

    world.want(*(f"scan-{number:04}" for number in range(1000)))
    assert world.tries == ["first"]
    for _ in range(60):
        clock.advance(60)
        world.serve(lambda _: QUOTA)

    assert 10 < len(world.tries) < 30, "within an hour"
    assert len(set(world.tries)) == len(world.tries), "it is another one each time"


def test_all_others_follow_when_one_has_started(clock: FakeClock) -> None:
    world = World(clock)
    world.want("first")
    world.serve(lambda _: QUOTA)
    world.want(*(f"scan-{number:04}" for number in range(1000)))

    clock.advance(15)
    world.serve(lambda _: None)

    assert not world.wanting
    assert world.gates.why(HERE) is None


def test_after_one_has_started_they_come_by_twos_and_fours_not_all_at_once(clock: FakeClock) -> None:
    gates_called: list[str] = []
    gates = StartGates(clock, random.Random(1), 10, lambda scan, _: gates_called.append(scan))
    gates.failed("a", HERE, QUOTA)
    for scan in "bcdefghijklmnopq":
        assert not gates.may_start(scan, HERE, Priority.BACKLOG)
    clock.advance(15)
    counts: list[int] = []
    while gates.why(HERE) is not None:
        counts.append(len(gates_called))
        round_, gates_called[:] = list(gates_called), []
        for scan in round_:
            gates.started(scan, HERE)

    assert counts[0] == 1
    assert counts == sorted(counts)


def test_first_try_after_a_failure_comes_within_fifteen_seconds_later_ones_within_five_minutes(
    clock: FakeClock,
) -> None:
    world = World(clock)
    world.want("a")
    world.serve(lambda _: QUOTA)
    times: list[float] = []
    for _ in range(2000):
        clock.advance(1)
        before = len(world.tries)
        world.serve(lambda _: QUOTA)
        times += [clock.monotonic()] * (len(world.tries) - before)

    assert 12 <= times[0] <= 15
    waits = [after - before for before, after in itertools.pairwise(times)]
    assert max(waits) <= 301


def test_scans_that_fail_together_are_one_try(clock: FakeClock) -> None:
    world = World(clock)
    for scan in "abcdefgh":
        world.gates.failed(scan, HERE, QUOTA)

    clock.advance(15)

    assert world.called == ["a"]


def test_job_that_ends_makes_room_for_a_try_at_once(clock: FakeClock) -> None:
    world = World(clock)
    world.want("a", "b")
    world.gates.failed("a", HERE, QUOTA)
    world.running.clear()

    world.gates.made_room(HERE)

    assert world.called == ["a"]


def test_node_that_changes_is_tried_at_once_unless_admission_refuses(clock: FakeClock) -> None:
    for why, called in ((SELECTOR, ["a"]), (QUOTA, [])):
        world = World(clock)
        world.want("a")
        world.gates.failed("a", HERE, why)

        world.gates.nodes_changed()

        assert world.called == called


def test_scan_that_leaves_is_followed_by_another(clock: FakeClock) -> None:
    world = World(clock)
    world.want("a", "b")
    world.gates.failed("a", HERE, QUOTA)
    world.gates.failed("b", HERE, QUOTA)
    clock.advance(400)
    assert world.called == ["a"]

    world.gates.leave("a")

    assert world.called == ["a", "b"]


def test_gate_that_nobody_waits_at_is_open(clock: FakeClock) -> None:
    world = World(clock)
    world.want("a")
    world.gates.failed("a", HERE, QUOTA)

    world.gates.leave("a")

    assert world.gates.why(HERE) is None
    assert clock.pending == 0


def test_other_namespaces_are_not_held_back(clock: FakeClock) -> None:
    world = World(clock)
    world.gates.failed("a", HERE, QUOTA)

    assert world.gates.may_start("b", "elsewhere", Priority.BACKLOG)


def test_what_a_former_life_found_is_tried_at_once_by_one(clock: FakeClock) -> None:
    world = World(clock)
    for scan in "abc":
        world.gates.failed_before(scan, HERE, QUOTA)

    assert world.called == ["a"]
    assert world.gates.lets_through("a")
    assert not world.gates.lets_through("b")


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["want", "fail", "start", "leave", "wait", "room"]), st.sampled_from("abcdef")
        ),
        max_size=40,
    )
)
def test_whoever_waits_is_called_in_the_end(steps: list[tuple[str, str]]) -> None:
    """Whatever happens before: once pods start again, and time passes, nobody is left behind."""
    clock = FakeClock()
    world = World(clock, limit=3)
    for step, scan in steps:
        match step:
            case "want":
                world.want(scan)
            case "fail" if scan in world.running:
                world.running.discard(scan)
                world.gates.failed(scan, HERE, QUOTA)
            case "start" if scan in world.running:
                world.running.discard(scan)
                world.wanting.discard(scan)
                world.gates.started(scan, HERE)
            case "leave" if scan not in world.running:
                world.wanting.discard(scan)
                world.gates.leave(scan)
            case "wait":
                clock.advance(20)
            case "room":
                world.gates.made_room(HERE)
            case _:
                pass
    for _ in range(3):
        world.serve(lambda _: None)
        clock.advance(400)

    assert not world.wanting
