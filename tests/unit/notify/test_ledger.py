"""The ledger: what was delivered is found again, stays small, and survives what happens to its ConfigMaps."""

from __future__ import annotations

import asyncio
import base64
import random
import uuid
from collections import defaultdict
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from tests.clock import settle
from tests.unit.notify.world import NAMESPACE, World, subject, uid_of, world
from trivyop.errors import TransientError
from trivyop.kube.resources import CONFIGMAPS, ObjectKey
from trivyop.notify.events import Subject
from trivyop.notify.ledger.configmaps import decode_findings
from trivyop.notify.ledger.ledger import Ledger
from trivyop.notify.ledger.records import Mark, Record, content_of, pack_record, unpack_record
from trivyop.sandbox.apiserver.faults import Rule

MARKS = [Mark.NONE, Mark.SENT, Mark.SENT | Mark.REFUSED]


@pytest.fixture
async def here() -> AsyncGenerator[World]:
    async with world() as made:
        yield made


async def written(here: World) -> dict[str, dict[str, str]]:
    """What is in the cluster: the data of each ConfigMap by its short name."""
    listing = await here.api.list(
        CONFIGMAPS, namespace=NAMESPACE, label_selector="trivyop.dev/webhook=siem", type=dict[str, Any]
    )
    return {
        one["metadata"]["name"].removeprefix("trivyop-delivered-siem-"): one["binaryData"]
        for one in listing.items
    }


async def age(here: World, one: Ledger) -> None:
    """Let the journal get so old that it goes into the pages."""
    await one.flush()
    here.clock.advance(3600)
    await one.flush()


async def loaded(here: World) -> Ledger:
    """What the next one finds."""
    one = here.ledger()
    await one.load()
    return one


def state(one: Ledger) -> dict[Subject, tuple[Record | None, bytes | None]]:
    """All that is remembered."""
    found = {each: one.get(each) for each in one.subjects()}
    return {each: (record, one.findings(record) if record else None) for each, record in found.items()}


@given(
    st.one_of(st.uuids().map(str), st.text(max_size=40)),
    st.binary(min_size=8, max_size=8),
    st.sampled_from(MARKS),
    st.one_of(st.just(b""), st.binary(min_size=8, max_size=8)),
)
def test_a_record_is_read_as_it_was_written(uid: str, content: bytes, marks: Mark, findings: bytes) -> None:
    record = Record(uid, content, marks, findings)

    assert unpack_record(pack_record(record)) == record


def test_a_record_takes_few_bytes() -> None:
    record = Record(str(uuid.uuid4()), content_of("hash"), Mark.SENT, b"findings")

    assert len(pack_record(record)) == 34


@pytest.mark.parametrize("old", [False, True])
async def test_what_was_put_is_found_by_the_next_one(here: World, old: bool) -> None:
    """In the journal, and once it has gone into the pages."""
    first = here.ledger()
    for n in range(100):
        first.put(
            subject(f"r{n}"), Record(uid_of(f"r{n}"), content_of(str(n)), Mark.SENT), b"sixsix" * (n % 3)
        )
    first.remove(subject("r7"))
    await first.flush()
    if old:
        await age(here, first)

    second = await loaded(here)

    assert any(name.startswith("journal-") for name in await written(here)) is not old
    assert len(second) == 99
    assert second.get(subject("r7")) is None
    record = second.get(subject("r5"))
    assert record is not None
    assert (record.uid, record.content, record.marks) == (uid_of("r5"), content_of("5"), Mark.SENT)
    assert second.findings(record) == b"sixsix" * 2
    assert set(second.subjects()) == {subject(f"r{n}") for n in range(100) if n != 7}


async def test_reports_of_one_image_share_their_findings(here: World) -> None:
    one = here.ledger()
    findings = bytes(range(240))
    for n in range(1000):
        one.put(subject(f"r{n}"), Record(uid_of(f"r{n}"), content_of("x"), Mark.SENT), findings)
    await age(here, one)

    kept = [data for name, data in (await written(here)).items() if name.startswith("findings-")]

    assert len(kept) == 1
    assert decode_findings(kept[0]).popitem()[1] == findings


@pytest.mark.parametrize("old", [False, True])
async def test_findings_that_nobody_has_any_more_go(here: World, old: bool) -> None:
    one = here.ledger()
    one.put(subject("a"), Record("u", content_of("1"), Mark.SENT), b"old")
    if old:
        await age(here, one)
    one.put(subject("a"), Record("u", content_of("2"), Mark.SENT), b"new")
    await one.flush()

    again = await loaded(here)

    assert list(again._records._sets.values()) == [b"new"]


async def test_findings_that_come_back_are_written_down_again(here: World) -> None:
    """They have left the pages meanwhile."""
    one = here.ledger()
    for findings in (b"old", b"new", b"newer"):
        one.put(subject("a"), Record("u", content_of("1"), Mark.SENT), findings)
        await age(here, one)
    one.put(subject("a"), Record("u", content_of("2"), Mark.SENT), b"old")
    await one.flush()

    assert state(await loaded(here)) == state(one)


async def test_one_change_writes_a_few_bytes(here: World) -> None:
    one = here.ledger()
    for n in range(2000):
        one.put(subject(f"replicaset-web-{n}-7b8cd85855-app"), Record(uid_of(str(n)), content_of(str(n))))
    await age(here, one)
    before = here.traffic.bytes

    one.put(subject("replicaset-web-7-7b8cd85855-app"), Record(uid_of("7"), content_of("new")))
    await one.flush()

    assert len(await written(here)) == 16 + 1
    assert here.traffic.bytes - before < 900


async def test_an_idle_ledger_writes_nothing(here: World) -> None:
    one = here.ledger()
    one.put(subject("a"), Record("u", content_of("1")))
    running = asyncio.create_task(one.run())
    await here.until(lambda: one.clean)
    await here.until(lambda: here.traffic.by_kind["delete"] > 0 and not here.traffic.busy)
    before = here.traffic.writes
    await here.clock.elapse(30 * 86400)

    (page,) = await written(here)
    assert not page.startswith("journal-")
    assert here.traffic.writes == before == 3  # the journal, the page, and the journal goes
    running.cancel()
    await asyncio.wait([running])


async def test_thirty_thousand_reports_stay_far_below_what_a_configmap_may_hold(here: World) -> None:
    """And as many at once are no longer journal, but go to the pages."""
    one = here.ledger()
    for n in range(30_000):
        key = ObjectKey(f"team-{n % 300}", f"replicaset-some-service-{n}-7b8cd85855-container")
        one.put(subject("x")._replace(key=key), Record(uid_of(str(n)), content_of(str(n)), Mark.SENT))
    await one.flush()

    sizes = [len(base64.b64decode(data["records"])) for data in (await written(here)).values()]
    assert max(sizes) < 150_000
    assert here.traffic.by_kind == {"page": 16}


async def test_much_at_once_goes_to_the_journal_in_pieces_if_the_pages_have_just_been_written(
    here: World,
) -> None:
    one = here.ledger()
    for life in ("1", "2"):
        for n in range(8_000):
            one.put(subject(f"replicaset-web-{n}-7b8cd85855-app"), Record(uid_of(str(n)), content_of(life)))
        await one.flush()

    assert here.traffic.by_kind["page"] == 16
    assert 2 <= here.traffic.by_kind["part"] <= 4
    assert state(await loaded(here)) == state(one)


async def test_what_is_damaged_is_told_of_and_costs_only_what_was_in_it(here: World) -> None:
    one = here.ledger()
    for n in range(200):
        one.put(subject(f"r{n}"), Record(uid_of(f"r{n}"), content_of("1"), Mark.SENT))
    await age(here, one)
    for n in range(3):
        one.put(subject(f"new{n}"), Record("u", content_of("1"), Mark.SENT))
        await one.flush()
        one._journal.seal()
    part = sorted(await written(here))[-2]
    for name, junk in (("00", b"junk"), ("01", b""), (part, b"junk")):
        patch = {"binaryData": {"records": base64.b64encode(junk).decode()}}
        await here.api.patch(CONFIGMAPS, ObjectKey(NAMESPACE, f"trivyop-delivered-siem-{name}"), patch)

    again = here.ledger()
    with capture_logs() as logs:
        await again.load()

    known = set(again.subjects())
    assert 100 < len(known) < 202
    assert known & {subject("new0"), subject("new1"), subject("new2")} == {subject("new0"), subject("new2")}
    told = {line["page"] for line in logs if line["event"] == "webhook_ledger_damaged"}
    assert told == {"00", "01", part}


async def test_a_part_that_is_lost_costs_only_what_was_in_it(here: World) -> None:
    one = here.ledger()
    for n in range(3):
        one.put(subject(f"r{n}"), Record("u", content_of("1"), Mark.SENT))
        await one.flush()
        one._journal.seal()
    await here.api.delete(
        CONFIGMAPS, ObjectKey(NAMESPACE, f"trivyop-delivered-siem-{sorted(await written(here))[1]}")
    )

    assert set((await loaded(here)).subjects()) == {subject("r0"), subject("r2")}


async def test_pages_that_know_of_no_journal_are_read(here: World) -> None:
    """As they were written before there was one."""
    one = here.ledger()
    for n in range(50):
        one.put(subject(f"r{n}"), Record(uid_of(f"r{n}"), content_of("1"), Mark.SENT), b"sixsix" * n)
    await age(here, one)
    for name in await written(here):
        key = ObjectKey(NAMESPACE, f"trivyop-delivered-siem-{name}")
        await here.api.patch(CONFIGMAPS, key, {"binaryData": {"covers": None}})

    again = await loaded(here)
    assert state(again) == state(one)
    again.put(subject("r7"), Record("u", content_of("2")))
    again.remove(subject("r8"))
    await again.flush()

    assert state(await loaded(here)) == state(again)


async def test_while_it_cannot_be_written_it_says_so_and_writes_all_of_it_later(here: World) -> None:
    """Who waits goes on after half a minute."""
    one = here.ledger()
    here.alive = False
    running = asyncio.create_task(one.run())
    waiting = asyncio.create_task(one.written(one.put(subject("a"), Record("u", content_of("1")))))
    await here.until(waiting.done)
    problem, clean, seconds = one.problem, one.clean, here.clock.monotonic()
    await one.written(one.put(subject("b"), Record("u", content_of("1"))))  # at once

    here.alive = True
    await here.until(lambda: one.clean)

    assert problem is not None
    assert "the process is dead" in problem
    assert not clean
    assert 30 <= seconds <= 50
    assert one.problem is None
    assert state(await loaded(here)) == state(one)
    running.cancel()
    await asyncio.wait([running])


async def test_who_waits_goes_on_at_once_when_it_cannot_be_written(here: World) -> None:
    here.server.faults.add(Rule(code=422, verb="patch", resource="configmaps"))
    one = here.ledger()
    running = asyncio.create_task(one.run())

    await one.written(one.put(subject("a"), Record("u", content_of("1"))))

    assert "422" in (one.problem or "")
    assert here.clock.monotonic() == 0
    running.cancel()
    await asyncio.wait([running])


async def test_who_waits_goes_on_once_it_is_written(here: World) -> None:
    one = here.ledger()
    change = one.put(subject("a"), Record("u", content_of("1")))
    waiting = asyncio.create_task(one.written(change))
    await settle()
    early = waiting.done()

    running = asyncio.create_task(one.run())
    await waiting

    assert not early
    assert here.clock.monotonic() == 0
    assert set((await loaded(here)).subjects()) == {subject("a")}
    running.cancel()
    await asyncio.wait([running])


async def test_what_nobody_waits_for_is_written_together(here: World) -> None:
    """What a filter holds back, say, of which a crash costs nothing but another look."""
    one = here.ledger()
    running = asyncio.create_task(one.run())
    for n in range(100):
        one.put(subject(f"r{n}"), Record("u", content_of("1")))
        await settle()
    early = here.traffic.writes
    await here.until(lambda: one.clean)

    assert early == 0
    assert here.traffic.writes == 1
    assert here.clock.monotonic() == 1
    running.cancel()
    await asyncio.wait([running])


async def test_who_waits_all_the_time_gets_so_many_writes_a_second(here: World) -> None:
    one = here.ledger()
    running = asyncio.create_task(one.run())

    async def work(name: str) -> None:
        for n in range(200):
            await one.written(one.put(subject(name), Record("u", content_of(str(n)))))

    workers = [asyncio.create_task(work(f"r{n}")) for n in range(4)]
    await here.until(lambda: all(worker.done() for worker in workers))

    assert 200 <= here.traffic.writes <= 210  # what all four put is written together
    assert 7.5 <= here.clock.monotonic() <= 9  # 20 a second, but for the first forty
    running.cancel()
    await asyncio.wait([running])


async def test_an_api_server_that_has_too_much_to_do_is_waited_for(here: World) -> None:
    """Everything is coalesced meanwhile; nothing is a problem yet."""
    here.server.faults.add(Rule(code=429, retry_after=3, verb="patch", resource="configmaps", times=4))
    one = here.ledger()
    running = asyncio.create_task(one.run())
    problems: set[str | None] = set()
    for n in range(100):
        change = one.put(subject("a"), Record("u", content_of(str(n))))
    waiting = asyncio.create_task(one.written(change))
    while not waiting.done():
        await here.until(lambda: here.clock.sleeping > 0 or waiting.done())
        problems.add(one.problem)
        one.put(subject("b"), Record("u", content_of("1")))
        here.clock.advance(1)

    assert problems == {None}
    assert here.traffic.writes == 5
    assert here.clock.monotonic() >= 12
    assert state(await loaded(here)) == state(one)
    running.cancel()
    await asyncio.wait([running])


async def test_a_page_without_records_goes(here: World) -> None:
    one = here.ledger()
    one.put(subject("a"), Record("u", content_of("1")))
    await age(here, one)
    one.remove(subject("a"))
    await age(here, one)

    assert await written(here) == {}


async def test_who_waits_does_not_wait_for_what_came_later(here: World) -> None:
    one = here.ledger()
    change = one.put(subject("a"), Record("u", content_of("1")))
    await one.flush()
    one.put(subject("a"), Record("u", content_of("2")))

    waiting = asyncio.create_task(one.written(change))
    await settle()

    assert waiting.done()
    assert not one.clean


@pytest.mark.parametrize("lost", [False, True])
async def test_a_crash_between_any_two_writes_loses_nothing(here: World, lost: bool) -> None:
    """Of a ledger that is written to the pages all the time. With ``lost``, the last write was done, though.

    Whatever ``written`` has waited for is there, or something later of the same report.
    """
    ends = False
    kill_at = 0
    while not ends:
        kill_at += 1
        for name in await written(here):
            await here.api.delete(CONFIGMAPS, ObjectKey(NAMESPACE, f"trivyop-delivered-siem-{name}"))
        died = await rush(here, kill_at, lost=lost)
        ends = not died

    assert kill_at > 40


async def rush(here: World, kill_at: int, *, lost: bool) -> bool:
    """Change some records at random, die at that write; whether it came to that."""
    rng = random.Random(7)
    here.traffic.writes = 0
    died = False

    def die(number: int) -> None:
        nonlocal died
        if died or number >= kill_at:
            died = True
            raise TransientError("the process is dead")

    if lost:
        here.traffic.on_end = die
    else:
        here.traffic.on_begin = die
    one = here.ledger()
    sure: dict[Subject, int] = {}
    history: dict[Subject, list[tuple[Record | None, bytes | None]]] = defaultdict(lambda: [(None, None)])
    for _ in range(16):
        for _ in range(rng.randrange(1, 6)):
            which = subject(f"r{rng.randrange(9)}")
            if rng.random() < 0.3:
                change = one.remove(which)
                history[which].append((None, None))
            else:
                ids = rng.choice([b"", b"sixsix", b"sevens"]) * 2
                change = one.put(which, Record("u", rng.randbytes(8), Mark.SENT), ids)
                record = one.get(which)
                history[which].append((record, ids))
        if rng.random() < 0.4:
            here.clock.advance(3600)
        await one.flush()
        if died:
            break
        assert one._written >= change
        sure = {which: len(states) - 1 for which, states in history.items()}
    here.traffic.on_begin = here.traffic.on_end = lambda _: None

    again = await loaded(here)
    for which, states in history.items():
        record = again.get(which)
        found = (record, again.findings(record) if record else None)
        assert found in states[sure.get(which, 0) :]
    before = state(again)
    await age(here, again)
    again.put(subject("after"), Record("u"))
    await again.flush()
    assert state(await loaded(here)) == before | {subject("after"): (Record("u"), None)}
    return died


async def test_a_write_that_comes_through_late_undoes_nothing(here: World) -> None:
    """It broke off, and nothing was known of it; meanwhile more was written."""
    late: list[Any] = []

    def lose(_: int) -> None:
        raise TransientError("no answer")

    one = here.ledger()
    one.put(subject("a"), Record("u", content_of("1")))
    await one.flush()
    one.put(subject("a"), Record("u", content_of("2")))
    here.traffic.on_end = lose
    await one.flush()
    listing = await here.api.list(CONFIGMAPS, namespace=NAMESPACE, type=dict[str, Any])
    late = [body for body in listing.items if "-journal-" in body["metadata"]["name"]]
    here.traffic.on_end = lambda _: None
    one.put(subject("a"), Record("u", content_of("3")))
    await one.flush()

    for body in late:
        name = ObjectKey(NAMESPACE, body["metadata"]["name"])
        await here.api.patch(CONFIGMAPS, name, {"binaryData": body["binaryData"]})

    assert late
    assert state(await loaded(here)) == state(one)
