"""Outbox: the subjects that one endpoint still has to be notified of; names only, never bodies.

A subject waits at most once, whatever happens to it meanwhile, and one worker at a time holds it. So messages
about one object leave in order, and only its latest state is sent. The outbox does not accept what does not
fit; ``overflowed`` then says that a comparison with the ledger is due, which finds it again.

Promises: bounded; a subject that fails comes back, with full jitter, after the others.
Not here: what is sent (``notify.deduplication``).
"""

from __future__ import annotations

import asyncio
import random

from trivyop.control.backoff import Backoff
from trivyop.control.clock import Clock
from trivyop.control.queue import Priority, WorkQueue
from trivyop.notify.events import Subject


def build_backoff(rng: random.Random) -> Backoff:
    """The waits between tries, of one subject or of a whole endpoint."""
    return Backoff(rng, base_seconds=1.0, max_seconds=300.0)


class Outbox:
    """The subjects that wait for one endpoint."""

    def __init__(self, clock: Clock, rng: random.Random, *, capacity: int) -> None:
        self.overflowed = False
        self._capacity = capacity
        self._rng = rng
        self._queue = WorkQueue[Subject](clock, rng=rng)
        self._waiting: dict[Subject, None] = {}
        self._backoffs: dict[Subject, Backoff] = {}
        self._taken = asyncio.Event()

    def __len__(self) -> int:
        return len(self._waiting) + self._queue.in_hand

    @property
    def roomy(self) -> bool:
        """Whether a comparison may add to it, and leave enough room for what happens meanwhile."""
        return len(self._waiting) <= self._capacity // 2

    async def wait_roomy(self) -> None:
        """Wait until it is."""
        while not self.roomy:
            self._taken.clear()
            await self._taken.wait()

    def add(self, subject: Subject, *, after: float = 0.0) -> bool:
        """Take it in; False if there is no room."""
        if subject not in self._waiting:
            if len(self._waiting) >= self._capacity:
                self.overflowed = True
                return False
            self._waiting[subject] = None
        if after:
            self._queue.add_after(subject, after)
        else:
            self._queue.add(subject)
        return True

    async def take(self) -> Subject:
        """The next one; give it back with ``done`` or ``retry``."""
        subject = await self._queue.get()
        self._waiting.pop(subject, None)
        self._taken.set()
        return subject

    async def take_ready(self) -> Subject | None:
        """The next one that need not be waited for; None if there is none."""
        return await self.take() if len(self._queue) else None

    def done(self, subject: Subject) -> None:
        self._backoffs.pop(subject, None)
        self._queue.done(subject)

    def retry(self, subject: Subject) -> float:
        """Give it back to be tried again; returns in how many seconds."""
        backoff = self._backoffs.get(subject) or self._backoffs.setdefault(subject, build_backoff(self._rng))
        delay = backoff.failed()
        self._waiting[subject] = None
        self._queue.add_after(subject, delay, Priority.RETRY)
        self._queue.done(subject)
        return delay
