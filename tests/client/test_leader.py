"""Leader election: never two that may write, and not long without one."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator

import pytest

from tests.clock import FakeClock
from trivyop.kube.client import Api
from trivyop.kube.config import ClusterConfig
from trivyop.kube.leader import LeaderElection, LeadershipLostError, NotLeaderError, Timing
from trivyop.kube.resources import CONFIGMAPS, LEASES, ObjectKey
from trivyop.sandbox.apiserver.faults import Rule
from trivyop.sandbox.apiserver.server import ApiServer

KEY = ObjectKey("default", "trivyoperator-lock")
TIMING = Timing()


class Candidate:
    """A replica with a client of its own, so that it can be cut off alone."""

    def __init__(self, api: Api, name: str, clock: FakeClock) -> None:
        self.api = api
        self.election = LeaderElection(api, KEY, name, clock=clock, rng=random.Random(7), timing=TIMING)
        self.gated = api.gated(self.election.write_gate)

    async def write(self, name: str) -> None:
        await self.gated.create(
            CONFIGMAPS,
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default"}},
        )


async def _done_or_asleep(task: asyncio.Task[None], clock: FakeClock) -> bool:
    """Wait until `task` is done or waits for time to move; says whether it is done."""
    asleep = asyncio.create_task(clock.until_sleeping())
    await asyncio.wait((task, asleep), return_when=asyncio.FIRST_COMPLETED)
    asleep.cancel()
    return task.done()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def server() -> AsyncGenerator[ApiServer]:
    async with ApiServer() as server:
        yield server


@pytest.fixture
async def pair(server: ApiServer, clock: FakeClock) -> AsyncGenerator[tuple[Candidate, Candidate]]:
    config = await ClusterConfig.from_kubeconfig_dict(server.kubeconfig())
    async with (
        Api(config, user_agent="first", clock=clock) as first,
        Api(config, user_agent="second", clock=clock) as second,
    ):
        yield Candidate(first, "first", clock), Candidate(second, "second", clock)


async def test_the_first_leads_and_the_second_stands_by(
    pair: tuple[Candidate, Candidate], clock: FakeClock
) -> None:
    first, second = pair
    await first.election.acquire()
    waiting = asyncio.create_task(second.election.acquire())
    await clock.until_sleeping()

    assert first.election.leads
    assert not second.election.leads
    with pytest.raises(NotLeaderError):
        await second.write("forbidden")
    await first.write("allowed")
    waiting.cancel()


async def test_released_lease_is_taken_at_the_next_look(
    pair: tuple[Candidate, Candidate], clock: FakeClock
) -> None:
    first, second = pair
    await first.election.acquire()
    waiting = asyncio.create_task(second.election.acquire())
    await clock.until_sleeping()
    await first.election.release()

    clock.advance(TIMING.retry)
    await waiting

    assert second.election.leads
    assert not first.election.leads


async def test_standby_of_a_leader_that_died_leads_within_lease_and_two_looks(
    pair: tuple[Candidate, Candidate], clock: FakeClock
) -> None:
    first, second = pair
    await first.election.acquire()  # and never renews
    waiting = asyncio.create_task(second.election.acquire())

    died = clock.monotonic()
    while not await _done_or_asleep(waiting, clock):
        assert not (first.election.leads and second.election.leads)
        clock.advance(0.5)

    assert clock.monotonic() - died <= TIMING.lease + 2 * TIMING.retry < 15
    assert not first.election.leads


async def test_partitioned_leader_stops_writing_before_its_lease_runs_out(
    pair: tuple[Candidate, Candidate], server: ApiServer, clock: FakeClock
) -> None:
    """The server is silent to the leader only; nothing it still wants to write arrives after its time."""
    first, _ = pair
    await first.election.acquire()
    began = clock.monotonic()
    keeping = asyncio.create_task(first.election.keep())
    server.faults.add(Rule(silent=True, user_agent="first"))
    await clock.until_sleeping()
    clock.advance(TIMING.retry)
    writing = asyncio.create_task(first.write("late"))
    await clock.until(lambda: clock.pending >= 2)

    while not keeping.done():
        clock.advance(0.5)
        for _ in range(50):
            await asyncio.sleep(0)
    with pytest.raises(LeadershipLostError):
        await keeping

    assert clock.monotonic() - began < TIMING.lease
    assert not first.election.leads
    with pytest.raises(Exception, match=r"time that was left|no answer|lead"):
        await writing
    server.faults.clear()
    assert await first.api.get_dict(CONFIGMAPS, ObjectKey("default", "late")) is None


async def test_renewed_lease_keeps_the_leader_leading(
    pair: tuple[Candidate, Candidate], clock: FakeClock
) -> None:
    first, second = pair
    await first.election.acquire()
    keeping = asyncio.create_task(first.election.keep())
    waiting = asyncio.create_task(second.election.acquire())
    for _ in range(10):
        await clock.until_sleeping(2)
        clock.advance(TIMING.retry)

    assert first.election.leads
    assert not waiting.done()
    for task in (keeping, waiting):
        task.cancel()


async def test_lease_that_somebody_else_took_is_lost_at_once(
    pair: tuple[Candidate, Candidate], clock: FakeClock
) -> None:
    first, second = pair
    await first.election.acquire()
    keeping = asyncio.create_task(first.election.keep())
    lease = await second.api.get_dict(LEASES, KEY)
    assert lease is not None
    await second.api.replace(LEASES, KEY, {**lease, "spec": {**lease["spec"], "holderIdentity": "thief"}})
    await clock.until_sleeping()
    clock.advance(TIMING.retry)

    with pytest.raises(LeadershipLostError):
        await keeping
    assert not first.election.leads


async def test_clock_of_the_day_does_not_matter(pair: tuple[Candidate, Candidate], clock: FakeClock) -> None:
    """A Lease with wrong times is not expired for that: what counts is when it changed, seen from here."""
    first, second = pair
    await first.election.acquire()
    lease = await first.api.get_dict(LEASES, KEY)
    assert lease is not None
    lease["spec"]["renewTime"] = "2020-01-01T00:00:00.000000Z"
    await first.api.replace(LEASES, KEY, lease)
    waiting = asyncio.create_task(second.election.acquire())
    await clock.until_sleeping()
    assert not waiting.done()

    while not await _done_or_asleep(waiting, clock):
        clock.advance(TIMING.retry)
    assert clock.monotonic() <= TIMING.lease + 2 * TIMING.retry
    assert second.election.leads


async def keeping_through(
    pair: tuple[Candidate, Candidate], server: ApiServer, clock: FakeClock, *rules: Rule, seconds: float
) -> bool:
    """Whether the leader still leads after it was answered like that for so many seconds, and well again."""
    leader, _ = pair
    await leader.election.acquire()
    keeping = asyncio.create_task(leader.election.keep())
    await clock.until_sleeping()
    server.faults.rules.extend(rules)
    end = clock.monotonic() + seconds
    while not keeping.done():
        if clock.monotonic() >= end:
            server.faults.clear()
        if clock.monotonic() >= end + 5:
            break
        clock.advance(0.4)
        if await _done_or_asleep(keeping, clock):
            break
    led = leader.election.leads and not keeping.done()
    keeping.cancel()
    await asyncio.wait([keeping])
    return led


DENIED = 'leases is forbidden: User "u" cannot update resource "leases" in API group "coordination.k8s.io"'


@pytest.mark.parametrize(
    "rule",
    [
        Rule(code=403, message=DENIED, resource="leases"),
        Rule(code=503, resource="leases"),
        Rule(code=429, resource="leases"),
        Rule(code=403, message="admission webhook x denied the request", resource="leases"),
    ],
    ids=["403", "503", "429", "admission"],
)
async def test_lease_outlasts_a_server_that_says_no_for_some_seconds(
    rule: Rule, pair: tuple[Candidate, Candidate], server: ApiServer, clock: FakeClock
) -> None:
    """None of them says that somebody else leads."""
    assert await keeping_through(pair, server, clock, rule, seconds=4)


async def test_lease_is_lost_when_a_denial_outlasts_it(
    pair: tuple[Candidate, Candidate], server: ApiServer, clock: FakeClock
) -> None:
    rule = Rule(code=403, message=DENIED, resource="leases")
    assert not await keeping_through(pair, server, clock, rule, seconds=8)


async def test_lease_of_another_version_that_names_us_is_kept(
    pair: tuple[Candidate, Candidate], server: ApiServer, clock: FakeClock
) -> None:
    """The answer to a renewal was lost, or the server's storage went back a little."""
    leader, _ = pair
    await leader.election.acquire()
    keeping = asyncio.create_task(leader.election.keep())
    await clock.until_sleeping()
    assert await leader.api.patch(LEASES, KEY, {"metadata": {"annotations": {"a": "b"}}}) is not None

    for _ in range(10):
        clock.advance(2)
        assert not await _done_or_asleep(keeping, clock)

    assert leader.election.leads
    keeping.cancel()
    await asyncio.wait([keeping])
