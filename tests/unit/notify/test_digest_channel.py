"""Digests: one message for all that happened in a while, and nothing lost when it cannot be sent."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import pytest

from tests.unit.notify.receiver import Fault, receiving
from tests.unit.notify.reports import vulnerability
from tests.unit.notify.world import World, world

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
