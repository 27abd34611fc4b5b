"""The ledger: what was delivered is found again, stays small, and survives what happens to its pages."""

from __future__ import annotations

import asyncio
import base64
import uuid
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from tests.clock import FakeClock, settle
from tests.unit.notify.world import NAMESPACE, World, subject, uid_of, world
from trivyop.kube.resources import CONFIGMAPS, VULNERABILITYREPORTS, ObjectKey
from trivyop.notify import pages
from trivyop.notify.ledger import Ledger
from trivyop.notify.records import Mark, Record, content_of, pack_record, unpack_record

MARKS = [Mark.NONE, Mark.TOLD, Mark.TOLD | Mark.REFUSED]


@pytest.fixture
async def here() -> AsyncGenerator[World]:
    async with world() as made:
        yield made


def ledger(here: World, clock: FakeClock | None = None) -> Ledger:
    api = here.api.gated(here.gate)
    return Ledger(api, NAMESPACE, "siem", [VULNERABILITYREPORTS], clock=clock or here.clock)


async def written_pages(here: World) -> list[dict[str, Any]]:
    listing = await here.api.list(
        CONFIGMAPS, namespace=NAMESPACE, label_selector="trivyop.dev/webhook=siem", type=dict[str, Any]
    )
    return listing.items


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
    record = Record(str(uuid.uuid4()), content_of("hash"), Mark.TOLD, b"findings")

    assert len(pack_record(record)) == 34


async def test_what_was_put_is_found_by_the_next_one(here: World) -> None:
    first = ledger(here)
    for n in range(100):
        first.put(
            subject(f"r{n}"), Record(uid_of(f"r{n}"), content_of(str(n)), Mark.TOLD), b"sixsix" * (n % 3)
        )
    first.remove(subject("r7"))
    await first.flush()

    second = ledger(here)
    await second.load()

    assert not second.new
    assert len(second) == 99
    assert second.get(subject("r7")) is None
    record = second.get(subject("r5"))
    assert record is not None
    assert (record.uid, record.content, record.marks) == (uid_of("r5"), content_of("5"), Mark.TOLD)
    assert second.findings(record) == b"sixsix" * 2
    assert set(second.subjects()) == {subject(f"r{n}") for n in range(100) if n != 7}


async def test_reports_of_one_image_share_their_findings(here: World) -> None:
    one = ledger(here)
    findings = bytes(range(240))
    for n in range(1000):
        one.put(subject(f"r{n}"), Record(uid_of(f"r{n}"), content_of("x"), Mark.TOLD), findings)
    await one.flush()

    kept = [page for page in await written_pages(here) if "-findings-" in page["metadata"]["name"]]

    assert len(kept) == 1
    assert pages.decode_findings(kept[0]["binaryData"]).popitem()[1] == findings


async def test_findings_that_nobody_has_any_more_go(here: World) -> None:
    one = ledger(here)
    one.put(subject("a"), Record("u", content_of("1"), Mark.TOLD), b"old")
    one.put(subject("a"), Record("u", content_of("2"), Mark.TOLD), b"new")
    await one.flush()

    again = ledger(here)
    await again.load()

    assert again._findings.keys() == {again.get(subject("a")).findings}  # type: ignore[union-attr]


async def test_one_change_writes_one_small_page(here: World) -> None:
    one = ledger(here)
    for n in range(2000):
        one.put(subject(f"replicaset-web-{n}-7b8cd85855-app"), Record(uid_of(str(n)), content_of(str(n))))
    whole = await one.flush()

    one.put(subject("replicaset-web-7-7b8cd85855-app"), Record(uid_of("7"), content_of("new")))
    part = await one.flush()

    assert len(await written_pages(here)) == 16
    assert part < whole / 10
    assert whole < 2000 * 60


async def test_thirty_thousand_reports_stay_far_below_what_a_configmap_may_hold(here: World) -> None:
    one = ledger(here)
    for n in range(30_000):
        key = ObjectKey(f"team-{n % 300}", f"replicaset-some-service-{n}-7b8cd85855-container")
        one.put(subject("x")._replace(key=key), Record(uid_of(str(n)), content_of(str(n)), Mark.TOLD))
    await one.flush()

    sizes = [
        len(base64.b64decode(text))
        for page in await written_pages(here)
        for text in page["binaryData"].values()
    ]
    assert max(sizes) < 150_000


async def test_a_damaged_page_is_told_of_and_costs_only_what_was_in_it(here: World) -> None:
    one = ledger(here)
    for n in range(200):
        one.put(subject(f"r{n}"), Record(uid_of(f"r{n}"), content_of("1"), Mark.TOLD))
    await one.flush()
    first, second, *_ = sorted(page["metadata"]["name"] for page in await written_pages(here))
    for name, junk in ((first, b"junk"), (second, b"")):
        patch = {"binaryData": {"records": base64.b64encode(junk).decode()}}
        await here.api.patch(CONFIGMAPS, ObjectKey(NAMESPACE, name), patch)

    again = ledger(here)
    with capture_logs() as logs:
        await again.load()

    assert 100 < len(again) < 200
    assert len([line for line in logs if line["event"] == "webhook_ledger_damaged"]) == 2


async def test_while_it_cannot_be_written_it_says_so_and_writes_all_of_it_later(here: World) -> None:
    one = ledger(here)
    here.alive = False
    one.put(subject("a"), Record("u", content_of("1")))
    await one.flush()
    problem, clean = one.problem, one.clean

    here.alive = True
    await one.flush()

    assert problem is not None
    assert "the process is dead" in problem
    assert not clean
    assert one.clean
    assert one.problem is None
    assert len(await written_pages(here)) == 1


async def test_who_waits_goes_on_once_it_is_written(here: World) -> None:
    one = ledger(here)
    running = asyncio.create_task(one.run())
    change = one.put(subject("a"), Record("u", content_of("1")))
    waiting = asyncio.create_task(one.written(subject("a"), change))
    await settle()
    early = waiting.done()

    here.clock.advance(1)
    await waiting

    assert not early
    assert len(await written_pages(here)) == 1
    running.cancel()
    await asyncio.wait([running])


async def test_a_page_without_records_goes(here: World) -> None:
    one = ledger(here)
    one.put(subject("a"), Record("u", content_of("1")))
    await one.flush()
    one.remove(subject("a"))
    await one.flush()

    assert await written_pages(here) == []


async def test_who_waits_does_not_wait_for_what_came_later(here: World) -> None:
    one = ledger(here)
    change = one.put(subject("a"), Record("u", content_of("1")))
    await one.flush()
    one.put(subject("a"), Record("u", content_of("2")))

    waiting = asyncio.create_task(one.written(subject("a"), change))
    await settle()

    assert waiting.done()
    assert not one.clean
