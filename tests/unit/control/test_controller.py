"""Controller: what becomes of a key, by how its reconcile ends."""

from __future__ import annotations

import asyncio
import errno
import os
import random
from collections.abc import Awaitable, Callable

import pytest
from prometheus_client import CollectorRegistry
from structlog.contextvars import get_contextvars
from structlog.testing import capture_logs

from tests.clock import FakeClock, settle
from tests.scarcity import no_more_files
from trivyop.control.controller import Controller, ControllerMetrics, work
from trivyop.control.queue import Priority, WorkQueue
from trivyop.errors import ConflictError, DeniedError, ForbiddenError, InvalidError, TransientError


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def queue(clock: FakeClock) -> WorkQueue[str]:
    return WorkQueue[str](clock, rng=random.Random(1), base_seconds=1, max_seconds=60)


def answering(*answers: float | Exception | None) -> Callable[[str], Awaitable[float | None]]:
    """A reconcile that ends as told, one answer after the other."""
    line = list(answers)

    async def reconcile(key: str) -> float | None:
        answer = line.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return reconcile


async def serve(queue: WorkQueue[str], *answers: float | Exception | None) -> list[str]:
    """Let one worker serve what is ready, and return what it logged."""
    working = asyncio.create_task(work(queue, answering(*answers), name="test"))
    with capture_logs() as logs:
        await settle()
    working.cancel()
    await asyncio.wait([working])
    return [f"{line['log_level']} {line['event']}" for line in logs]


async def test_key_that_is_done_is_forgotten(queue: WorkQueue[str]) -> None:
    queue.add_rate_limited("a")
    queue.add("a")

    assert await serve(queue, None) == []
    assert queue.failures("a") == 0
    assert (len(queue), queue.in_hand) == (0, 0)


async def test_key_that_time_alone_will_change_comes_back_then(
    queue: WorkQueue[str], clock: FakeClock
) -> None:
    queue.add("a")
    await serve(queue, 30.0)

    clock.advance(29)
    assert len(queue) == 0
    clock.advance(1)
    assert len(queue) == 1


@pytest.mark.parametrize("error", [TransientError("busy"), ConflictError("stale")])
async def test_transient_failure_comes_back_after_its_back_off(
    queue: WorkQueue[str], clock: FakeClock, error: Exception
) -> None:
    queue.add("a")

    assert await serve(queue, error) == ["info reconcile_deferred"]
    assert (queue.failures("a"), queue.delayed) == (1, 1)
    clock.advance(1)
    assert len(queue) == 1


async def test_servers_wish_is_respected(queue: WorkQueue[str], clock: FakeClock) -> None:
    queue.add("a")
    await serve(queue, TransientError("busy", retry_after=40))

    clock.advance(39.9)
    assert len(queue) == 0
    clock.advance(10.1)
    assert len(queue) == 1


async def test_terminal_failure_waits_for_a_change(queue: WorkQueue[str], clock: FakeClock) -> None:
    queue.add_rate_limited("a")
    clock.advance(1)

    assert await serve(queue, InvalidError("not so")) == ["warning reconcile_gave_up"]
    assert (queue.failures("a"), queue.delayed, len(queue)) == (0, 0, 0)


async def test_missing_permission_is_logged_once_and_tried_again_within_a_minute(
    queue: WorkQueue[str], clock: FakeClock
) -> None:
    """No event says that a permission was given; the resync comes after hours."""
    queue.add("a")
    answers: list[Exception | None] = [ForbiddenError("not you"), ForbiddenError("not you"), None]
    served: list[float] = []

    async def reconcile(_: str) -> float | None:
        served.append(clock.monotonic())
        answer = answers.pop(0)
        if answer is not None:
            raise answer
        return None

    with capture_logs() as logs:
        working = asyncio.create_task(work(queue, reconcile, name="test"))
        await clock.elapse(60)
        queue.shut_down()
        await working

    assert served == [0, 30, 60]
    assert [line["event"] for line in logs] == ["reconcile_gave_up"]


async def test_denial_that_passes_is_tried_again_within_half_a_minute(
    queue: WorkQueue[str], clock: FakeClock
) -> None:
    """However often it failed before: minutes of back-off are for what is broken."""
    for _ in range(20):
        queue.add_rate_limited("a")
    clock.advance(400)

    assert await serve(queue, DeniedError("not you, yet")) == ["info reconcile_deferred"]
    clock.advance(30)
    assert len(queue) == 1


async def test_crash_is_loud_slow_to_come_back_and_harms_no_other_key(queue: WorkQueue[str]) -> None:
    queue.add("a")
    queue.add("b")

    assert await serve(queue, ValueError("a bug"), None) == ["error reconcile_crashed"]
    assert (queue.failures("a"), queue.delayed, queue.in_hand) == (1, 1, 0)


async def test_reconcile_that_finds_no_more_files_comes_back_after_its_back_off(
    queue: WorkQueue[str], clock: FakeClock
) -> None:
    """It is no bug of whoever opens the file, and it passes; and we say which file."""

    async def reconcile(key: str) -> float | None:
        with no_more_files():
            os.close(os.open(os.devnull, os.O_RDONLY))
        return None

    queue.add("a")
    working = asyncio.create_task(work(queue, reconcile, name="test"))
    with capture_logs() as logs:
        await settle()
    working.cancel()
    await asyncio.wait([working])

    (told,) = logs
    assert told["event"] == "reconcile_deferred"
    assert told["error"] == "the operator lacks something it needs: Too many open files: /dev/null"
    assert (queue.failures("a"), queue.delayed) == (1, 1)


@pytest.mark.parametrize("number", [errno.ENFILE, errno.ENOSPC, errno.EDQUOT, errno.ENOMEM])
async def test_whatever_has_run_out_may_be_there_later(queue: WorkQueue[str], number: int) -> None:
    queue.add("a")

    assert await serve(queue, OSError(number, os.strerror(number))) == ["info reconcile_deferred"]
    assert (queue.failures("a"), queue.delayed) == (1, 1)


async def test_file_that_is_not_there_is_a_bug(queue: WorkQueue[str]) -> None:
    queue.add("a")

    assert await serve(queue, FileNotFoundError(errno.ENOENT, "No such file")) == ["error reconcile_crashed"]


async def test_cancelled_worker_gives_its_key_back(queue: WorkQueue[str]) -> None:
    """A key that stayed in a dead worker's hand would never be looked at again."""

    async def wait_for_ever(key: str) -> None:
        await asyncio.get_running_loop().create_future()

    queue.add("a")
    working = asyncio.create_task(work(queue, wait_for_ever, name="test"))
    await settle()
    assert queue.in_hand == 1
    working.cancel()
    await asyncio.wait([working])

    assert queue.in_hand == 0


async def test_workers_share_the_keys_and_end_when_the_queue_shuts_down(queue: WorkQueue[str]) -> None:
    together = asyncio.Barrier(3)
    served: list[str] = []

    async def reconcile(key: str) -> None:
        await together.wait()  # passes only if three are in hand at once
        served.append(key)

    for key in "abc":
        queue.add(key)
    running = asyncio.create_task(Controller("test", reconcile, 3, queue).run())
    await settle()
    queue.shut_down()
    await running

    assert sorted(served) == ["a", "b", "c"]


async def test_resync_brings_every_key_back_behind_all_others(
    queue: WorkQueue[str], clock: FakeClock
) -> None:
    async def never(key: str) -> None:
        await asyncio.get_running_loop().create_future()

    controller = Controller(
        "test", never, 1, queue, resync_keys=lambda: ["a", "b"], resync_seconds=100, rng=random.Random(1)
    )
    running = asyncio.create_task(controller.run())
    queue.add("in hand")
    await clock.until_sleeping()
    await settle()
    queue.add("waits", Priority.REFRESH)

    clock.advance(79)
    await settle()
    assert len(queue) == 1
    clock.advance(41)
    await settle()
    running.cancel()
    await asyncio.wait([running])
    assert [await queue.get() for _ in range(3)] == ["waits", "a", "b"]


async def test_resync_ends_with_the_workers(queue: WorkQueue[str], clock: FakeClock) -> None:
    controller = Controller("test", answering(), 2, queue, resync_keys=list[str])
    running = asyncio.create_task(controller.run())
    await clock.until_sleeping()
    queue.shut_down()

    await running
    assert clock.pending == 0


async def test_metrics_count_how_reconciles_end(queue: WorkQueue[str]) -> None:
    registry = CollectorRegistry()
    answers = answering(None, ForbiddenError("no"), TransientError("later"), ValueError("bug"))
    controller = Controller("scans", answers, 1, queue, metrics=ControllerMetrics(registry))
    for key in "abcd":
        queue.add(key)
    queue.shut_down()
    with capture_logs():
        await controller.run()

    def count(outcome: str) -> float | None:
        labels = {"controller": "scans", "outcome": outcome}
        return registry.get_sample_value("trivyop_reconcile_total", labels)

    assert [count(outcome) for outcome in ("done", "gave_up", "deferred", "crashed")] == [1, 1, 1, 1]


async def test_each_look_at_a_key_has_an_id_of_its_own(queue: WorkQueue[str]) -> None:
    """What one reconcile logs can be told from the next one's, and from another worker's."""
    seen: list[str] = []

    async def reconcile(key: str) -> None:
        seen.append(get_contextvars()["reconcile_id"])

    working = [asyncio.create_task(work(queue, reconcile, name="test")) for _ in range(2)]
    for _ in range(3):
        queue.add("a")
        queue.add("b")
        await settle()
    for task in working:
        task.cancel()
    await asyncio.wait(working)

    assert len(set(seen)) == len(seen) == 6
    assert "reconcile_id" not in get_contextvars()


async def test_drain_waits_for_the_key_in_hand_and_leaves_the_rest() -> None:
    """A stop must not cut a write short, nor work off a backlog first."""
    queue = WorkQueue[str](FakeClock())
    begun, finish, done = asyncio.Event(), asyncio.Event(), list[str]()

    async def reconcile(key: str) -> None:
        begun.set()
        await finish.wait()
        done.append(key)

    controller = Controller("c", reconcile, 1, queue)
    await controller.drain()  # one that was never run has nothing in hand

    queue = WorkQueue[str](FakeClock())
    controller = Controller("c", reconcile, 1, queue)
    queue.add("first")
    queue.add("second")
    running = asyncio.create_task(controller.run())
    await begun.wait()
    draining = asyncio.create_task(controller.drain())
    await asyncio.sleep(0)
    assert not draining.done()

    finish.set()
    await draining
    await running
    assert done == ["first"]
