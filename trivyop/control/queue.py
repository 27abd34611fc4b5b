"""Work queue: keys to look at, each at most once, never in two hands.

A key that is added while it waits stays one key, and moves forward if the new priority is better. A key that
is added while a worker holds it comes round once more when the worker is done. Keys come out best priority
first, and in the order of their arrival within one. A delayed key joins the others when its time has come; of
several delays of one key the earliest counts.

Promises: no key is lost between ``add`` and ``get``; every operation but ``get`` is plain and never waits, so
no locks are needed on one event loop. After ``shut_down`` nothing new is taken in, delayed keys are dropped,
and ``get`` serves what is ready, then raises ``ShutDown``.
Not here: what to do with a key, and whether it gets another try (``control.controller``); what Prometheus is
observed (``control.queuemetrics``).
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import random
from collections import OrderedDict, deque
from collections.abc import Hashable
from enum import IntEnum
from typing import Generic, Protocol, Self, TypeVar

from trivyop.control.backoff import half_jitter
from trivyop.control.clock import Clock, Timer

K = TypeVar("K", bound=Hashable)


class Priority(IntEnum):
    """Who waits for the answer; lower comes first."""

    USER = 0
    RETRY = 1
    REFRESH = 2
    BACKLOG = 3


class ShutDown(Exception):  # noqa: N818 - not an error: the way out of a worker
    """The queue was shut down and has nothing left to serve."""


class QueueObserver(Protocol):
    """Who wants to know how a queue fares."""

    def added(self, depth: int) -> None: ...

    def served(self, depth: int, waited_seconds: float) -> None: ...

    def finished(self, worked_seconds: float) -> None: ...

    def retried(self) -> None: ...


class WorkQueue(Generic[K]):
    """Keys to look at; the module says how it behaves."""

    def __init__(
        self,
        clock: Clock,
        *,
        rng: random.Random | None = None,
        metrics: QueueObserver | None = None,
        base_seconds: float = 1.0,
        max_seconds: float = 300.0,
    ) -> None:
        self.clock = clock
        self._rng = rng or random.Random()  # noqa: S311 - spreads retries, guards nothing
        self._metrics = metrics
        self._base_seconds = base_seconds
        self._max_seconds = max_seconds
        # Keys to be served, with their priority. Those in hand are in here too once they were added again.
        self._dirty: dict[K, Priority] = {}
        # Those of them that nobody holds, with the time they became ready.
        self._ready: tuple[OrderedDict[K, float], ...] = tuple(OrderedDict() for _ in Priority)
        self._ready_count = 0
        self._in_hand: dict[K, float] = {}
        self._delayed: dict[K, tuple[float, Priority]] = {}
        self._due: list[tuple[float, int, K]] = []
        self._order = itertools.count()
        self._timer: Timer | None = None
        self._timer_at = 0.0
        self._failures: dict[K, int] = {}
        self._getters: deque[asyncio.Future[None]] = deque()
        self._idle_waiters: list[asyncio.Future[None]] = []
        self._shut_down = False

    def __len__(self) -> int:
        """How many keys could be served right now."""
        return self._ready_count

    @property
    def delayed(self) -> int:
        """How many keys wait for their time."""
        return len(self._delayed)

    @property
    def in_hand(self) -> int:
        """How many keys workers hold."""
        return len(self._in_hand)

    def add(self, key: K, priority: Priority = Priority.USER) -> None:
        """Have ``key`` looked at; an add while it waits can only improve its priority."""
        if self._shut_down:
            return
        queued = self._dirty.get(key)
        if queued is not None and queued <= priority:
            return
        self._dirty[key] = priority
        if key in self._in_hand:
            return
        if queued is None:
            self._make_ready(key, priority)
        else:
            self._ready[priority][key] = self._ready[queued].pop(key)

    def add_after(self, key: K, seconds: float, priority: Priority = Priority.REFRESH) -> None:
        """Have ``key`` looked at once ``seconds`` have passed, or earlier if it waits for less already."""
        if self._shut_down:
            return
        if seconds <= 0:
            self.add(key, priority)
            return
        due = self.clock.monotonic() + seconds
        waiting = self._delayed.get(key)
        if waiting is not None and waiting[0] <= due:
            if priority < waiting[1]:
                self._delayed[key] = (waiting[0], priority)
            return
        # A later entry of the same key stays in the heap and is passed over when it comes up.
        self._delayed[key] = (due, min(priority, waiting[1]) if waiting else priority)
        heapq.heappush(self._due, (due, next(self._order), key))
        self._set_timer()

    def add_rate_limited(
        self,
        key: K,
        at_least: float | None = None,
        priority: Priority = Priority.RETRY,
        *,
        at_most: float | None = None,
    ) -> float:
        """Have ``key`` looked at after its back-off, which doubles with each call until ``forget``.

        ``at_least`` is a server's wish in seconds, ``at_most`` the longest back-off. Returns the delay that
        was chosen.
        """
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        longest = self._max_seconds if at_most is None else min(at_most, self._max_seconds)
        delay = half_jitter(failures, self._rng, base_seconds=self._base_seconds, max_seconds=longest)
        if at_least is not None:
            # Many keys hear the same wish at the same moment; they need not all come back at the same moment.
            delay = max(delay, at_least * self._rng.uniform(1, 1.25))
        if self._metrics is not None:
            self._metrics.retried()
        self.add_after(key, delay, priority)
        return delay

    def failures(self, key: K) -> int:
        """How often in a row ``key`` was rate-limited since it was last forgotten."""
        return self._failures.get(key, 0)

    def forget(self, key: K) -> None:
        """Let the next back-off of ``key`` start from the beginning."""
        self._failures.pop(key, None)

    async def get(self) -> K:
        """Take the next key into hand; its holder must call ``done``. Raises ``ShutDown`` at the end."""
        while not self._ready_count:
            if self._shut_down:
                raise ShutDown
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._getters.append(turn)
            try:
                await turn
            except BaseException:
                if turn.done() and not turn.cancelled():
                    self._wake_one()  # we were called, and leave: somebody else has to come
                elif turn in self._getters:  # else an add has passed over it, between cancellation and here
                    self._getters.remove(turn)
                raise
        return self._take()

    def done(self, key: K) -> None:
        """Give ``key`` back; if it was added meanwhile it becomes ready again."""
        began = self._in_hand.pop(key)
        if self._metrics is not None:
            self._metrics.finished(self.clock.monotonic() - began)
        priority = self._dirty.get(key)
        if priority is not None:
            self._make_ready(key, priority)
        elif self._idle_waiters:
            self._tell_if_idle()

    async def wait_idle(self) -> None:
        """Wait until no key is ready or in hand; keys whose time has not come do not count."""
        while self._ready_count or self._in_hand:
            idle: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._idle_waiters.append(idle)
            await idle

    def shut_down(self, *, drain: bool = True) -> None:
        """Take in nothing more. Ready keys are still served, if ``drain``; delayed ones are not."""
        self._shut_down = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._delayed.clear()
        self._due.clear()
        if not drain:
            self._dirty.clear()
            for ready in self._ready:
                ready.clear()
            self._ready_count = 0
            self._tell_if_idle()
        while self._getters:
            self._wake_one()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> K:
        try:
            return await self.get()
        except ShutDown:
            raise StopAsyncIteration from None

    def _make_ready(self, key: K, priority: Priority) -> None:
        self._ready[priority][key] = self.clock.monotonic()
        self._ready_count += 1
        if self._metrics is not None:
            self._metrics.added(self._ready_count)
        if self._getters:
            self._wake_one()

    def _take(self) -> K:
        for ready in self._ready:
            if ready:
                key, since = ready.popitem(last=False)
                break
        else:
            raise AssertionError("the count of ready keys is wrong")
        self._ready_count -= 1
        del self._dirty[key]
        now = self.clock.monotonic()
        self._in_hand[key] = now
        if self._metrics is not None:
            self._metrics.served(self._ready_count, now - since)
        return key

    def _wake_one(self) -> None:
        while self._getters:
            turn = self._getters.popleft()
            if not turn.done():
                turn.set_result(None)
                return

    def _tell_if_idle(self) -> None:
        if self._ready_count or self._in_hand:
            return
        for idle in self._idle_waiters:
            if not idle.done():
                idle.set_result(None)
        self._idle_waiters.clear()

    def _set_timer(self) -> None:
        if not self._due:
            return
        due = self._due[0][0]
        if self._timer is not None:
            if self._timer_at <= due:
                return
            self._timer.cancel()
        self._timer_at = due
        self._timer = self.clock.call_later(due - self.clock.monotonic(), self._ring)

    def _ring(self) -> None:
        self._timer = None
        now = self.clock.monotonic()
        while self._due and self._due[0][0] <= now:
            due, _, key = heapq.heappop(self._due)
            waiting = self._delayed.get(key)
            if waiting is not None and waiting[0] == due:
                del self._delayed[key]
                self.add(key, waiting[1])
        self._set_timer()
