"""Kills: what an endpoint hears across kill -9 at any moment, from its own record of what came."""

from __future__ import annotations

import random
from bisect import bisect_right
from collections import Counter
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from tests.unit.notify.receiver import Fault, Receiver, Request, receiving
from tests.unit.notify.world import World, subject, world
from trivyop.notify.transport import Access

ANSWERED = (None, Fault.SLOW_BODY, Fault.ENDLESS_BODY)  # with 2xx, as far as the sender can tell
REFUSALS = (Fault.REFUSE, Fault.UNAUTHORIZED)


@pytest.fixture
async def here() -> AsyncGenerator[World]:
    async with world() as made:
        yield made


def delivered(request: Request) -> tuple[str, str, int]:
    """Verb, name and version."""
    body = request.json
    document: dict[str, Any] = body["operatorObject"]
    return body["verb"], document["metadata"]["name"], document.get("report", {}).get("version", -1)


@pytest.mark.parametrize("seed", range(8))
async def test_a_kill_at_any_moment_of_a_storm_repeats_no_more_than_was_in_hand(
    here: World, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """A thousand changes to an endpoint that fails in every way, with a kill now and then."""
    rng = random.Random(seed)
    if seed > 3:  # the pages are written all the time
        monkeypatch.setattr("trivyop.notify.ledger.ledger._JOURNAL_BYTES", (1000, 1000))
    concurrency = [1, 2, 4, 8][seed % 4]
    faults = [*Fault, *[None] * 2 * len(Fault)]
    if concurrency > 1:
        faults.remove(Fault.HANG)  # time passes then, also for others whose answers are under way
    death = 0  # of so many requests to come, or
    last_write = 0

    def misbehave(_: Request) -> Fault | None:
        if death and len(receiver.requests) >= death:
            here.alive = False  # with that request taken, and perhaps answered
        return rng.choice(faults) if receiver.angry else None

    def begin(number: int) -> None:
        if last_write and number >= last_write:
            here.alive = False
            here.check_alive()

    lives: list[int] = []  # the first request of each
    async with receiving(here.clock, misbehave=misbehave) as receiver:
        here.traffic.on_begin = begin
        version = 0
        while version < 1000:
            lives.append(len(receiver.requests))
            if rng.random() < 0.7:
                death, last_write = len(receiver.requests) + rng.randrange(1, 80), 0
            else:
                death, last_write = 0, here.traffic.writes + rng.randrange(1, 40)
            async with here.channel(receiver, concurrency=concurrency) as channel:
                while here.alive and version < 1000:
                    for _ in range(rng.randrange(1, 20)):
                        version += 1
                        change(here, rng, version)
                    aim = len(receiver.requests) + rng.randrange(20)
                    await here.until(
                        lambda aim=aim: not here.alive or len(receiver.requests) >= aim or channel.idle,
                        receiver,
                    )
                here.alive = False
            for _ in range(rng.randrange(10)):  # while nobody looks
                version += 1
                change(here, rng, version, seen=False)
            for name in {delivered(one)[1] for one in receiver.taken[-8:]}:  # part of it unwritten
                if subject(name) in here.reports.present and rng.random() < 0.4:
                    here.reports.delete(name, seen=False)
        death = last_write = 0
        lives.append(len(receiver.requests))
        async with here.channel(receiver, concurrency=concurrency) as channel:
            await here.until(lambda: channel.idle, receiver)
            receiver.angry = False
            await channel.use(Access(endpoint="siem", url=receiver.url, fingerprint="2"))
            await here.until(lambda: channel.idle, receiver)

    assert len(lives) > 8
    assert seed <= 3 or here.traffic.by_kind["page"] > 100
    assert_in_order(receiver)
    assert_final(here, receiver)
    assert len([one for one in receiver.requests if one.fault in ANSWERED]) > 300
    repeats = count_repeats(receiver, lives)
    assert max(repeats.values(), default=0) <= concurrency


def count_repeats(receiver: Receiver, lives: list[int]) -> Counter[int]:
    """How many bodies that were answered in a life, with 2xx, came again in a later one."""
    repeats: Counter[int] = Counter()
    answered: dict[bytes, int] = {}
    for number, request in enumerate(receiver.requests):
        life = bisect_right(lives, number)
        if request.fault in REFUSALS:
            answered.pop(request.body, None)  # the receiver did not want it then: it gets it once more
        elif request.fault in ANSWERED:
            if request.body in answered:
                assert answered[request.body] < life, "it came again without a kill"
                repeats[answered[request.body]] += 1
            answered[request.body] = life
    return repeats


def change(here: World, rng: random.Random, version: int, *, seen: bool = True) -> None:
    """Change some report, or delete it; each state of a report is told apart by its version."""
    name = f"r{rng.randrange(120)}"
    if subject(name) in here.reports.present and rng.random() < 0.25:
        here.reports.delete(name, seen=seen and rng.random() < 0.8)
    else:
        here.reports.put(name, version, life=version)


def assert_in_order(receiver: Receiver) -> None:
    """Of each report, later states came later."""
    last: dict[str, int] = {}
    for request in receiver.taken:
        _, name, version = delivered(request)
        if version >= 0:
            assert last.get(name, 0) <= version
            last[name] = version


def assert_final(here: World, receiver: Receiver) -> None:
    """What is there was told as it is; what is not there was told to be gone, if it was ever told."""
    last = {name: (verb, version) for verb, name, version in map(delivered, receiver.taken)}
    for one, document in here.reports.present.items():
        assert last[one.key.name] == ("update", document["report"]["version"])
    refused = {delivered(one)[1] for one in receiver.requests if one.fault in REFUSALS}
    for name, (verb, _) in last.items():
        if subject(name) not in here.reports.present and name not in refused:
            assert verb == "delete", f"{name} is not known to be gone"
