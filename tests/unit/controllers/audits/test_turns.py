"""Turns: who is urgent, who waits, and that nobody waits for ever."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivyop.control.queue import Priority
from trivyop.controllers.audits.turns import Turns


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
    turns = Turns[str](2, queue.add)

    for n in range(100):
        turns.add(f"role-{n}", "Role")
    turns.add("service", "Service")

    urgent = [key for key, priority in queue.added if priority is Priority.USER]
    assert urgent[0] == "role-0"
    assert urgent[-1] == "service"
    assert len(urgent) < 50
    assert turns.is_urgent("service")
    assert not turns.is_urgent("role-99")


def test_flow_is_urgent_again_once_it_was_served(queue: Queue) -> None:
    turns = Turns[str](2, queue.add)
    for n in range(100):
        turns.add(f"role-{n}", "Role")
    for n in range(100):
        turns.served(f"role-{n}")

    turns.add("role-5", "Role")

    assert queue.added[-1] == ("role-5", Priority.USER)


def test_urgent_key_that_is_told_of_again_takes_no_further_room(queue: Queue) -> None:
    turns = Turns[str](2, queue.add)
    for _ in range(100):
        turns.add("role", "Role")

    turns.add("other", "Role")

    assert turns.is_urgent("other")


def test_slot_that_is_given_back_brings_the_next_one(queue: Queue) -> None:
    turns = Turns[str](1, queue.add)
    assert turns.take("a")
    assert turns.take("a")
    assert not turns.take("b")
    assert not turns.take("c")

    turns.served("a")

    assert queue.added == [("b", Priority.BACKLOG)]
    assert turns.take("b")
    assert turns.waiting == 1


def test_key_that_is_served_does_not_wait_any_more(queue: Queue) -> None:
    turns = Turns[str](1, queue.add)
    turns.take("a")
    turns.take("b")

    turns.served("b")
    turns.served("a")

    assert queue.added == []


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.booleans())), st.integers(1, 3))
def test_whoever_waits_for_a_slot_comes_back_when_all_others_are_done(
    steps: list[tuple[str, bool]], slots: int
) -> None:
    queue = Queue()
    turns = Turns[str](slots, queue.add)
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
