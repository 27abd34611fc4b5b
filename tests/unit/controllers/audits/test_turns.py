"""Turns: who is urgent, who waits, and that nobody waits for ever."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.clock import FakeClock
from trivyop.control.queue import Priority
from trivyop.controllers.audits.turns import BURST, BURST_SECONDS, URGENT_PER_FLOW, Turns


class Queue:
    """What was put into the work queue."""

    def __init__(self) -> None:
        self.added: list[tuple[str, Priority]] = []

    def add(self, key: str, priority: Priority) -> None:
        self.added.append((key, priority))


@pytest.fixture
def queue() -> Queue:
    return Queue()


def test_first_of_a_flow_are_urgent_and_the_rest_is_backlog(queue: Queue) -> None:
    """Ten thousand Roles arrive at once; a Service that somebody changes meanwhile does not wait for them."""
    turns = Turns[str](2, queue.add, FakeClock())

    for n in range(BURST - 1):
        turns.add(f"role-{n}", "Role")
    turns.add("service", "Service")

    urgent = [key for key, priority in queue.added if priority is Priority.USER]
    assert urgent[0] == "role-0"
    assert urgent[-1] == "service"
    assert len(urgent) == URGENT_PER_FLOW + 1
    assert turns.is_urgent("service")
    assert not turns.is_urgent("role-90")


def test_burst_is_backlog_as_a_whole(queue: Queue) -> None:
    """Nobody creates so many by hand; its first ones must not take the place of what somebody did."""
    turns = Turns[str](2, queue.add, FakeClock())
    turns.add("role-0", "Role")
    turns.add("service", "Service")
    assert turns.is_urgent("role-0")

    for n in range(BURST):
        turns.add(f"role-{n}", "Role")

    assert not any(turns.is_urgent(f"role-{n}") for n in range(BURST))
    assert turns.is_urgent("service")


def test_flow_is_no_burst_if_it_takes_its_time(queue: Queue) -> None:
    clock = FakeClock()
    turns = Turns[str](2, queue.add, clock)
    for n in range(BURST * 3):
        turns.add(f"role-{n}", "Role")
        clock.advance(BURST_SECONDS / (BURST - 1) + 0.001)

    assert turns.is_urgent("role-0")


def test_flow_is_urgent_again_when_its_burst_is_over(queue: Queue) -> None:
    """Ten thousand still wait, and somebody makes one more."""
    clock = FakeClock()
    turns = Turns[str](2, queue.add, clock)
    for n in range(BURST * 3):
        turns.add(f"role-{n}", "Role")
    clock.advance(BURST_SECONDS + 0.1)

    turns.add("mine", "Role")

    assert turns.is_urgent("mine")


def test_what_was_urgent_has_a_slot_when_it_is_not_any_more(queue: Queue) -> None:
    """It may be in hand: then it is one of the backlog's that are."""
    turns = Turns[str](1, queue.add, FakeClock())
    for n in range(BURST):
        turns.add(f"role-{n}", "Role")

    assert turns.take("role-0")
    assert not turns.take(f"role-{URGENT_PER_FLOW + 1}")
    for n in range(URGENT_PER_FLOW):
        turns.served(f"role-{n}")
    assert queue.added[-1] == (f"role-{URGENT_PER_FLOW}", Priority.BACKLOG)


def test_key_that_is_told_of_while_in_hand_stays_urgent(queue: Queue) -> None:
    """Somebody changes a thing twice, and waits for the second change as for the first."""
    turns = Turns[str](1, queue.add, FakeClock())
    turns.add("service", "Service")
    turns.taken("service")
    turns.add("service", "Service")
    turns.served("service")
    assert turns.is_urgent("service")

    turns.taken("service")
    turns.served("service")
    assert not turns.is_urgent("service")


def test_flow_is_urgent_again_once_it_was_served(queue: Queue) -> None:
    turns = Turns[str](2, queue.add, FakeClock())
    for n in range(URGENT_PER_FLOW * 2):
        turns.add(f"role-{n}", "Role")
    for n in range(URGENT_PER_FLOW * 2):
        turns.served(f"role-{n}")

    turns.add("role-5", "Role")

    assert queue.added[-1] == ("role-5", Priority.USER)


def test_urgent_key_that_is_told_of_again_takes_no_further_room(queue: Queue) -> None:
    turns = Turns[str](2, queue.add, FakeClock())
    for _ in range(100):
        turns.add("role", "Role")

    turns.add("other", "Role")

    assert turns.is_urgent("other")


def test_slot_that_is_given_back_brings_the_next_one(queue: Queue) -> None:
    turns = Turns[str](1, queue.add, FakeClock())
    assert turns.take("a")
    assert turns.take("a")
    assert not turns.take("b")
    assert not turns.take("c")

    turns.served("a")

    assert queue.added == [("b", Priority.BACKLOG)]
    assert turns.take("b")
    assert turns.waiting == 1


def test_key_that_is_served_does_not_wait_any_more(queue: Queue) -> None:
    turns = Turns[str](1, queue.add, FakeClock())
    turns.take("a")
    turns.take("b")

    turns.taken("b")
    turns.served("b")
    turns.served("a")

    assert queue.added == []


def test_backlog_without_a_slot_is_not_in_the_queue(queue: Queue) -> None:
    """Ten thousand workers' turns, to find out that there is nothing to do yet, would hold up all others."""
    turns = Turns[str](2, queue.add, FakeClock())
    for n in range(5):
        turns.add_later(f"role-{n}")
    assert [key for key, _ in queue.added] == ["role-0", "role-1"]

    for n in range(5):
        turns.taken(f"role-{n}")
        turns.served(f"role-{n}")

    assert [key for key, _ in queue.added] == [f"role-{n}" for n in range(5)]
    assert turns.waiting == 0


def test_key_of_the_backlog_that_is_told_of_while_in_hand_comes_round_again(queue: Queue) -> None:
    turns = Turns[str](1, queue.add, FakeClock())
    turns.add_later("role")
    turns.add_later("other")
    turns.taken("role")
    turns.add_later("role")
    turns.served("role")

    assert queue.added == [
        ("role", Priority.BACKLOG),
        ("role", Priority.BACKLOG),
        ("other", Priority.BACKLOG),
    ]


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.booleans())), st.integers(1, 3))
def test_whoever_waits_for_a_slot_comes_back_when_all_others_are_done(
    steps: list[tuple[str, bool]], slots: int
) -> None:
    queue = Queue()
    turns = Turns[str](slots, queue.add, FakeClock())
    refused: set[str] = set()
    holders: set[str] = set()
    for key, take in steps:
        if take:
            if turns.take(key):
                holders.add(key)
                refused.discard(key)
            else:
                refused.add(key)
        else:
            turns.taken(key)
            turns.served(key)
            holders.discard(key)
            refused.discard(key)
        assert len(holders) <= slots

    for key in sorted(holders):
        turns.served(key)
    for key, _ in queue.added:
        if key in refused and turns.take(key):
            refused.discard(key)
            turns.served(key)

    assert not refused
