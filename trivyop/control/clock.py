"""Clock: where time comes from, as a parameter, so that tests own it.

Promises: ``monotonic`` never goes back; ``now`` is aware and UTC; a callback runs once, on the event loop,
not before its time, and not at all once its timer is cancelled.
Not here: the clock that tests move by hand (``tests/clock.py``).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Protocol


class Timer(Protocol):
    """A callback that waits for its time."""

    def cancel(self) -> None: ...


class Clock(Protocol):
    """Source of time."""

    def monotonic(self) -> float:
        """Seconds since some fixed moment."""
        ...

    def now(self) -> datetime:
        """Wall-clock time, aware, in UTC."""
        ...

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        """Run ``callback`` on the running event loop once ``seconds`` have passed."""
        ...

    async def sleep(self, seconds: float) -> None: ...


class SystemClock:
    """The computer's own time."""

    def monotonic(self) -> float:
        return time.monotonic()

    def now(self) -> datetime:
        return datetime.now(UTC)

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        return asyncio.get_running_loop().call_later(seconds, callback)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class Deadline:
    """When the block of ``deadline`` is given up; it can be moved while the block runs."""

    def __init__(self, clock: Clock, scope: asyncio.Timeout) -> None:
        self._clock = clock
        self._scope = scope
        self._at = 0.0
        self._timer: Timer | None = None

    def extend(self, seconds: float) -> None:
        """Give up ``seconds`` from now. Cheap enough to be called for each chunk of a stream."""
        self._at = self._clock.monotonic() + seconds
        if self._timer is None:
            self._timer = self._clock.call_later(seconds, self._ring)

    def stop(self) -> None:
        """Never give up, unless extended again."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _ring(self) -> None:
        self._timer = None
        left = self._at - self._clock.monotonic()
        if left > 0:  # extended since the timer was set
            self._timer = self._clock.call_later(left, self._ring)
        else:
            self._scope.reschedule(asyncio.get_running_loop().time())


@asynccontextmanager
async def deadline(clock: Clock, seconds: float) -> AsyncGenerator[Deadline, None]:
    """Like ``asyncio.timeout``, on ``clock``: raises ``TimeoutError`` if the block outlasts its deadline."""
    async with asyncio.timeout(None) as scope:
        due = Deadline(clock, scope)
        due.extend(seconds)
        try:
            yield due
        finally:
            due.stop()
