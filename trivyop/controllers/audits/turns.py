"""Turns: which audits somebody waits for, and how many of the others are in hand.

Ten thousand objects may arrive together, and one more that a person has just changed. Of what arrives in a
flow (a kind, new or changed) the first few are urgent, the rest is backlog. A flow that brings more at once
than people do is backlog as a whole, those included that were taken for urgent before that was clear. Of the
backlog only so many are in hand at a time, so that there is always a worker for what is urgent, and memory
for what waits.

Promises: what had to wait for its turn comes back by itself.
Not here: the order of a batch (`trivyop.audit`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from trivyop.control.clock import Clock
from trivyop.control.queue import Priority

K = TypeVar("K", bound=Hashable)

URGENT_PER_FLOW: Final = 20  # what a person, or a deployment of one application, changes at once
BURST: Final = 100  # five such applications, of one kind alone
BURST_SECONDS: Final = 1.0


@dataclass(slots=True)
class _Flow(Generic[K]):
    urgent: dict[K, None] = field(default_factory=dict[K, None])
    told: deque[float] = field(default_factory=lambda: deque[float](maxlen=BURST))  # when, the last times

    def is_burst(self) -> bool:
        return len(self.told) == BURST and self.told[-1] - self.told[0] <= BURST_SECONDS


class Turns(Generic[K]):
    """Urgent keys, and slots for the others."""

    def __init__(self, slots: int, add: Callable[[K, Priority], None], clock: Clock) -> None:
        """`add` puts a key into the work queue."""
        self._slots = slots
        self._add = add
        self._clock = clock
        self._urgent: dict[K, _Flow[K]] = {}
        self._flows: dict[Hashable, _Flow[K]] = {}
        self._in_hand: dict[K, bool] = {}  # and whether it was told of again since
        self._holders: set[K] = set()
        self._waiting: dict[K, None] = {}

    def add(self, key: K, flow: Hashable) -> None:
        """Have a key looked at: soon, unless very much of its flow comes, or waits already."""
        of = self._flows.get(flow)
        if of is None:
            of = self._flows[flow] = _Flow()
        if key not in self._urgent:
            of.told.append(self._clock.monotonic())
            if of.is_burst():
                self._put_off(of)
            elif len(of.urgent) < URGENT_PER_FLOW:
                self._urgent[key] = of
                of.urgent[key] = None
        if key in self._in_hand:
            self._in_hand[key] = True
        if key in self._urgent:
            self._add(key, Priority.USER)
        else:
            self.add_later(key)

    def add_later(self, key: K) -> None:
        """Have a key looked at when there is a slot; workers are not bothered with it before."""
        if self.take(key):
            self._add(key, Priority.BACKLOG)

    def _put_off(self, flow: _Flow[K]) -> None:
        """Nobody waits for what is urgent in a flow, after all."""
        for key in flow.urgent:
            del self._urgent[key]
            self._holders.add(key)  # it may be in hand, and then it is so as one of the backlog
        flow.urgent.clear()

    def taken(self, key: K) -> None:
        """A worker has it: what is told of it from now on is for another look."""
        self._in_hand[key] = False
        self._waiting.pop(key, None)

    def is_urgent(self, key: K) -> bool:
        """Whether somebody waits for it; that may end before it is served."""
        return key in self._urgent

    def served(self, key: K) -> None:
        """The key was looked at; nothing is left to do for now, unless it was told of meanwhile."""
        if not self._in_hand.pop(key, False):
            flow = self._urgent.pop(key, None)
            if flow is not None:
                del flow.urgent[key]
        self._release(key)

    def take(self, key: K) -> bool:
        """Take a slot; if there is none, False, and the key comes back when there is one."""
        if key in self._holders:
            return True
        if len(self._holders) >= self._slots:
            self._waiting[key] = None
            return False
        self._holders.add(key)
        self._waiting.pop(key, None)
        return True

    def _release(self, key: K) -> None:
        self._holders.discard(key)
        if self._waiting and len(self._holders) < self._slots:
            self.add_later(next(iter(self._waiting)))

    @property
    def waiting(self) -> int:
        """How many keys wait for a slot."""
        return len(self._waiting)
