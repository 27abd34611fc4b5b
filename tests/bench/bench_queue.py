"""The work queue against `asyncio.Queue`: what dedupe, priorities and back-off cost per key."""

from __future__ import annotations

import asyncio
import time

from prometheus_client import CollectorRegistry

from tests.bench.figures import Figure
from trivyop.control.clock import SystemClock
from trivyop.control.queue import QueueObserver, WorkQueue
from trivyop.control.queuemetrics import QueueMetrics

_ROUNDS = 5
_KEYS = [("namespace", f"workload-{n}") for n in range(50_000)]


async def measure() -> list[Figure]:
    """Put and take all keys, the ways in turn, so that a slow moment of the machine hits all of them."""
    plain: list[float] = []
    ours: list[float] = []
    observed: list[float] = []
    for _ in range(_ROUNDS):
        plain.append(await _plain())
        ours.append(await _ours(None))
        observed.append(await _ours(QueueMetrics(CollectorRegistry()).of("bench")))
    return [
        Figure("queue", "asyncio.Queue", len(_KEYS) / min(plain), "keys/s"),
        Figure("queue", "WorkQueue", len(_KEYS) / min(ours), "keys/s"),
        Figure("queue", "WorkQueue, with metrics", len(_KEYS) / min(observed), "keys/s"),
        Figure("queue", "WorkQueue to asyncio.Queue", min(plain) / min(ours), "x", 0.25),
        Figure("queue", "with metrics to asyncio.Queue", min(plain) / min(observed), "x", 0.25),
    ]


async def _plain() -> float:
    queue: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
    began = time.process_time()
    for key in _KEYS:
        queue.put_nowait(key)
    for _ in _KEYS:
        await queue.get()
        queue.task_done()
    return time.process_time() - began


async def _ours(metrics: QueueObserver | None) -> float:
    queue: WorkQueue[tuple[str, str]] = WorkQueue(SystemClock(), metrics=metrics)
    began = time.process_time()
    for key in _KEYS:
        queue.add(key)
    for _ in _KEYS:
        queue.done(await queue.get())
    return time.process_time() - began
