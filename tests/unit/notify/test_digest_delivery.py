"""Digests on their way: one message for all that happened, nothing twice, nothing lost."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest

from tests.unit.notify.receiver import Fault, Receiver, Request, receiving
from tests.unit.notify.reports import vulnerability
from tests.unit.notify.world import World, world

SLACK = {"format": "slack", "digest_seconds": 60.0}


@pytest.fixture
async def here() -> AsyncGenerator[World]:
    async with world() as made:
        yield made


def headings(receiver: Receiver) -> list[str]:
    """What each message that was taken in begins with."""
    return [request.json["blocks"][0]["text"]["text"] for request in receiver.taken]


async def test_many_reports_are_one_message(here: World) -> None:
    async with receiving(here.clock) as receiver, here.channel(receiver, **SLACK) as channel:
        for n in range(200):
            here.reports.put(f"r{n}", 1, rows=[vulnerability("CVE-1")])
        await here.until(lambda: channel.idle, receiver)

        assert headings(receiver) == ["200 new findings in 200 workloads"]


async def test_next_digest_tells_only_what_happened_since(here: World) -> None:
    async with receiving(here.clock) as receiver, here.channel(receiver, **SLACK) as channel:
        here.reports.put("a", 1, rows=[vulnerability("CVE-1")])
        here.reports.put("b", 1, rows=[vulnerability("CVE-1")])
        await here.until(lambda: channel.idle, receiver)
        here.reports.put("a", 2, rows=[vulnerability("CVE-1"), vulnerability("CVE-2")])
        here.reports.put("b", 2)
        await here.until(lambda: channel.idle, receiver)

        assert headings(receiver) == ["2 new findings in 2 workloads", "1 new finding in 1 workload"]
        assert "resolved: 1 high" in receiver.taken[-1].json["text"]


async def test_report_without_news_is_no_message_and_forgotten_by_none(here: World) -> None:
    async with receiving(here.clock) as receiver:
        async with here.channel(receiver, **SLACK) as channel:
            here.reports.put("a", 1, rows=[vulnerability("CVE-1")])
            await here.until(lambda: channel.idle, receiver)
            here.reports.put("a", 2, rows=[vulnerability("CVE-1", installedVersion="1.1")])
            await here.until(lambda: channel.idle, receiver)

        async with here.channel(receiver, **SLACK) as channel:
            await here.until(lambda: channel.idle, receiver)

        assert headings(receiver) == ["1 new finding in 1 workload"]


async def test_digest_that_fails_comes_later_and_has_the_same_news(here: World) -> None:
    def misbehave(_: Request) -> Fault | None:
        return Fault.ERROR if len(receiver.requests) < 3 else None

    async with receiving(here.clock) as receiver, here.channel(receiver, **SLACK) as channel:
        receiver.misbehave = misbehave
        here.reports.put("a", 1, rows=[vulnerability("CVE-1")])
        await here.until(lambda: channel.idle, receiver)

        assert len(receiver.requests) == 4
        assert headings(receiver) == ["1 new finding in 1 workload"]
        assert len({request.body for request in receiver.requests}) == 1


async def test_rollout_is_not_told_and_what_it_repaired_is(here: World) -> None:
    async with receiving(here.clock) as receiver, here.channel(receiver, **SLACK) as channel:
        rows = [vulnerability("CVE-1"), vulnerability("CVE-2")]
        here.reports.put("replicaset-web-7b8cd85855-app", 1, rows=rows, labels=labels("7b8cd85855"))
        await here.until(lambda: channel.idle, receiver)
        here.reports.put("replicaset-web-6f94bd9c7b-app", 1, rows=rows, labels=labels("6f94bd9c7b"))
        here.reports.delete("replicaset-web-7b8cd85855-app")
        await here.until(lambda: channel.idle, receiver)
        here.reports.put("replicaset-web-5c6d7f8b9c-app", 1, rows=rows[:1], labels=labels("5c6d7f8b9c"))
        await here.until(lambda: channel.idle, receiver)

        assert headings(receiver) == ["2 new findings in 1 workload", "1 finding resolved"]


def labels(revision: str) -> dict[str, str]:
    """Those of a report of a ReplicaSet of the Deployment ``web``."""
    return {
        "trivy-operator.resource.kind": "ReplicaSet",
        "trivy-operator.resource.name": f"web-{revision}",
        "trivy-operator.resource.namespace": "shop",
        "trivy-operator.container.name": "app",
    }
