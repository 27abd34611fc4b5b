"""JumpClock: the computer's time, which a test can move on at once.

Controllers retry conflicts after a moment of their clock, so in tests against a real server time has to
flow by itself; what takes minutes is jumped over.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta


class JumpTimer:
    """A callback that waits for its time."""

    def __init__(self, clock: JumpClock, due: float, callback: Callable[[], None]) -> None:
        self._clock = clock
        self._callback = callback
        self._due = due
        self._handle = self._start()

    def _start(self) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(self._due - self._clock.monotonic(), self._ring)

    def restart(self) -> None:
        """Time has jumped."""
        self._handle.cancel()
        self._handle = self._start()

    def _ring(self) -> None:
        self._clock.timers.discard(self)
        self._callback()

    def cancel(self) -> None:
        self._handle.cancel()
        self._clock.timers.discard(self)


class JumpClock:
    """A ``Clock`` that ``jump`` moves."""

    def __init__(self) -> None:
        self.timers: set[JumpTimer] = set()
        self._ahead = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self._ahead

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self._ahead)

    def call_later(self, seconds: float, callback: Callable[[], None]) -> JumpTimer:
        timer = JumpTimer(self, self.monotonic() + seconds, callback)
        self.timers.add(timer)
        return timer

    async def sleep(self, seconds: float) -> None:
        done = asyncio.Event()
        timer = self.call_later(seconds, done.set)
        try:
            await done.wait()
        finally:
            timer.cancel()

    def jump(self, seconds: float) -> None:
        """Let that much time have passed."""
        self._ahead += seconds
        for timer in tuple(self.timers):
            timer.restart()
