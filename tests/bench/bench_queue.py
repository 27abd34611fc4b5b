"""The work queue against `asyncio.Queue`: what dedupe, priorities and back-off cost per key."""

from __future__ import annotations

import asyncio
import time

from tests.bench.figures import Figure
from trivyop.control.clock import SystemClock
from trivyop.control.queue import WorkQueue

_KEYS = [("namespace", f"workload-{n}") for n in range(50_000)]


async def measure() -> list[Figure]:
    """Put and take all keys, three times each, the better of which counts."""
    plain = min([await _plain() for _ in range(3)])
    ours = min([await _ours() for _ in range(3)])
    return [
        Figure("queue", "asyncio.Queue", len(_KEYS) / plain, "keys/s"),
        Figure("queue", "WorkQueue", len(_KEYS) / ours, "keys/s"),
        Figure("queue", "WorkQueue to asyncio.Queue", plain / ours, "x", 0.25),
    ]


async def _plain() -> float:
    queue: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
    began = time.perf_counter()
    for key in _KEYS:
        queue.put_nowait(key)
    for _ in _KEYS:
        await queue.get()
        queue.task_done()
    return time.perf_counter() - began


async def _ours() -> float:
    queue: WorkQueue[tuple[str, str]] = WorkQueue(SystemClock())
    began = time.perf_counter()
    for key in _KEYS:
        queue.add(key)
    for _ in _KEYS:
        queue.done(await queue.get())
    return time.perf_counter() - began
