"""Slots: the limit holds, nobody is forgotten, the better priority goes first."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from trivyop.control.queue import Priority
from trivyop.scan.slots import Slots


def make(limit: int) -> tuple[Slots, list[tuple[str, Priority]]]:
    told: list[tuple[str, Priority]] = []
    return Slots(limit, lambda name, priority: told.append((name, priority))), told


def test_released_slot_goes_to_the_best_priority_not_to_the_first() -> None:
    slots, told = make(1)
    assert slots.acquire("a", Priority.BACKLOG)
    assert not slots.acquire("b", Priority.BACKLOG)
    assert not slots.acquire("c", Priority.USER)
    slots.release("a")
    assert told == [("c", Priority.USER)]
    assert slots.acquire("c", Priority.USER)
    assert not slots.acquire("b", Priority.BACKLOG)


def test_newcomer_does_not_overtake_the_one_who_was_called() -> None:
    slots, told = make(1)
    slots.acquire("a", Priority.BACKLOG)
    slots.acquire("b", Priority.BACKLOG)
    slots.release("a")
    assert not slots.acquire("c", Priority.USER)
    assert slots.acquire("b", Priority.BACKLOG)
    slots.release("b")
    assert [name for name, _ in told] == ["b", "c"]


def test_one_who_was_called_and_gives_up_passes_the_slot_on() -> None:
    slots, told = make(1)
    slots.acquire("a", Priority.BACKLOG)
    slots.acquire("b", Priority.BACKLOG)
    slots.acquire("c", Priority.BACKLOG)
    slots.release("a")
    slots.release("b")
    assert [name for name, _ in told] == ["b", "c"]


def test_jobs_found_at_start_count_even_beyond_the_limit() -> None:
    slots, told = make(2)
    for name in "abc":
        slots.hold(name)
    assert not slots.acquire("d", Priority.USER)
    slots.release("a")
    assert told == []
    slots.release("b")
    assert [name for name, _ in told] == ["d"]


def test_asking_again_is_not_a_second_slot() -> None:
    slots, _ = make(2)
    assert slots.acquire("a", Priority.USER)
    assert slots.acquire("a", Priority.USER)
    assert len(slots) == 1


NAMES = st.sampled_from("abcdef")


class SlotLaws(RuleBasedStateMachine):
    """Any order of asking, being called and giving back."""

    def __init__(self) -> None:
        super().__init__()
        self.called: list[tuple[str, Priority]] = []
        self.slots = Slots(2, lambda name, priority: self.called.append((name, priority)))
        self.wanting: set[str] = set()

    @rule(name=NAMES, priority=st.sampled_from(Priority))
    def ask(self, name: str, priority: Priority) -> None:
        if self.slots.acquire(name, priority):
            self.wanting.discard(name)
        else:
            self.wanting.add(name)

    @rule(name=NAMES)
    def give_back(self, name: str) -> None:
        self.slots.release(name)
        self.wanting.discard(name)

    @precondition(lambda self: self.called)
    @rule()
    def answer_a_call(self) -> None:
        name, priority = self.called.pop(0)
        if name in self.wanting:
            self.ask(name, priority)

    @invariant()
    def limit_holds(self) -> None:
        assert len(self.slots) <= 2

    def teardown(self) -> None:
        """Nobody who still wants a slot waits for ever once the holders give theirs back."""
        for _ in range(50):
            while self.called:
                self.answer_a_call()
            for name in "abcdef":
                if self.slots.holds(name):
                    self.slots.release(name)
        assert not self.wanting


SlotLaws.TestCase.settings = settings(max_examples=60, stateful_step_count=30)
TestSlotLaws = SlotLaws.TestCase
