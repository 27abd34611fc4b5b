"""The system's clock and the tests' clock keep the same promises."""

from __future__ import annotations

import asyncio

import pytest

from tests.clock import NOON, FakeClock
from trivyop.control.clock import Clock, SystemClock, deadline


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


async def test_system_clock_runs_a_callback_and_sleeps() -> None:
    clock: Clock = SystemClock()
    rung = asyncio.Event()

    clock.call_later(0, rung.set)
    await clock.sleep(0)
    await rung.wait()

    assert clock.now().utcoffset() is not None
    assert clock.monotonic() <= clock.monotonic()


async def test_timers_ring_in_order_of_their_time_and_not_after_a_cancel(clock: FakeClock) -> None:
    rung: list[str] = []
    clock.call_later(3, lambda: rung.append("third"))
    clock.call_later(1, lambda: rung.append("first"))
    clock.call_later(2, lambda: rung.append("cancelled")).cancel()

    clock.advance(2.5)
    assert rung == ["first"]
    clock.advance(0.5)
    assert rung == ["first", "third"]
    assert (clock.now() - NOON).total_seconds() == 3


async def test_elapse_lets_a_task_sleep_again_and_again(clock: FakeClock) -> None:
    """A loop that sleeps each second gets through ten rounds in ten seconds."""
    rounds = 0

    async def tick() -> None:
        nonlocal rounds
        while True:
            await clock.sleep(1)
            rounds += 1

    ticking = asyncio.create_task(tick())
    await clock.until_pending()
    await clock.elapse(10)
    ticking.cancel()

    assert rounds == 10


async def test_deadline_gives_up_when_its_clock_says_so(clock: FakeClock) -> None:
    async def wait_for_ever() -> None:
        async with deadline(clock, 30):
            await asyncio.get_running_loop().create_future()

    waiting = asyncio.create_task(wait_for_ever())
    await clock.until_pending()
    clock.advance(29.9)
    await asyncio.sleep(0)
    assert not waiting.done()

    clock.advance(0.1)
    with pytest.raises(TimeoutError):
        await waiting


async def test_deadline_leaves_no_timer_behind(clock: FakeClock) -> None:
    async with deadline(clock, 30):
        await asyncio.sleep(0)

    assert clock.pending == 0
