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

    def __init__(self, due: float, callback: Callable[[], None], *, sleep: bool = False) -> None:
        self.due = due
        self.callback: Callable[[], None] | None = callback
        self.sleep = sleep

    def cancel(self) -> None:
        self.callback = None


class FakeClock:
    """A ``Clock`` for tests: starts at noon, moved by ``advance``, or ``elapse`` (tasks get to run)."""

    def __init__(self, start: datetime = NOON) -> None:
        self._start = start
        self._seconds = 0.0
        self._order = itertools.count()
        self._timers: list[tuple[float, int, FakeTimer]] = []
        self._watchers: list[asyncio.Future[None]] = []

    def monotonic(self) -> float:
        return self._seconds

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._seconds)

    def call_later(self, seconds: float, callback: Callable[[], None]) -> FakeTimer:
        return self._set(seconds, callback)

    async def sleep(self, seconds: float) -> None:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        timer = self._set(seconds, lambda: done.done() or done.set_result(None), sleep=True)
        try:
            await done
        finally:
            timer.cancel()

    @property
    def pending(self) -> int:
        """How many timers and sleeps wait for time to move."""
        return sum(timer.callback is not None for _, _, timer in self._timers)

    @property
    def sleeping(self) -> int:
        """How many tasks sleep; timers, such as deadlines, do not count."""
        return sum(timer.sleep and timer.callback is not None for _, _, timer in self._timers)

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

    async def until(self, reached: Callable[[], bool]) -> None:
        """Wait until ``reached`` holds, looking again each time somebody sets a timer or goes to sleep."""
        while not reached():
            told: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._watchers.append(told)
            await told

    async def until_pending(self, count: int = 1) -> None:
        """Wait until at least ``count`` timers or sleeps wait for time to move."""
        await self.until(lambda: self.pending >= count)

    async def until_sleeping(self, count: int = 1) -> None:
        """Wait until at least ``count`` tasks sleep."""
        await self.until(lambda: self.sleeping >= count)

    def _set(self, seconds: float, callback: Callable[[], None], *, sleep: bool = False) -> FakeTimer:
        timer = FakeTimer(self._seconds + max(0.0, seconds), callback, sleep=sleep)
        heapq.heappush(self._timers, (timer.due, next(self._order), timer))
        watchers, self._watchers = self._watchers, []
        for told in watchers:
            if not told.done():
                told.set_result(None)
        return timer

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


class EagerClock(FakeClock):
    """Sleeps take no time, and deadlines never come: for tests that do not care when things happen."""

    async def sleep(self, seconds: float) -> None:
        self._seconds += seconds
        await asyncio.sleep(0)

    def call_later(self, seconds: float, callback: Callable[[], None]) -> FakeTimer:
        return FakeTimer(self._seconds + seconds, callback)


async def settle(turns: int = 20) -> None:
    """Give tasks that wait for nothing outside the process some turns of the event loop."""
    for _ in range(turns):
        await asyncio.sleep(0)
