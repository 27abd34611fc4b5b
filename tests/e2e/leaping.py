"""LeapingClock: the computer's time, which a test can move ahead.

What waits for hours (a retry, a refresh, a deadline) comes at once; what waits for another process takes as
long as it takes. Other processes do not leap along.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta


class LeapingTimer:
    """A callback of a `LeapingClock`."""

    def __init__(self, clock: LeapingClock, due: float, callback: Callable[[], None]) -> None:
        self.due = due
        self._clock = clock
        self._callback = callback
        self._handle: asyncio.TimerHandle | None = None

    def set(self) -> None:
        """Wait for what is left."""
        if self._handle is not None:
            self._handle.cancel()
        left = max(0.0, self.due - self._clock.monotonic()) / self._clock.pace
        self._handle = asyncio.get_running_loop().call_later(left, self._ring)

    def cancel(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
        self._clock.timers.discard(self)

    def _ring(self) -> None:
        self._clock.timers.discard(self)
        self._callback()


class LeapingClock:
    """A ``Clock`` that goes as the computer's does, from wherever ``leap`` put it.

    With a ``pace`` below 1 it goes slower, so that what waits for seconds does not come while a test waits
    for something else.
    """

    def __init__(self, pace: float = 1.0) -> None:
        self.timers: set[LeapingTimer] = set()
        self.pace = pace
        self._ahead = 0.0
        self._began = time.monotonic()
        self._start = datetime.now(UTC)

    def monotonic(self) -> float:
        return (time.monotonic() - self._began) * self.pace + self._ahead

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self.monotonic())

    def call_later(self, seconds: float, callback: Callable[[], None]) -> LeapingTimer:
        timer = LeapingTimer(self, self.monotonic() + seconds, callback)
        self.timers.add(timer)
        timer.set()
        return timer

    async def sleep(self, seconds: float) -> None:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        timer = self.call_later(seconds, lambda: done.done() or done.set_result(None))
        try:
            await done
        finally:
            timer.cancel()

    def leap(self, seconds: float) -> None:
        """Move ahead; what falls due is run in its order, when the event loop comes to it."""
        self._ahead += seconds
        for timer in sorted(self.timers, key=lambda timer: timer.due):
            timer.set()

    def leap_to(self, moment: str) -> None:
        """Move to just after an RFC 3339 time, if that is ahead."""
        left = (datetime.fromisoformat(moment) - self.now()).total_seconds()
        self.leap(max(0.0, left) + 1.0)
