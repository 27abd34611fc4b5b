"""Turns: which audits somebody waits for, and how many of the others are in hand.

Ten thousand objects may arrive together, and one more that a person has just changed. Of what arrives in a
flow (a kind, new or changed) the first few are urgent, the rest is backlog. Of the backlog only so many are
in hand at a time, so that there is always a worker for what is urgent, and memory for what waits.

Promises: what had to wait for its turn comes back by itself.
Not here: the order of a batch (`trivyop.audit`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from trivyop.control.queue import Priority

K = TypeVar("K", bound=Hashable)

_URGENT_PER_FLOW = 20  # what a person, or a deployment of one application, changes at once


class Turns(Generic[K]):
    """Urgent keys, and slots for the others."""

    def __init__(self, slots: int, add: Callable[[K, Priority], None]) -> None:
        """`add` puts a key into the work queue."""
        self._slots = slots
        self._add = add
        self._urgent: dict[K, Hashable] = {}  # with its flow
        self._flows: Counter[Hashable] = Counter()
        self._holders: set[K] = set()
        self._waiting: dict[K, None] = {}

    def add(self, key: K, flow: Hashable) -> None:
        """Have a key looked at: soon, unless very much of its flow waits already."""
        if key not in self._urgent:
            if self._flows[flow] >= _URGENT_PER_FLOW:
                self._add(key, Priority.BACKLOG)
                return
            self._urgent[key] = flow
            self._flows[flow] += 1
        self._add(key, Priority.USER)

    def is_urgent(self, key: K) -> bool:
        return key in self._urgent

    def served(self, key: K) -> None:
        """The key was looked at, and nothing is left to do for now."""
        flow = self._urgent.pop(key, None)
        if flow is not None:
            self._flows[flow] -= 1
            if not self._flows[flow]:
                del self._flows[flow]
        self._waiting.pop(key, None)
        self.release(key)

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

    def release(self, key: K) -> None:
        """Give the slot back, if it has one."""
        if key not in self._holders:
            return
        self._holders.discard(key)
        if self._waiting:
            following = next(iter(self._waiting))
            del self._waiting[following]
            self._add(following, Priority.BACKLOG)

    @property
    def waiting(self) -> int:
        """How many keys wait for a slot."""
        return len(self._waiting)
