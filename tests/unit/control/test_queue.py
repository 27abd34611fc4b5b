"""Work queue: the cases that have names. Its laws are in test_queue_laws.py."""

from __future__ import annotations

import asyncio
import random

import pytest
from prometheus_client import CollectorRegistry

from tests.clock import FakeClock, settle
from trivyop.control.queue import Priority, ShutDown, WorkQueue
from trivyop.control.queuemetrics import QueueMetrics


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


async def test_key_added_while_in_hand_comes_round_once_more(clock: FakeClock) -> None:
    """A change that lands during a reconcile is not lost, however often it is told."""
    queue = WorkQueue[str](clock)
    queue.add("shop/web")
    key = await queue.get()

    queue.add("shop/web")
    queue.add("shop/web")
    assert len(queue) == 0
    queue.done(key)

    assert await queue.get() == "shop/web"
    assert len(queue) == 0


async def test_better_priority_lifts_a_waiting_key_and_a_worse_one_does_not_lower_it(
    clock: FakeClock,
) -> None:
    queue = WorkQueue[str](clock)
    for key in ("a", "b", "c"):
        queue.add(key, Priority.BACKLOG)
    queue.add("c", Priority.USER)
    queue.add("c", Priority.REFRESH)
    queue.add("b", Priority.RETRY)

    assert [await queue.get() for _ in range(3)] == ["c", "b", "a"]


async def test_key_in_hand_keeps_the_best_priority_it_was_added_with(clock: FakeClock) -> None:
    queue = WorkQueue[str](clock)
    queue.add("a", Priority.BACKLOG)
    held = await queue.get()
    queue.add("a", Priority.USER)
    queue.add("a", Priority.BACKLOG)
    queue.add("b", Priority.RETRY)
    queue.done(held)

    assert await queue.get() == "a"


async def test_delayed_key_comes_when_its_earliest_time_has_come(clock: FakeClock) -> None:
    queue = WorkQueue[str](clock)
    queue.add_after("a", 10)
    queue.add_after("a", 5)
    queue.add_after("a", 20)

    clock.advance(4.9)
    assert len(queue) == 0
    clock.advance(0.1)
    assert await queue.get() == "a"
    queue.done("a")
    clock.advance(100)
    assert len(queue) == 0


async def test_delay_keeps_the_better_of_two_priorities(clock: FakeClock) -> None:
    queue = WorkQueue[str](clock)
    queue.add_after("late", 5, Priority.BACKLOG)
    queue.add_after("late", 50, Priority.USER)
    clock.advance(5)
    queue.add("early", Priority.RETRY)

    assert await queue.get() == "late"


async def test_back_off_doubles_until_forgotten_and_respects_the_servers_wish(clock: FakeClock) -> None:
    queue = WorkQueue[str](clock, rng=random.Random(1), base_seconds=1, max_seconds=60)

    delays = [queue.add_rate_limited("a") for _ in range(8)]
    for n, delay in enumerate(delays):
        assert min(60, 2**n) / 2 <= delay <= min(60, 2**n)
    assert queue.failures("a") == 8

    queue.forget("a")
    assert queue.add_rate_limited("a") <= 1
    assert queue.add_rate_limited("b", at_least=30) >= 30


async def test_workers_wait_and_are_woken_one_per_key(clock: FakeClock) -> None:
    queue = WorkQueue[str](clock)
    first = asyncio.create_task(queue.get())
    second = asyncio.create_task(queue.get())
    await settle()
    queue.add("a")
    await settle()
    assert [first.done(), second.done()] == [True, False]

    queue.add("b")
    assert await second == "b"


async def test_worker_that_is_cancelled_when_called_passes_the_call_on(clock: FakeClock) -> None:
    """A key must not wait for the next add because the worker that was woken for it went away."""
    queue = WorkQueue[str](clock)
    leaving = asyncio.create_task(queue.get())
    staying = asyncio.create_task(queue.get())
    await settle()

    queue.add("a")  # wakes the first
    leaving.cancel()  # before it ran
    assert await staying == "a"
    with pytest.raises(asyncio.CancelledError):
        await leaving


async def test_worker_that_is_cancelled_may_be_passed_over_before_it_knows(clock: FakeClock) -> None:
    """An add between a worker's cancellation and its next step must find it gone, and nothing else wrong."""
    queue = WorkQueue[str](clock)
    worker = asyncio.create_task(queue.get())
    await settle()

    worker.cancel()
    queue.add("a")

    with pytest.raises(asyncio.CancelledError):
        await worker
    assert await queue.get() == "a"


async def test_shut_down_serves_what_is_ready_and_no_more(clock: FakeClock) -> None:
    queue = WorkQueue[str](clock)
    queue.add("ready")
    queue.add_after("delayed", 5)
    queue.shut_down()
    queue.add("late")

    assert [key async for key in queue] == ["ready"]
    clock.advance(10)
    with pytest.raises(ShutDown):
        await queue.get()
    assert clock.pending == 0


async def test_shut_down_without_drain_drops_what_is_ready_and_wakes_the_workers(clock: FakeClock) -> None:
    queue = WorkQueue[str](clock)
    queue.add("held")
    await queue.get()
    worker = asyncio.create_task(queue.get())
    await settle()
    queue.add("held")
    queue.shut_down(drain=False)
    queue.done("held")

    with pytest.raises(ShutDown):
        await worker


async def test_idle_is_when_nothing_is_ready_or_in_hand(clock: FakeClock) -> None:
    queue = WorkQueue[str](clock)
    await queue.wait_idle()
    queue.add("a")
    queue.add_after("later", 60)
    waiting = asyncio.create_task(queue.wait_idle())
    await queue.get()
    queue.add("a")
    queue.done("a")
    await queue.get()
    await settle()
    assert not waiting.done()

    queue.done("a")
    await waiting


async def test_metrics_tell_depth_adds_retries_and_waits(clock: FakeClock) -> None:
    registry = CollectorRegistry()
    queue = WorkQueue[str](clock, metrics=QueueMetrics(registry).of("scans"))
    queue.add("a")
    queue.add("a")
    queue.add("b")
    clock.advance(3)
    await queue.get()
    queue.add_rate_limited("a")
    clock.advance(4)
    queue.done("a")

    def sample(name: str) -> float | None:
        return registry.get_sample_value(f"trivyop_workqueue_{name}", {"queue": "scans"})

    assert sample("depth") == 2  # b, and a, whose back-off is over
    assert sample("adds_total") == 3
    assert sample("retries_total") == 1
    assert sample("wait_seconds_sum") == 3
    assert sample("work_seconds_sum") == 4
