"""Loop lag: how long what is due has to wait for the event loop.

Once a second a task looks how much later than asked it is woken. Everything that the operator does waits at
least as long, its probes and the renewal of its Lease included.
"""

from __future__ import annotations

import asyncio
from collections import deque

from prometheus_client import CollectorRegistry, Gauge

_EVERY_SECONDS = 1.0
_WINDOW_SECONDS = 60.0


class LoopLag:
    """The longest wait of the last minute, as a metric; `run` it beside the work."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._waits: deque[tuple[float, float]] = deque()  # when, seconds
        Gauge(
            "trivyop_event_loop_lag_seconds",
            "The longest that something due had to wait for the event loop, over the last minute.",
            registry=registry,
        ).set_function(self.longest)

    def longest(self) -> float:
        return max((wait for _, wait in self._waits), default=0.0)

    def add(self, now: float, seconds: float) -> None:
        """Take in one look; those that are older than the window go."""
        self._waits.append((now, seconds))
        while self._waits[0][0] <= now - _WINDOW_SECONDS:
            self._waits.popleft()

    async def run(self) -> None:
        """Look until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            await asyncio.sleep(_EVERY_SECONDS)
            now = loop.time()
            self.add(now, max(0.0, now - began - _EVERY_SECONDS))
