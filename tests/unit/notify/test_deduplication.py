"""Who is told of workloads, and not of each report, is not told of a rollout that brings nothing."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.notify.reports import Json, report, vulnerability
from tests.unit.notify.world import NAMESPACE, Reports, World, world
from trivyop.kube.resources import VULNERABILITYREPORTS, ObjectKey
from trivyop.notify.deduplication import Baselines, Deduplicator
from trivyop.notify.endpoint import Endpoint
from trivyop.notify.events import Change, Subject
from trivyop.notify.filters import Filter
from trivyop.notify.findings import FindingsDiff
from trivyop.notify.ledger.ledger import Ledger
from trivyop.settings.kinds import SecretText

ROWS = (vulnerability("CVE-1"), vulnerability("CVE-2"))
OLD, NEW = (f"web-{suffix}" for suffix in ("7b8cd85855", "6f94bd9c7b"))


@pytest.fixture
async def here() -> AsyncGenerator[World]:
    async with world() as made:
        yield made


def deduplicator(
    here: World, reports: Reports, *, by_workload: bool = False, **wanted: object
) -> Deduplicator:
    """What decides for an endpoint with that filter."""
    endpoint = Endpoint(
        name="siem", url=SecretText("https://unused"), filter=Filter.parse(wanted, endpoint="siem")
    )
    ledger = Ledger(here.api, NAMESPACE, endpoint.name, [VULNERABILITYREPORTS], clock=here.clock)
    return Deduplicator(endpoint, ledger, reports, needs_diff=False, by_workload=by_workload)


def put(reports: Reports, document: Json) -> Subject:
    meta = document["metadata"]
    meta["annotations"] = {"trivyop.dev/content-hash": str(len(document["report"]["vulnerabilities"]))}
    one = Subject(VULNERABILITYREPORTS, ObjectKey(meta["namespace"], meta["name"]))
    reports.present[one] = document
    return one


async def send(dedup: Deduplicator, reports: Reports, document: Json) -> FindingsDiff | None:
    """What is sent of a report, if it is; it is delivered, too."""
    prepared = await dedup.prepare(put(reports, document))
    if prepared is None:
        return None
    dedup.delivered(prepared)
    assert isinstance(prepared.event, Change)
    return prepared.diff


async def test_rollout_without_new_findings_is_not_told(here: World) -> None:
    reports = Reports()
    dedup = deduplicator(here, reports, onlyNew=True)

    assert await send(dedup, reports, report(*ROWS, name=OLD)) is not None
    assert await send(dedup, reports, report(*ROWS, name=NEW)) is None


async def test_rollout_is_told_for_what_it_brings(here: World) -> None:
    reports = Reports()
    dedup = deduplicator(here, reports, onlyNew=True)
    await send(dedup, reports, report(*ROWS, name=OLD))

    found = await send(dedup, reports, report(*ROWS, vulnerability("CVE-3"), name=NEW))

    assert found is not None
    assert [one.name for one in found.added] == ["CVE-3"]


async def test_rollout_is_told_for_what_it_resolves(here: World) -> None:
    reports = Reports()
    dedup = deduplicator(here, reports, severity="LOW", by_workload=True)
    await send(dedup, reports, report(*ROWS, name=OLD))

    found = await send(dedup, reports, report(ROWS[0], name=NEW))

    assert found is not None
    assert (len(found.resolved), len(found.added)) == (1, 0)


async def test_news_that_were_not_delivered_are_still_news(here: World) -> None:
    """Only what was told is what the next revision is compared with."""
    reports = Reports()
    dedup = deduplicator(here, reports, onlyNew=True)
    await dedup.prepare(put(reports, report(*ROWS, name=OLD)))

    assert await send(dedup, reports, report(*ROWS, name=NEW)) is not None


async def test_who_wants_all_findings_hears_those_of_each_report(here: World) -> None:
    reports = Reports()
    dedup = deduplicator(here, reports, severity="LOW")
    await send(dedup, reports, report(*ROWS, name=OLD))

    found = await send(dedup, reports, report(*ROWS, name=NEW))

    assert found is not None
    assert len(found.added) == 2


async def test_another_workload_with_the_same_findings_is_news(here: World) -> None:
    reports = Reports()
    dedup = deduplicator(here, reports, onlyNew=True)
    await send(dedup, reports, report(*ROWS, name=OLD))

    assert await send(dedup, reports, report(*ROWS, name="api-6f94bd9c7b")) is not None


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.binary(max_size=900)), max_size=30))
def test_memory_is_bounded_and_holds_what_was_told_last(told: list[tuple[str, bytes]]) -> None:
    baselines = Baselines(max_bytes=3_000)
    for line, ids in told:
        baselines.put(line, ids)

    held = {line: ids for line in "abcdef" if (ids := baselines.get(line)) is not None}
    assert sum(map(len, held.values())) <= 3_000
    assert held.items() <= dict(told).items()
    assert not told or told[-1][0] in held
