"""Digests: one message for all that happened in a while, and nothing lost when it cannot be sent."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Sequence
from datetime import datetime
from typing import Any

import pytest

from tests.clock import settle
from tests.unit.notify.receiver import Fault, Request, receiving
from tests.unit.notify.reports import vulnerability
from tests.unit.notify.world import World, world
from trivyop.notify.endpoint import Endpoint
from trivyop.notify.formats import Message
from trivyop.notify.formats.slack import SlackFormat
from trivyop.notify.transport import Access, Transport

CHAT: dict[str, Any] = {"name": "chat", "format": "slack", "envelope": False, "digest_seconds": 900.0}


@pytest.fixture
async def here() -> AsyncGenerator[World]:
    async with world() as made:
        yield made


async def test_what_happens_within_the_interval_is_one_message(here: World) -> None:
    async with receiving(here.clock) as receiver, here.channel(receiver, **CHAT) as channel:
        await here.until(lambda: channel.idle, receiver)
        began = here.clock.monotonic()
        for n in range(5):
            here.reports.put(f"r{n}", 1, rows=[vulnerability(f"CVE-2026-000{n}", "CRITICAL")])
        await here.until(lambda: channel.idle, receiver)

        (only,) = receiver.requests
        assert here.clock.monotonic() - began >= 900
        for n in range(5):
            assert f"CVE-2026-000{n}" in only.body.decode()


async def test_nothing_new_is_no_message(here: World) -> None:
    async with receiving(here.clock) as receiver:
        async with here.channel(receiver, **CHAT) as channel:
            here.reports.put("a", 1, rows=[vulnerability("CVE-2026-0001", "CRITICAL")])
            await here.until(lambda: channel.idle, receiver)
            here.reports.put("a", 2, rows=[vulnerability("CVE-2026-0001", "CRITICAL")])
            await here.until(lambda: channel.idle, receiver)
        async with here.channel(receiver, **CHAT) as channel:
            await here.until(lambda: channel.idle, receiver)

    assert len(receiver.requests) == 1


async def test_a_digest_that_cannot_be_sent_comes_later_and_once(here: World) -> None:
    async with receiving(here.clock, misbehave=lambda _: Fault.ERROR) as receiver:
        async with here.channel(receiver, **CHAT):
            here.reports.put("a", 1, rows=[vulnerability("CVE-2026-0001", "CRITICAL")])
            await here.until(lambda: len(receiver.requests) >= 3, receiver)
            here.alive = False  # killed meanwhile
        receiver.misbehave = lambda _: None

        async with here.channel(receiver, **CHAT) as channel:
            await here.until(lambda: channel.idle, receiver)

        (only,) = receiver.taken
        assert "CVE-2026-0001" in only.body.decode()


async def test_a_kill_repeats_the_last_digest_at_most(here: World) -> None:
    """Word for word."""

    def misbehave(_: Request) -> Fault | None:
        here.alive = len(receiver.requests) != 1  # killed as the second one is taken
        return None

    async with receiving(here.clock, misbehave=misbehave) as receiver:
        async with here.channel(receiver, **CHAT) as channel:
            here.reports.put("a", 1, rows=[vulnerability("CVE-2026-0001", "CRITICAL")])
            await here.until(lambda: channel.idle, receiver)
            here.reports.put("b", 1, rows=[vulnerability("CVE-2026-0002", "CRITICAL")])
            await here.until(lambda: not here.alive, receiver)
        async with here.channel(receiver, **CHAT) as channel:
            await here.until(lambda: channel.idle, receiver)

    first, second, again = receiver.taken
    assert "CVE-2026-0001" in first.body.decode()
    assert again.body == second.body


async def test_what_is_too_much_for_one_digest_is_in_the_next(
    here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trivyop.notify.channel._MAX_NOTES", 3)
    async with receiving(here.clock) as receiver, here.channel(receiver, **CHAT) as channel:
        for n in range(7):
            here.reports.put(f"r{n}", 1, rows=[vulnerability(f"CVE-2026-000{n}", "CRITICAL")])
        await here.until(lambda: channel.idle, receiver)

        assert len(receiver.requests) == 3
        bodies = b" ".join(one.body for one in receiver.requests).decode()
        for n in range(7):
            assert f"CVE-2026-000{n}" in bodies


async def test_a_digest_waits_while_old_connections_are_closed(
    here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is nobody to send it then; trying all the time would leave no turn to the closing."""
    closed = asyncio.Event()
    retire = Transport.retire

    async def retire_slowly(transport: Transport) -> None:
        await closed.wait()
        await retire(transport)

    async with receiving(here.clock, misbehave=lambda _: Fault.ERROR) as receiver:
        async with here.channel(receiver, **CHAT) as channel:
            here.reports.put("a", 1, rows=[vulnerability("CVE-2026-0001", "CRITICAL")])
            await here.until(lambda: len(receiver.requests) >= 2, receiver)
            monkeypatch.setattr(Transport, "retire", retire_slowly)
            renewing = asyncio.create_task(
                channel.use(Access(endpoint="chat", url=receiver.url, fingerprint="2"))
            )
            await settle()
            receiver.misbehave = lambda _: None
            before = len(receiver.requests)
            await here.clock.elapse(3600)
            meanwhile = len(receiver.requests) - before
            closed.set()
            await renewing
            await here.until(lambda: channel.idle, receiver)

        assert meanwhile == 0
        assert len(receiver.taken) == 1


async def test_a_digest_is_not_sent_by_who_does_not_lead_any_more(here: World) -> None:
    async with receiving(here.clock) as receiver, here.channel(receiver, **CHAT) as channel:
        await here.until(lambda: channel.idle, receiver)
        here.alive = False
        here.reports.put("a", 1, rows=[vulnerability("CVE-2026-0001", "CRITICAL")])
        await here.clock.elapse(3600)
        sent = len(receiver.requests)

        here.alive = True
        await here.until(lambda: channel.idle, receiver)

        assert sent == 0
        assert len(receiver.requests) == 1


async def test_a_digest_is_worded_without_holding_up_the_event_loop(here: World) -> None:
    """Thousands of notes take a while."""
    threads: list[threading.Thread] = []

    class Words(SlackFormat):
        def digest(self, notes: Sequence[Any], endpoint: Endpoint, now: datetime) -> Sequence[Message]:
            threads.append(threading.current_thread())
            return super().digest(notes, endpoint, now)

    async with receiving(here.clock) as receiver, here.channel(receiver, words=Words(), **CHAT) as channel:
        here.reports.put("a", 1, rows=[vulnerability("CVE-2026-0001", "CRITICAL")])
        await here.until(lambda: channel.idle, receiver)

    assert len(receiver.requests) == 1
    assert threading.main_thread() not in threads
    assert len(threads) == 1
