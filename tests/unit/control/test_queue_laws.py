"""Laws of the work queue, held against a model over random histories."""

from __future__ import annotations

import random

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.clock import FakeClock
from trivyop.control.queue import Priority, WorkQueue

KEYS = st.sampled_from(["a", "b", "c", "d", "e"])
PRIORITIES = st.sampled_from(list(Priority))


class QueueLaws(RuleBasedStateMachine):
    """A queue beside the plainest model of it: dicts, searched from end to end."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock()
        self.queue = WorkQueue[str](self.clock, rng=random.Random(0), base_seconds=1, max_seconds=8)
        self.arrivals = 0
        self.ready: dict[str, tuple[Priority, int]] = {}
        self.in_hand: set[str] = set()
        self.again: dict[str, Priority] = {}
        self.delayed: dict[str, tuple[float, int, Priority]] = {}

    def take(self) -> str:
        """Get a key without an event loop: one is ready, so there is nothing to wait for."""
        try:
            self.queue.get().send(None)
        except StopIteration as answer:
            return answer.value
        raise AssertionError("get waits although a key is ready")

    def model_add(self, key: str, priority: Priority) -> None:
        if key in self.in_hand:
            self.again[key] = min(priority, self.again.get(key, priority))
        elif key not in self.ready or priority < self.ready[key][0]:
            self.arrivals += 1
            self.ready[key] = (priority, self.arrivals)

    @rule(key=KEYS, priority=PRIORITIES)
    def add(self, key: str, priority: Priority) -> None:
        self.queue.add(key, priority)
        self.model_add(key, priority)

    @rule(key=KEYS, seconds=st.integers(1, 20), priority=PRIORITIES)
    def add_after(self, key: str, seconds: int, priority: Priority) -> None:
        self.queue.add_after(key, seconds, priority)
        self.model_add_after(key, self.clock.monotonic() + seconds, priority)

    def model_add_after(self, key: str, due: float, priority: Priority) -> None:
        self.arrivals += 1
        waiting = self.delayed.get(key)
        if waiting is not None:
            priority = min(priority, waiting[2])
        if waiting is not None and waiting[0] <= due:
            self.delayed[key] = (waiting[0], waiting[1], priority)
        else:
            self.delayed[key] = (due, self.arrivals, priority)

    @rule(key=KEYS)
    def add_rate_limited(self, key: str) -> None:
        delay = self.queue.add_rate_limited(key)
        self.model_add_after(key, self.clock.monotonic() + delay, Priority.RETRY)

    @rule(key=KEYS)
    def forget(self, key: str) -> None:
        self.queue.forget(key)
        assert self.queue.failures(key) == 0

    @rule(seconds=st.integers(1, 10))
    def time_passes(self, seconds: int) -> None:
        self.clock.advance(seconds)
        now = self.clock.monotonic()
        for key in sorted(self.delayed, key=self.delayed.__getitem__):
            if self.delayed[key][0] <= now:
                self.model_add(key, self.delayed.pop(key)[2])

    @precondition(lambda self: self.ready)
    @rule()
    def get(self) -> None:
        key = self.take()

        assert key not in self.in_hand, "in two hands"
        best = min(priority for priority, _ in self.ready.values())
        assert self.ready[key][0] == best, "not the best priority first"
        del self.ready[key]
        self.in_hand.add(key)

    @precondition(lambda self: self.in_hand)
    @rule(data=st.data())
    def done(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.in_hand)))
        self.queue.done(key)
        self.in_hand.remove(key)
        if key in self.again:
            self.model_add(key, self.again.pop(key))

    @invariant()
    def nothing_is_lost_and_nothing_comes_early(self) -> None:
        assert len(self.queue) == len(self.ready)
        assert self.queue.in_hand == len(self.in_hand)
        assert self.queue.delayed == len(self.delayed)

    @precondition(lambda self: not self.in_hand)
    @rule()
    def drain(self) -> None:
        """All that is ready comes out, in order of priority, and then of arrival."""
        expected = sorted(self.ready, key=self.ready.__getitem__)
        served = [self.take() for _ in expected]
        for key in served:
            self.queue.done(key)
        assert served == expected
        self.ready.clear()


TestQueueLaws = QueueLaws.TestCase
TestQueueLaws.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
