"""Informer: what servers do to it, one scene at a time. The law it keeps is tested in tests/client."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from tests.clock import EagerClock, FakeClock, settle
from tests.unit.kube.toy import (
    Script,
    api_to,
    bookmark,
    end,
    event,
    expired,
    hold,
    page,
    refusal,
    thing,
)
from trivyop.kube.informer import Informer, InformerMetrics
from trivyop.kube.objects import Object
from trivyop.kube.resources import CONFIGMAPS, ObjectKey

A, B, C = (ObjectKey("shop", name) for name in "abc")

NO_STREAMING = refusal(422, "Invalid", "sendInitialEvents is forbidden")


@pytest.fixture
def clock() -> EagerClock:
    return EagerClock()


class Scene:
    """An informer on a script, what it told its handler, and a way to wait for it."""

    def __init__(self, informer: Informer[Any], script: Script, clock: FakeClock) -> None:
        self.informer = informer
        self.script = script
        self.clock = clock
        self.told: list[tuple[str, Any, Any]] = []
        self._changed = asyncio.Event()
        informer.add_handler(self._note)

    def _note(self, key: ObjectKey, old: Any, new: Any) -> None:
        self.told.append((key.name, old and version(old), new and version(new)))
        self._changed.set()

    async def until(self, reached: Callable[[], bool]) -> None:
        """Wait for a change of the store after which ``reached`` holds."""
        while not reached():
            self._changed.clear()
            await self._changed.wait()

    @property
    def versions(self) -> dict[str, str]:
        return {key.name: version(value) for key, value in self.informer.store.items()}

    @property
    def queries(self) -> list[dict[str, str]]:
        return [dict(request.rel_url.query) for request in self.script.requests]


def version(value: Object) -> str:
    return value.metadata.resource_version


@asynccontextmanager
async def playing(
    script: Script, clock: FakeClock, *, kind: Any = Object, **options: Any
) -> AsyncGenerator[Scene, None]:
    async with api_to(script, clock=clock) as api:
        informer: Informer[Any] = Informer(api, CONFIGMAPS, kind, rng=random.Random(1), **options)
        running = asyncio.create_task(informer.run())
        try:
            async with asyncio.timeout(30):
                yield Scene(informer, script, clock)
        finally:
            running.cancel()
            await asyncio.wait([running])


async def test_list_is_streamed_where_the_server_can(clock: EagerClock) -> None:
    script = Script(
        hold(
            event("ADDED", "a", 3),
            event("ADDED", "b", 2),
            bookmark(5, ends_list=True),
            event("ADDED", "c", 6),
        )
    )
    async with playing(script, clock, namespace="shop", label_selector="x=y") as scene:
        await scene.until(lambda: C in scene.informer.store)

        assert scene.versions == {"a": "3", "b": "2", "c": "6"}
        assert scene.informer.synced
        [query] = scene.queries
        assert query["sendInitialEvents"] == "true"
        assert query["resourceVersionMatch"] == "NotOlderThan"
        assert query["labelSelector"] == "x=y"
        assert 300 <= int(query["timeoutSeconds"]) <= 600


async def test_store_is_empty_until_the_whole_list_is_there(clock: EagerClock) -> None:
    """Half a store looks like a cluster with half its pods deleted."""
    gate = asyncio.Event()
    script = Script(hold(event("ADDED", "a", 1), gate, event("ADDED", "b", 2), bookmark(2, ends_list=True)))
    async with playing(script, clock) as scene:
        await script.until_asked(1)
        await settle()
        assert len(scene.informer.store) == 0
        assert not scene.informer.synced
        gate.set()
        await scene.informer.wait_synced()
        assert scene.versions == {"a": "1", "b": "2"}


@pytest.mark.parametrize("no", [NO_STREAMING, refusal(400, "BadRequest"), end(event("ADDED", "a", 1))])
async def test_server_that_cannot_stream_is_read_in_pages(clock: EagerClock, no: Any) -> None:
    script = Script(no, page(thing("a", 3), version="9", more="x"), page(thing("b", 2), version="9"), hold())
    async with playing(script, clock, page_size=1) as scene:
        await scene.informer.wait_synced()
        await script.until_asked(4)

        assert scene.versions == {"a": "3", "b": "2"}
        _, first, second, watch = scene.queries
        assert (first, second) == ({"limit": "1"}, {"limit": "1", "continue": "x"})
        assert watch["resourceVersion"] == "9"
        assert "sendInitialEvents" not in watch


async def test_page_that_is_larger_than_asked_for_comes_in_whole(clock: EagerClock) -> None:
    """Others get their turn amid it, and still the store is filled in one step."""
    script = Script(NO_STREAMING, page(*(thing(f"t{n}") for n in range(1_234)), version="9"), hold())
    async with playing(script, clock) as scene:
        sizes: list[int] = []
        scene.informer.add_handler(lambda *_: sizes.append(len(scene.informer.store)))
        await scene.informer.wait_synced()

        assert sizes == [1_234] * 1_234


async def test_server_that_ignores_the_wish_to_stream_is_found_out() -> None:
    """It sends what it has, and then nothing that would say it is all."""
    clock = FakeClock()
    script = Script(hold(event("ADDED", "a", 1)), page(thing("a", 3), version="9"), hold())
    async with playing(script, clock) as scene:
        await clock.until(lambda: clock.next_due == 30)
        clock.advance(30)
        await scene.informer.wait_synced()

        assert scene.versions == {"a": "3"}


async def test_watch_that_ends_goes_on_where_it_stood(clock: EagerClock) -> None:
    script = Script(
        end(bookmark(5, ends_list=True), event("ADDED", "a", 6)),
        end(event("MODIFIED", "a", 7), bookmark(12)),
        hold(event("DELETED", "a", 13)),
    )
    async with playing(script, clock) as scene:
        await scene.until(lambda: len(scene.told) == 3)

        assert scene.told == [("a", None, "6"), ("a", "6", "7"), ("a", "7", None)]
        assert [query.get("resourceVersion") for query in scene.queries] == [None, "6", "12"]


@pytest.mark.parametrize("how", [refusal(410, "Expired"), end(expired())])
async def test_after_expiry_everything_that_differs_is_told(clock: EagerClock, how: Any) -> None:
    """What vanished while we could not see it must be told as deleted, or its reports stay for ever."""
    script = Script(
        end(*(event("ADDED", name, 1) for name in "abc"), bookmark(5, ends_list=True)),
        how,
        hold(
            event("ADDED", "b", 7),
            event("ADDED", "c", 1),
            event("ADDED", "d", 8),
            bookmark(9, ends_list=True),
        ),
    )
    async with playing(script, clock) as scene:
        await scene.until(lambda: len(scene.told) == 6)

        assert scene.told[3:] == [("a", "1", None), ("b", "1", "7"), ("d", None, "8")]
        assert scene.versions == {"b": "7", "c": "1", "d": "8"}


async def test_list_that_expires_between_pages_starts_over_and_then_does_without_pages(
    clock: EagerClock,
) -> None:
    script = Script(
        NO_STREAMING,
        page(thing("gone", 1), version="3", more="x"),
        refusal(410, "Expired"),
        page(thing("a", 1), version="5", more="y"),
        refusal(410, "Expired"),
        page(thing("a", 1), thing("b", 6), version="7"),
    )
    async with playing(script, clock, page_size=1) as scene:
        await scene.informer.wait_synced()

        assert scene.versions == {"a": "1", "b": "6"}
        assert [query.get("limit") for query in scene.queries[1:6]] == ["1", "1", "1", "1", None]


@pytest.mark.parametrize(("code", "reason"), [(403, "Forbidden"), (404, "NotFound")])
async def test_kind_that_cannot_be_listed_is_a_problem_not_a_crash(
    code: int, reason: str, clock: EagerClock
) -> None:
    script = Script(*[refusal(code, reason, "may not")] * 50)
    with capture_logs() as logs:
        async with playing(script, clock) as scene:
            recovered: list[int] = []
            scene.informer.add_recovery_handler(lambda: recovered.append(len(scene.informer.store)))
            assert not await scene.informer.wait_settled()
            assert scene.informer.problem is not None
            assert "may not" in scene.informer.problem
            assert recovered == []

            script.answers[:] = [hold(event("ADDED", "a", 1), bookmark(5, ends_list=True))]
            await scene.informer.wait_synced()
            assert scene.informer.problem is None
            assert await scene.informer.wait_settled()
            assert recovered == [1], "told once, when the store is filled"
    assert [line["event"] for line in logs].count("kind_unavailable") == 1


async def test_rights_that_are_taken_away_leave_the_store_as_it_was(clock: EagerClock) -> None:
    """Forgetting everything would look like a cluster in which everything was deleted."""
    script = Script(
        end(event("ADDED", "a", 1), bookmark(5, ends_list=True), bookmark(6)),
        *[refusal(403, "Forbidden")] * 500,
    )
    async with playing(script, clock) as scene:
        while scene.informer.problem is None:
            await settle()

        assert clock.monotonic() >= 180
        assert scene.versions == {"a": "1"}


async def test_denial_that_passes_is_no_problem_and_worth_no_warning(clock: EagerClock) -> None:
    """An API server says so of everything for a moment after its start."""
    script = Script(
        refusal(403, "Forbidden"),
        end(event("ADDED", "a", 1), bookmark(5, ends_list=True), bookmark(6)),
        refusal(403, "Forbidden"),
        refusal(403, "Forbidden"),
        hold(event("ADDED", "b", 7)),
    )
    problems: set[str | None] = set()
    with capture_logs() as logs:
        async with playing(script, clock) as scene:
            scene.informer.add_handler(lambda *_: problems.add(scene.informer.problem))
            await scene.until(lambda: B in scene.informer.store)

            assert scene.queries[-1]["resourceVersion"] == "6", "resumed, not listed anew"
    assert problems == {None}
    assert [line["event"] for line in logs] == ["informer_synced"]


async def test_definition_that_changes_is_worth_no_warning(clock: EagerClock) -> None:
    """All watches of the kind end, then 429 and 410 are answered for a second or two."""
    script = Script(
        end(event("ADDED", "a", 1), bookmark(5, ends_list=True), bookmark(6)),
        *[refusal(429, "TooManyRequests", "storage is (re)initializing", **{"Retry-After": "1"})] * 2,
        page(version="9"),
        end(expired()),
        hold(event("ADDED", "a", 1), event("ADDED", "b", 9), bookmark(9, ends_list=True)),
    )
    with capture_logs() as logs:
        async with playing(script, clock) as scene:
            await scene.until(lambda: B in scene.informer.store)
    assert {line["log_level"] for line in logs} <= {"info", "debug"}


async def test_history_that_went_back_is_listed_anew(clock: EagerClock) -> None:
    """A watch from a version of the future hears nothing: etcd was restored from an older copy."""
    script = Script(
        end(event("ADDED", "a", 1), bookmark(5, ends_list=True), bookmark(60)),
        refusal(503),
        page(version="12"),
        hold(event("ADDED", "b", 7), bookmark(12, ends_list=True)),
    )
    async with playing(script, clock, label_selector="x=y") as scene:
        await scene.until(lambda: B in scene.informer.store)

        assert scene.versions == {"b": "7"}
        assert scene.queries[2] == {"limit": "1", "labelSelector": "x=y"}


async def test_history_that_went_on_is_followed(clock: EagerClock) -> None:
    script = Script(
        end(event("ADDED", "a", 1), bookmark(5, ends_list=True), bookmark(60)),
        refusal(503),
        page(version="60"),
        hold(event("ADDED", "b", 61)),
    )
    async with playing(script, clock) as scene:
        await scene.until(lambda: B in scene.informer.store)

        assert scene.queries[3]["resourceVersion"] == "60"
        assert len(scene.queries) == 4


async def test_watch_that_was_cut_short_and_stays_silent_is_doubted() -> None:
    """The server may have come back with another history so fast that we met no failure."""
    clock = FakeClock()
    script = Script(
        end(event("ADDED", "a", 1), bookmark(5, ends_list=True), bookmark(60)),
        hold(),
        page(version="12"),
        hold(bookmark(12, ends_list=True)),
    )
    async with playing(script, clock) as scene:
        await script.until_asked(2)
        await clock.until(lambda: clock.next_due == 10)
        clock.advance(10)
        await scene.until(lambda: A not in scene.informer.store)

        assert scene.queries[1]["resourceVersion"] == "60"


async def test_unreachable_server_is_logged_on_the_two_edges_only(clock: EagerClock) -> None:
    script = Script(
        *[refusal(500) for _ in range(7)], hold(event("ADDED", "a", 1), bookmark(5, ends_list=True))
    )
    with capture_logs() as logs:
        async with playing(script, clock) as scene:
            await scene.informer.wait_synced()
    told = [line["event"] for line in logs if line["event"].startswith("api_")]
    assert told == ["api_unreachable", "api_recovered"]


async def test_tries_slow_down_and_respect_the_servers_wish() -> None:
    clock = FakeClock()
    script = Script(*[refusal(500) for _ in range(9)], refusal(429, **{"Retry-After": "45"}))
    pauses: list[float] = []
    async with playing(script, clock) as scene:
        for _ in range(10):
            await clock.until_sleeping()
            due = clock.next_due
            assert due is not None
            pauses.append(due)
            clock.advance(due)
        assert len(scene.queries) == 10

    assert all(pause <= min(30, 0.8 * 2**n) for n, pause in enumerate(pauses[:9]))
    assert max(pauses[5:9]) > 2
    assert pauses[9] == pytest.approx(45)


async def test_server_that_hangs_up_at_once_is_not_asked_in_a_circle() -> None:
    clock = FakeClock()
    script = Script(end(bookmark(5, ends_list=True)), *[end() for _ in range(3)])
    async with playing(script, clock) as scene:
        for count in range(1, 4):
            await clock.until_sleeping()
            assert len(scene.queries) == count
            clock.advance(30)


async def test_version_that_expires_right_after_each_list_is_not_listed_in_a_circle() -> None:
    clock = FakeClock()
    script = Script(NO_STREAMING, page(version="5"), end(expired()), page(version="6"), end(expired()))
    async with playing(script, clock) as scene:
        for count in (3, 5):
            await clock.until_sleeping()
            assert len(scene.queries) == count
            clock.advance(30)


async def test_connection_that_falls_silent_is_given_up_sooner_once_bookmarks_have_come() -> None:
    clock = FakeClock()
    script = Script(hold(bookmark(5, ends_list=True), bookmark(6)), hold(event("ADDED", "a", 7)))
    async with playing(script, clock) as scene:
        await clock.until(lambda: clock.next_due == 150)
        clock.advance(150)
        await clock.until_sleeping()
        clock.advance(1)
        await scene.until(lambda: A in scene.informer.store)

        assert scene.queries[1]["resourceVersion"] == "6"


async def test_malformed_object_is_warned_of_once_and_is_not_there(clock: EagerClock) -> None:
    bad: dict[str, Any] = {"labels": "not a map"}
    script = Script(
        end(event("ADDED", "a", 1), event("ADDED", "b", 1, **bad), bookmark(5, ends_list=True), bookmark(6)),
        end(event("MODIFIED", "a", 7, **bad), event("MODIFIED", "b", 8, **bad)),
        hold(event("MODIFIED", "b", 9)),
    )
    with capture_logs() as logs:
        async with playing(script, clock, metrics=InformerMetrics(CollectorRegistry())) as scene:
            await scene.until(lambda: B in scene.informer.store)

            assert scene.told == [("a", None, "1"), ("a", "1", None), ("b", None, "9")]
    assert [line["key"] for line in logs if line["event"] == "object_malformed"] == ["shop/b", "shop/a"]


async def test_transform_decides_what_is_held_and_a_change_it_hides_is_not_told(clock: EagerClock) -> None:
    """Most updates of an object are none for us: heartbeats of nodes, other people's status."""
    script = Script(
        hold(
            event("ADDED", "a", 1, uid="u1"),
            event("ADDED", "b", 2, uid="skip"),
            event("ADDED", "c", 3, uid="crash"),
            bookmark(5, ends_list=True),
            event("MODIFIED", "a", 6, uid="u1"),
            event("MODIFIED", "b", 7, uid="u2"),
            event("MODIFIED", "a", 8, uid="skip"),
        )
    )

    def uid_of(item: Object) -> str | None:
        if item.metadata.uid == "crash":
            raise ValueError("cannot read this")
        return None if item.metadata.uid == "skip" else item.metadata.uid

    told: list[tuple[ObjectKey, str | None, str | None]] = []
    async with api_to(script, clock=clock) as api:
        informer = Informer(api, CONFIGMAPS, Object, transform=uid_of, indexes={"uid": lambda uid: [uid]})
        done = asyncio.Event()

        def note(key: ObjectKey, old: str | None, new: str | None) -> None:
            told.append((key, old, new))
            if new is None:
                done.set()

        informer.add_handler(note)
        running = asyncio.create_task(informer.run())
        await done.wait()
        running.cancel()

        assert told == [(A, None, "u1"), (B, None, "u2"), (A, "u1", None)]
        assert informer.store.by_index("uid", "u2") == ["u2"]
        assert informer.store.by_index("uid", "u1") == []


async def test_handler_that_crashes_harms_neither_the_store_nor_the_others(clock: EagerClock) -> None:
    script = Script(hold(event("ADDED", "a", 1), bookmark(5, ends_list=True), event("ADDED", "b", 6)))

    def crash(*_: object) -> None:
        raise RuntimeError("a bug")

    with capture_logs() as logs:
        async with playing(script, clock) as scene:
            scene.informer.add_handler(crash)
            await scene.until(lambda: B in scene.informer.store)
            assert [name for name, _, _ in scene.told] == ["a", "b"]
    assert [line["event"] for line in logs].count("handler_crashed") >= 1


async def test_handler_that_comes_late_is_told_what_is_there(clock: EagerClock) -> None:
    script = Script(hold(event("ADDED", "a", 1), bookmark(5, ends_list=True)))
    late: list[tuple[ObjectKey, Object | None]] = []
    async with playing(script, clock) as scene:
        await scene.informer.wait_synced()
        scene.informer.add_handler(lambda key, old, _: late.append((key, old)))

    assert late == [(A, None)]


async def test_partial_metadata_is_asked_for(clock: EagerClock) -> None:
    script = Script(NO_STREAMING, page(version="5"), hold())
    async with playing(script, clock, metadata_only=True) as scene:
        await scene.informer.wait_synced()
        await script.until_asked(3)
        accepts = [request.headers["Accept"] for request in scene.script.requests]

    assert [accept.split(";")[1] for accept in accepts] == [
        "as=PartialObjectMetadata",
        "as=PartialObjectMetadataList",
        "as=PartialObjectMetadata",
    ]


async def test_metrics_show_objects_state_and_restarts(clock: EagerClock) -> None:
    registry = CollectorRegistry()
    script = Script(
        refusal(500),
        end(event("ADDED", "a", 1), bookmark(5, ends_list=True), bookmark(6)),
        end(expired()),
        hold(event("ADDED", "a", 1), event("ADDED", "b", 2), bookmark(9, ends_list=True)),
    )
    async with playing(script, clock, metrics=InformerMetrics(registry)) as scene:
        await scene.until(lambda: B in scene.informer.store)

        def sample(name: str, **labels: str) -> float | None:
            return registry.get_sample_value(f"trivyop_informer_{name}", {"resource": "configmaps"} | labels)

        assert (sample("objects"), sample("synced"), sample("problem")) == (2, 1, 0)
        reasons = ("start", "failed", "ended", "expired", "refused")
        assert [sample("restarts_total", reason=reason) for reason in reasons] == [1, 1, 1, 1, 0]


async def test_metrics_of_one_kind_in_several_namespaces_are_added_up(clock: EagerClock) -> None:
    registry = CollectorRegistry()
    metrics = InformerMetrics(registry)
    script = Script(
        hold(event("ADDED", "a", 1), bookmark(5, ends_list=True)),
        hold(event("ADDED", "b", 2), bookmark(5, ends_list=True)),
    )
    async with api_to(script, clock=clock) as api, asyncio.TaskGroup() as group:
        informers = [
            Informer(api, CONFIGMAPS, Object, namespace=name, metrics=metrics) for name in ("shop", "bank")
        ]
        running = [group.create_task(informer.run()) for informer in informers]
        for informer in informers:
            await informer.wait_synced()
        for task in running:
            task.cancel()

        def objects() -> float | None:
            return registry.get_sample_value("trivyop_informer_objects", {"resource": "configmaps"})

        assert objects() == 2
        metrics.detach(informers[0])
        assert objects() == 1
        metrics.detach(informers[1])
        assert objects() is None
