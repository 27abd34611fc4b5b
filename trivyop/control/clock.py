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

import structlog

log = structlog.get_logger(__name__)

_JUMP_SECONDS = 30.0  # what time servers correct at once is less, as a rule


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


class WatchedClock:
    """Another clock; logs when its wall-clock time was set, for what goes by it comes early or late then."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._offset: float | None = None  # of the wall clock to the monotonic one

    def monotonic(self) -> float:
        return self._clock.monotonic()

    def now(self) -> datetime:
        now = self._clock.now()
        offset = now.timestamp() - self._clock.monotonic()
        if self._offset is None:
            self._offset = offset
        elif abs(offset - self._offset) > _JUMP_SECONDS:
            log.warning("clock_set", seconds=round(offset - self._offset), now=now.isoformat())
            self._offset = offset
        return now

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        return self._clock.call_later(seconds, callback)

    async def sleep(self, seconds: float) -> None:
        await self._clock.sleep(seconds)


@asynccontextmanager
async def deadline(clock: Clock, seconds: float) -> AsyncGenerator[None, None]:
    """Like ``asyncio.timeout``, on ``clock``: raises ``TimeoutError`` if the block takes longer.

    Not for a block that yields: it cancels the task that entered it, wherever that task is by then.
    """
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(None) as scope:
        timer = clock.call_later(seconds, lambda: scope.reschedule(loop.time()))
        try:
            yield
        finally:
            timer.cancel()
