"""A channel: every final state gets to its endpoint, in order, once if it can be, whatever happens."""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from tests.clock import settle
from tests.unit.notify.receiver import Fault, Request, receiving
from tests.unit.notify.reports import vulnerability
from tests.unit.notify.world import NAMESPACE, World, subject, uid_of, world
from trivyop.kube.resources import CONFIGMAPS
from trivyop.notify.events import deletion
from trivyop.notify.filters import Filter
from trivyop.notify.transport import Access
from trivyop.report.findings import Severity

REFUSALS = (Fault.REFUSE, Fault.UNAUTHORIZED)


@pytest.fixture
async def here() -> AsyncGenerator[World]:
    async with world() as made:
        yield made


def delivered(requests: list[Request]) -> list[tuple[str, str, int]]:
    """Verb, name and version of each."""
    found: list[tuple[str, str, int]] = []
    for request in requests:
        body = request.json
        document: dict[str, Any] = body["operatorObject"]
        version = document.get("report", {}).get("version", -1)
        found.append((body["verb"], document["metadata"]["name"], version))
    return found


async def test_the_latest_state_is_told_once(here: World) -> None:
    async with receiving(here.clock) as receiver, here.channel(receiver) as channel:
        for version in range(5):
            here.reports.put("a", version)
        await here.until(lambda: channel.idle, receiver)

        assert delivered(receiver.taken)[-1] == ("update", "a", 4)
        assert len(receiver.taken) <= 2
        assert here.sample("trivyop_webhook_deliveries_total", result="delivered") == len(receiver.taken)
        assert here.sample("trivyop_webhook_last_success_timestamp_seconds") > 0


async def test_nothing_unchanged_is_sent_after_a_restart(here: World) -> None:
    async with receiving(here.clock) as receiver:
        async with here.channel(receiver) as channel:
            for n in range(200):
                here.reports.put(f"r{n}", 1)
            await here.until(lambda: channel.idle, receiver)
        before = len(receiver.requests)
        here.reports.put("r7", 2)
        here.reports.delete("r8", seen=False)

        async with here.channel(receiver) as channel:
            await here.until(lambda: channel.idle, receiver)

        again = receiver.requests[before:]
        assert before == 200
        assert sorted(delivered(again)) == [("delete", "r8", -1), ("update", "r7", 2)]
        (gone,) = [one.json for one in again if one.json["verb"] == "delete"]
        assert gone["operatorObject"]["metadata"] == {"name": "r8", "namespace": "shop", "uid": uid_of("r8")}


async def test_what_was_not_written_down_before_a_crash_is_sent_again_and_no_deletion_is_lost(
    here: World,
) -> None:
    """The receiver has it, the ledger may not: so it comes twice, and its deletion is told all the same."""
    async with receiving(here.clock) as receiver:
        async with here.channel(receiver):
            for n in range(50):
                here.reports.put(f"r{n}", 1)
            await here.until(lambda: len(receiver.taken) >= 20, receiver)
            here.alive = False  # kill -9: nothing is written any more
        heard = {name for _, name, _ in delivered(receiver.taken)}
        for name in sorted(heard):
            here.reports.delete(name, seen=False)
        before = len(receiver.requests)

        async with here.channel(receiver) as channel:
            await here.until(lambda: channel.idle, receiver)

        again = delivered(receiver.requests[before:])
        assert heard <= {name for verb, name, _ in again if verb == "delete"}
        assert {name for verb, name, _ in again if verb == "update"} == {f"r{n}" for n in range(50)} - heard


@pytest.mark.parametrize("restarts", [True, False])
@pytest.mark.parametrize("ends", ["deleted", "harmless"])
async def test_what_a_filter_held_back_before_is_not_forgotten_once_it_may_have_been_told(
    here: World, ends: str, restarts: bool
) -> None:
    """The receiver has the bad news, and nobody knows: the good news must not be held back."""

    def misbehave(_: Request) -> Fault | None:
        here.alive = not restarts  # kill -9, or just an answer that is lost
        return Fault.LOST_ANSWER if receiver.angry else None

    async with receiving(here.clock, misbehave=misbehave) as receiver:
        wanted = Filter(severity=Severity.HIGH)
        async with here.channel(receiver, filter=wanted) as channel:
            here.reports.put("a", 1, rows=[vulnerability("CVE-2026-0001", "LOW")])
            await here.until(lambda: channel.idle, receiver)
            here.reports.put("a", 2, rows=[vulnerability("CVE-2026-0002", "CRITICAL")])
            await here.until(lambda: len(receiver.taken) == 1, receiver)
            receiver.angry = False
            if not restarts:
                end(here, ends)
                await here.until(lambda: channel.idle, receiver)
        if restarts:
            end(here, ends)
            receiver.misbehave = lambda _: None
            async with here.channel(receiver, filter=wanted) as channel:
                await here.until(lambda: channel.idle, receiver)

    assert delivered(receiver.taken)[0] == ("update", "a", 2)
    last = {"deleted": ("delete", "a", -1), "harmless": ("update", "a", 3)}[ends]
    assert delivered(receiver.taken)[1:] == [last]


def end(here: World, how: str) -> None:
    if how == "deleted":
        here.reports.delete("a", seen=False)
    else:
        here.reports.put("a", 3, rows=[vulnerability("CVE-2026-0001", "LOW")])


async def test_the_deletion_of_another_report_of_the_same_name_names_that_one(here: World) -> None:
    """It was told of right before a crash."""
    async with receiving(here.clock) as receiver:
        async with here.channel(receiver) as channel:
            here.reports.put("a", 1)
            await here.until(lambda: channel.idle, receiver)
            receiver.misbehave = lambda _: setattr(here, "alive", False)
            here.reports.put("a", 2, life=1)
            await here.until(lambda: len(receiver.taken) == 2, receiver)
        receiver.misbehave = lambda _: None
        here.reports.delete("a", seen=False)

        async with here.channel(receiver) as channel:
            await here.until(lambda: channel.idle, receiver)

        assert delivered(receiver.taken)[-1][0] == "delete"
        assert receiver.taken[-1].json["operatorObject"]["metadata"]["uid"] == uid_of("a", 1)


async def test_a_deletion_carries_the_object_that_was_deleted(here: World) -> None:
    """The report that was told of last is another one."""
    async with receiving(here.clock) as receiver, here.channel(receiver) as channel:
        here.reports.put("a", 1)
        await here.until(lambda: channel.idle, receiver)
        here.reports.put("b", 1)
        await here.until(lambda: channel.idle, receiver)

        here.reports.delete("a")
        await here.until(lambda: channel.idle, receiver)

        assert delivered(receiver.taken)[-1] == ("delete", "a", 1)


async def test_a_deletion_after_updates_that_were_never_told_is_told(here: World) -> None:
    async with receiving(here.clock, misbehave=lambda _: Fault.ERROR) as receiver:
        async with here.channel(receiver) as channel:
            here.reports.put("a", 1)
            await here.until(lambda: len(receiver.requests) > 2, receiver)
            here.reports.delete("a")
            receiver.misbehave = lambda _: None
            await here.until(lambda: channel.idle, receiver)

        assert delivered(receiver.taken) == [("delete", "a", 1)]


async def test_a_deletion_whose_body_comes_while_the_report_seems_to_be_there_is_told_in_full(
    here: World,
) -> None:
    """Bodies and names are watched apart; either may come first."""
    async with receiving(here.clock) as receiver, here.channel(receiver) as channel:
        here.reports.put("a", 1)
        await here.until(lambda: channel.idle, receiver)
        here.reports.put("a", 2)
        document = here.reports.present[subject("a")]
        here.reports.gone[subject("a")] = deletion(subject("a"), uid_of("a"), document)
        await here.until(lambda: channel.idle, receiver)

        del here.reports.present[subject("a")]
        channel.changed(subject("a"))
        await here.until(lambda: channel.idle, receiver)

        assert delivered(receiver.taken) == [("update", "a", 1), ("update", "a", 2), ("delete", "a", 2)]


async def test_a_deletion_that_was_never_told_is_no_news_once_another_report_is_there(here: World) -> None:
    async with receiving(here.clock) as receiver, here.channel(receiver) as channel:
        here.reports.put("a", 1)
        await here.until(lambda: channel.idle, receiver)
        here.reports.delete("a")
        here.reports.put("a", 2, life=1)
        await here.until(lambda: channel.idle, receiver)

        assert delivered(receiver.taken) == [("update", "a", 1), ("update", "a", 2)]
        assert not here.reports.has_tombstone(subject("a"), "siem")


async def test_deliveries_wait_for_what_is_remembered_no_longer_than_etcd_needs(here: World) -> None:
    """The records of all senders are written together, and announcements with them."""
    async with receiving(here.clock) as receiver, here.channel(receiver) as channel:
        await here.until(lambda: channel.idle, receiver)
        began = here.clock.monotonic()
        for n in range(300):
            here.reports.put(f"r{n}", 1)
        await here.until(lambda: len(receiver.taken) == 300, receiver)

        assert here.traffic.writes < 300
        assert here.clock.monotonic() - began <= 20


async def test_where_a_kind_cannot_be_watched_nothing_counts_as_deleted(here: World) -> None:
    async with receiving(here.clock) as receiver:
        async with here.channel(receiver) as channel:
            here.reports.put("a", 1)
            await here.until(lambda: channel.idle, receiver)
        here.reports.present.clear()
        here.reports.blind = True

        async with here.channel(receiver) as channel:
            await here.until(lambda: channel.idle, receiver)

        assert delivered(receiver.taken) == [("update", "a", 1)]


async def test_a_dead_endpoint_is_called_seldom_and_gets_everything_in_the_end(here: World) -> None:
    async with (
        receiving(here.clock, misbehave=lambda _: Fault.HANG) as receiver,
        here.channel(receiver) as channel,
    ):
        for n in range(300):
            here.reports.put(f"r{n}", 1)
        began = here.clock.monotonic()
        await here.until(lambda: here.clock.monotonic() - began > 6 * 3600, receiver)
        calls = len(receiver.requests)
        assert calls < 200
        assert "no answer within 30 s" in (channel.problem or "")
        assert here.sample("trivyop_webhook_backlog") == 300
        assert here.sample("trivyop_webhook_problem") == 1

        receiver.misbehave = lambda _: None
        await here.until(lambda: channel.idle, receiver)

        assert channel.problem is None
        assert {name for _, name, _ in delivered(receiver.taken)} == {f"r{n}" for n in range(300)}


async def test_what_does_not_fit_is_counted_and_made_good(here: World) -> None:
    async with (
        receiving(here.clock, misbehave=lambda _: Fault.ERROR) as receiver,
        here.channel(receiver, capacity=20) as channel,
    ):
        await here.until(lambda: channel.idle, receiver)
        for n in range(100):
            here.reports.put(f"r{n}", 1)
        assert here.sample("trivyop_webhook_dropped_total", reason="backlog") == 80
        assert here.sample("trivyop_webhook_backlog") == 20

        receiver.misbehave = lambda _: None
        await here.until(lambda: channel.idle, receiver)

        assert {name for _, name, _ in delivered(receiver.taken)} == {f"r{n}" for n in range(100)}


async def test_a_refused_report_is_not_sent_again_until_it_or_the_endpoint_changes(here: World) -> None:
    async with receiving(here.clock, misbehave=lambda _: Fault.REFUSE) as receiver:
        async with here.channel(receiver) as channel:
            here.reports.put("a", 1)
            await here.until(lambda: channel.idle, receiver)
            channel.compare()
            await here.until(lambda: channel.idle, receiver)
            assert len(receiver.requests) == 1
            assert here.sample("trivyop_webhook_dropped_total", reason="refused") == 1
            assert channel.problem == "endpoint 'siem' answers 400: no, because"
            assert [one for one, _ in here.refusals] == [subject("a")]

        async with here.channel(receiver) as channel:  # nor after a restart
            await here.until(lambda: channel.idle, receiver)
            assert len(receiver.requests) == 1

            receiver.misbehave = lambda _: None
            await channel.use(Access(endpoint="siem", url=receiver.url, fingerprint="2"))
            await here.until(lambda: channel.idle, receiver)

            assert delivered(receiver.taken) == [("update", "a", 1)]
            assert channel.problem is None


async def test_ten_thousand_events_through_every_fault_end_with_every_final_state_told(here: World) -> None:
    """Each report's states arrive in order; what was refused is the only thing that is missing."""
    rng = random.Random(20260102)
    faults = [*Fault, *[None] * len(Fault)]

    def misbehave(_: Request) -> Fault | None:
        return rng.choice(faults) if receiver.angry else None

    async with (
        receiving(here.clock, misbehave=misbehave) as receiver,
        here.channel(receiver, concurrency=8) as channel,
    ):
        for version in range(1, 10_001):
            name = f"r{rng.randrange(600)}"
            if subject(name) in here.reports.present and rng.random() < 0.2:
                here.reports.delete(name, seen=rng.random() < 0.9)
            else:
                here.reports.put(name, version, life=version)
            if version % 100 == 0:
                aim = len(receiver.requests) + 10  # so that much happens in between
                await here.until(lambda aim=aim: len(receiver.requests) >= aim or channel.idle, receiver)
        await here.until(lambda: channel.idle, receiver)

        last: dict[str, tuple[str, int]] = {}
        for request in receiver.requests:
            ((verb, name, seen),) = delivered([request])
            if request.fault is not None and request not in receiver.taken:
                if request.fault in REFUSALS and last.get(name, ("", 0))[0] != "delete":
                    last.pop(name, None)  # it said itself that it does not want it
                continue
            if seen >= 0 and name in last and last[name][1] > seen:
                raise AssertionError(f"{name}: {seen} after {last[name]}")
            last[name] = (verb, seen)
        refused = {one.key.name for one, _ in here.refusals}
        for one, document in here.reports.present.items():
            state = last.get(one.key.name)
            final = ("update", document["report"]["version"])
            assert state == final or one.key.name in refused
        for name, (verb, _) in last.items():
            if subject(name) not in here.reports.present and name not in refused:
                assert verb == "delete"

        receiver.angry = False
        await channel.use(Access(endpoint="siem", url=receiver.url, fingerprint="2"))
        await here.until(lambda: channel.idle, receiver)
        latest = {name: version for verb, name, version in delivered(receiver.taken) if verb == "update"}
        assert {
            one.key.name: document["report"]["version"] for one, document in here.reports.present.items()
        }.items() <= latest.items()


async def test_the_ledger_stays_small(here: World) -> None:
    async with receiving(here.clock) as receiver, here.channel(receiver) as channel:
        for n in range(500):
            here.reports.put(f"replicaset-some-workload-{n}-7b8cd85855-app", n)
        await here.until(lambda: channel.idle, receiver)

        listing = await here.api.list(CONFIGMAPS, namespace=NAMESPACE, type=dict[str, Any])
        pages = [
            one for one in listing.items if one["metadata"]["name"].startswith("trivyop-delivered-siem-")
        ]
        size = sum(len(text) for page in pages for text in page["binaryData"].values())
        assert len(pages) < 20
        assert size < 500 * 150  # in base64


async def test_without_a_ledger_everything_is_told_all_the_same(here: World) -> None:
    """Its permission is missing, say; `problem` tells that everything will come again."""
    async with receiving(here.clock) as receiver, here.channel(receiver) as channel:
        here.forbidden = True
        for n in range(20):
            here.reports.put(f"r{n}", 1)
        await here.until(lambda: len(receiver.taken) == 20, receiver)

        assert (channel.problem or "").startswith("what was delivered cannot be remembered: ")


@pytest.mark.parametrize("deletes", [True, False])
async def test_who_does_not_lead_any_more_sends_nothing(here: World, deletes: bool) -> None:
    """It could not be remembered, so the next leader would repeat all of it."""
    async with receiving(here.clock) as receiver, here.channel(receiver, deletes=deletes) as channel:
        await here.until(lambda: channel.idle, receiver)
        here.alive = False
        for n in range(20):
            here.reports.put(f"r{n}", 1)
        await here.clock.elapse(600)
        sent = len(receiver.requests)

        here.alive = True
        await here.until(lambda: channel.idle, receiver)

        assert sent == 0
        assert len(receiver.requests) == 20


@pytest.mark.parametrize("hashless", [True, False])
async def test_a_comparison_gets_through_to_the_last_report_however_many_are_due(
    here: World, hashless: bool
) -> None:
    """Reports without a hash are due until they were read, also those that were told long ago."""
    here.reports.hashless = hashless
    for n in range(100):
        here.reports.put(f"r{n}", 1)
    async with (
        receiving(here.clock) as receiver,
        here.channel(receiver, capacity=20, deletes=False) as channel,
    ):
        for round_ in (1, 2, 3):
            await here.until(lambda: channel.idle, receiver)
            assert len(receiver.requests) == 100
            assert here.reports.reads == (100 * round_ if hashless else 100)
            channel.compare()

        assert here.sample("trivyop_webhook_dropped_total", reason="backlog") == 0


async def test_a_channel_that_crashes_tells_what_it_had_in_hand_when_it_is_back(here: World) -> None:
    async with receiving(here.clock) as receiver, here.channel(receiver) as channel:
        await here.until(lambda: channel.idle, receiver)
        for n in range(20):
            here.reports.put(f"r{n}", 1)
        await settle()  # until four of them wait for the ledger to be written
        here.reports.broken = True
        channel.compare()
        await here.until(lambda: here.crashes == 1 and channel.idle, receiver)

        assert {name for _, name, _ in delivered(receiver.taken)} == {f"r{n}" for n in range(20)}
        assert here.sample("trivyop_webhook_backlog") == 0


async def test_a_receivers_wish_for_a_pause_is_respected(here: World) -> None:
    faults = iter([Fault.BUSY])
    times: list[float] = []

    def misbehave(_: Request) -> Fault | None:
        times.append(here.clock.monotonic())
        return next(faults, None)

    async with (
        receiving(here.clock, misbehave=misbehave) as receiver,
        here.channel(receiver, concurrency=1) as channel,
    ):
        here.reports.put("a", 1)
        here.reports.put("b", 1)
        await here.until(lambda: channel.idle, receiver)

    assert len(times) == 3
    assert 7 <= times[1] - times[0] <= 8


async def test_a_report_that_alone_fails_does_not_hold_up_the_others(here: World) -> None:
    """A bug of the receiver's, set off by one of them."""

    def misbehave(one: Request) -> Fault | None:
        return Fault.ERROR if b'"name":"poison"' in one.body else None

    async with receiving(here.clock, misbehave=misbehave) as receiver, here.channel(receiver) as channel:
        here.reports.put("poison", 1)
        for n in range(50):
            here.reports.put(f"r{n}", 1)
        await here.until(lambda: len(receiver.taken) == 50, receiver)
        soon = here.clock.monotonic()
        here.reports.put("poison", 2)
        receiver.misbehave = lambda _: None
        await here.until(lambda: channel.idle, receiver)

    assert soon < 120
    assert delivered(receiver.taken)[-1] == ("update", "poison", 2)
