"""Pace: how fast one endpoint is called; at will while it works, one call at a time while it does not.

After a failure everybody waits, with full jitter, twice as long on average after each further one; then one
tries. One success, and all go on. A receiver's own wish for a pause is respected.

Promises: an endpoint that is down is called by one caller at a time, at most every few minutes in the end.
Not here: the back-off of a single message that alone fails (``notify.outbox``).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from trivyop.control.backoff import full_jitter
from trivyop.control.clock import Clock

BASE_SECONDS = 1.0
MAX_SECONDS = 300.0


class Pace:
    """The pace of one endpoint."""

    def __init__(self, clock: Clock, rng: random.Random) -> None:
        self.failures = 0  # in a row
        self._clock = clock
        self._rng = rng
        self._not_before = 0.0
        self._alone = asyncio.Lock()

    @asynccontextmanager
    async def turn(self) -> AsyncGenerator[None, None]:
        """Wait for leave to call."""
        if not self.failures:
            yield
            return
        async with self._alone:
            while self.failures and (wait := self._not_before - self._clock.monotonic()) > 0:
                await self._clock.sleep(wait)
            yield

    def works(self) -> None:
        """It has answered."""
        self.failures = 0

    def fails(self, at_least: float | None = None) -> None:
        """It has not, or has asked for a pause of that many seconds."""
        now = self._clock.monotonic()
        if not self.failures or now >= self._not_before:  # calls that were under way together count once
            delay = full_jitter(self.failures, self._rng, base_seconds=BASE_SECONDS, max_seconds=MAX_SECONDS)
            self.failures += 1
            self._not_before = now + delay
        if at_least is not None:
            self._not_before = max(self._not_before, now + at_least * self._rng.uniform(1, 1.1))

    def hurry(self) -> None:
        """Let the next caller try at once: something has changed that may help."""
        self._not_before = 0.0
