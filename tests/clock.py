"""FakeClock: time that moves only when a test says so."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

NOON = datetime(2026, 1, 2, 12, 0, 0, tzinfo=UTC)


class FakeTimer:
    """A callback that waits for the test to move time."""

    def __init__(self, clock: FakeClock, due: float, callback: Callable[[], None]) -> None:
        self.due = due
        self.callback: Callable[[], None] | None = callback
        self._clock = clock

    def cancel(self) -> None:
        self.callback = None


class FakeClock:
    """A ``Clock`` for tests: starts at noon, moved by ``advance``, or ``elapse`` (tasks get to run)."""

    def __init__(self, start: datetime = NOON) -> None:
        self._start = start
        self._seconds = 0.0
        self._order = itertools.count()
        self._timers: list[tuple[float, int, FakeTimer]] = []
        self._watchers: list[tuple[int, asyncio.Future[None]]] = []

    def monotonic(self) -> float:
        return self._seconds

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._seconds)

    def call_later(self, seconds: float, callback: Callable[[], None]) -> FakeTimer:
        timer = FakeTimer(self, self._seconds + max(0.0, seconds), callback)
        heapq.heappush(self._timers, (timer.due, next(self._order), timer))
        self._tell_watchers()
        return timer

    async def sleep(self, seconds: float) -> None:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        timer = self.call_later(seconds, lambda: done.done() or done.set_result(None))
        try:
            await done
        finally:
            timer.cancel()

    @property
    def pending(self) -> int:
        """How many timers and sleeps wait for time to move."""
        return sum(timer.callback is not None for _, _, timer in self._timers)

    @property
    def next_due(self) -> float | None:
        """Seconds until the next timer, None if nothing waits."""
        self._drop_cancelled()
        return self._timers[0][0] - self._seconds if self._timers else None

    def advance(self, seconds: float) -> None:
        """Move time on, running what falls due, in its order. Woken tasks run at the next ``await``."""
        end = self._seconds + seconds
        while self._step(end):
            pass
        self._seconds = end

    async def elapse(self, seconds: float) -> None:
        """Like ``advance``, but let woken tasks run in between, so that what they set falls due too."""
        end = self._seconds + seconds
        await settle()
        while self._step(end):
            await settle()
        self._seconds = end
        await settle()

    async def until_pending(self, count: int = 1) -> None:
        """Wait until at least ``count`` timers or sleeps wait for time to move."""
        if self.pending >= count:
            return
        reached: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._watchers.append((count, reached))
        await reached

    def _step(self, end: float) -> bool:
        self._drop_cancelled()
        if not self._timers or self._timers[0][0] > end:
            return False
        due, _, timer = heapq.heappop(self._timers)
        self._seconds = max(self._seconds, due)
        callback, timer.callback = timer.callback, None
        if callback is not None:
            callback()
        return True

    def _drop_cancelled(self) -> None:
        while self._timers and self._timers[0][2].callback is None:
            heapq.heappop(self._timers)

    def _tell_watchers(self) -> None:
        waiting = self._watchers
        self._watchers = []
        for count, reached in waiting:
            if reached.done():
                continue
            if self.pending >= count:
                reached.set_result(None)
            else:
                self._watchers.append((count, reached))


async def settle(turns: int = 20) -> None:
    """Give tasks that wait for nothing outside the process some turns of the event loop."""
    for _ in range(turns):
        await asyncio.sleep(0)
