"""Events: told once, counted after that, and never in anybody's way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from tests.clock import FakeClock
from tests.unit.kube.toy import api_to, status
from trivyop.kube.events import EventMetrics, EventRecorder, ObjectReference
from trivyop.kube.objects import ObjectMeta
from trivyop.kube.resources import NODES, PODS, ObjectKey

WEB = ObjectReference.of(PODS, ObjectMeta("web", "shop", uid="u1"))


class EventServer:
    """Keeps events as an API server would, and says no when told to."""

    def __init__(self) -> None:
        self.events: dict[str, dict[str, Any]] = {}
        self.refusals: list[int] = []
        self.requests = 0

    async def __call__(self, request: web.BaseRequest) -> web.Response:
        self.requests += 1
        if self.refusals and (code := self.refusals.pop(0)):
            return status(code)
        body = await request.json()
        if request.method == "POST":
            name = f"{request.path}/{body['metadata']['name']}"
            if name in self.events:
                return status(409, "AlreadyExists")
            self.events[name] = body
        elif request.path in self.events:
            self.events[request.path] |= body
            body = self.events[request.path]
        else:
            return status(404, "NotFound")
        return web.json_response(body)


class Scene:
    """A recorder, its server, and its clock."""

    def __init__(self, recorder: EventRecorder, server: EventServer, clock: FakeClock) -> None:
        self.recorder = recorder
        self.server = server
        self.clock = clock

    async def send(self, seconds: float = 0) -> list[dict[str, Any]]:
        """Let time pass, and whatever is due then be sent; returns what the server has."""
        self.clock.advance(seconds)
        sending = asyncio.create_task(self.recorder.run())
        await self.recorder.wait_sent()
        sending.cancel()
        await asyncio.wait([sending])
        return list(self.server.events.values())


@asynccontextmanager
async def recording(**options: Any) -> AsyncGenerator[Scene, None]:
    server, clock = EventServer(), FakeClock()
    async with api_to(server, clock=clock) as api:
        yield Scene(EventRecorder(api, instance="pod-1", **options), server, clock)


async def test_event_says_what_happened_to_whom_when_and_who_says_so() -> None:
    async with recording() as scene:
        scene.recorder.event(WEB, "Warning", "ScanFailed", "no such image")
        [event] = await scene.send()

    name = event["metadata"].pop("name")
    assert name.startswith("web.")
    assert event == {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"namespace": "shop"},
        "involvedObject": {
            "apiVersion": "v1",
            "kind": "Pod",
            "name": "web",
            "namespace": "shop",
            "uid": "u1",
        },
        "type": "Warning",
        "reason": "ScanFailed",
        "message": "no such image",
        "count": 1,
        "firstTimestamp": "2026-01-02T12:00:00Z",
        "lastTimestamp": "2026-01-02T12:00:00Z",
        "source": {"component": "trivyop"},
        "reportingComponent": "trivyop",
        "reportingInstance": "pod-1",
    }


async def test_repetition_is_counted_on_the_event_that_is_there() -> None:
    async with recording() as scene:
        scene.recorder.event(WEB, "Warning", "ScanFailed", "no")
        await scene.send()
        for _ in range(5):
            scene.clock.advance(1)
            scene.recorder.event(WEB, "Warning", "ScanFailed", "no")
        [event] = await scene.send(10)

        assert event["count"] == 6
        assert (event["firstTimestamp"], event["lastTimestamp"]) == (
            "2026-01-02T12:00:00Z",
            "2026-01-02T12:00:05Z",
        )
        assert scene.server.requests == 2


async def test_another_reason_note_or_object_is_another_event() -> None:
    async with recording() as scene:
        scene.recorder.event(WEB, "Warning", "ScanFailed", "no")
        scene.recorder.event(WEB, "Warning", "ScanFailed", "still no")
        scene.recorder.event(WEB, "Normal", "Scanned", "no")
        scene.recorder.event(
            ObjectReference("v1", "Pod", ObjectKey("shop", "db")), "Warning", "ScanFailed", "no"
        )

        assert len(await scene.send()) == 4


async def test_what_happens_again_much_later_is_news() -> None:
    async with recording() as scene:
        scene.recorder.event(WEB, "Normal", "Scanned", "fine")
        await scene.send()
        scene.clock.advance(601)
        scene.recorder.event(WEB, "Normal", "Scanned", "fine")

        assert [event["count"] for event in await scene.send()] == [1, 1]


async def test_event_that_the_server_let_go_is_told_anew() -> None:
    """API servers keep events for an hour; a repetition may outlive them."""
    async with recording() as scene:
        scene.recorder.event(WEB, "Normal", "Scanned", "fine")
        await scene.send()
        scene.server.events.clear()
        scene.recorder.event(WEB, "Normal", "Scanned", "fine")

        assert [event["count"] for event in await scene.send(10)] == [2]


async def test_object_without_a_namespace_has_its_events_in_default() -> None:
    async with recording() as scene:
        node = ObjectReference.of(NODES, ObjectMeta("system:Node-1"))
        scene.recorder.event(node, "Normal", "Scanned", "fine")
        [event] = await scene.send()

    assert event["metadata"]["namespace"] == "default"
    assert event["metadata"]["name"].startswith("system-node-1.")
    assert "namespace" not in event["involvedObject"]


@pytest.mark.parametrize("length", [1024, 1025, 5000])
async def test_note_is_cut_to_what_the_api_takes(length: int) -> None:
    async with recording() as scene:
        scene.recorder.event(WEB, "Normal", "Scanned", "é" * (length // 2) + "x" * (length % 2))
        [event] = await scene.send()

    assert len(event["message"].encode()) <= 1024
    assert event["message"].endswith("...") == (length > 1024)


async def test_long_name_leaves_room_for_the_rest() -> None:
    async with recording() as scene:
        key = ObjectKey("shop", "x" * 225 + "-" * 28)
        scene.recorder.event(ObjectReference("v1", "Pod", key), "Normal", "Scanned", "fine")
        [event] = await scene.send()

    name = event["metadata"]["name"]
    assert len(name) <= 253
    assert name.startswith("x" * 225 + ".")


async def test_failure_is_tried_again_and_an_answer_that_was_lost_does_no_harm() -> None:
    async with recording() as scene:
        scene.server.refusals = [500, 503]
        scene.recorder.event(WEB, "Normal", "Scanned", "fine")
        assert await scene.send() == []
        assert await scene.send(300) == []

        assert len(await scene.send(300)) == 1


async def test_server_that_will_not_have_it_ends_the_matter() -> None:
    registry = CollectorRegistry()
    async with recording(metrics=EventMetrics(registry)) as scene:
        scene.server.refusals = [422, 422, 0]
        with capture_logs() as logs:
            for reason in ("One", "Two", "Three"):
                scene.recorder.event(WEB, "Normal", reason, "fine")
            await scene.send()

        assert [event["reason"] for event in scene.server.events.values()] == ["Three"]
        assert [line["event"] for line in logs] == ["event_refused"]
        assert registry.get_sample_value("trivyop_events_total", {"outcome": "refused"}) == 2
        assert registry.get_sample_value("trivyop_events_total", {"outcome": "sent"}) == 1


async def test_event_outlasts_a_denial_of_minutes() -> None:
    """Five tries of other failures are over in half a minute; who replaces a role may take longer."""
    async with recording() as scene:
        scene.server.refusals = [403] * 8
        scene.recorder.event(WEB, "Normal", "Scanned", "fine")
        await scene.send()
        for _ in range(5):
            await scene.send(30)
        scene.server.refusals = []

        assert len(await scene.send(30)) == 1


async def test_more_than_fits_is_dropped_and_counted() -> None:
    registry = CollectorRegistry()
    async with recording(capacity=10, metrics=EventMetrics(registry)) as scene:
        with capture_logs() as logs:
            for n in range(25):
                scene.recorder.event(WEB, "Normal", "Scanned", f"note {n}")

        assert len(await scene.send()) == 10
        assert scene.recorder.dropped == 15
        assert [line["event"] for line in logs] == ["events_dropped"]
        assert registry.get_sample_value("trivyop_events_total", {"outcome": "dropped"}) == 15


async def test_stop_lets_what_is_ready_out() -> None:
    async with recording() as scene:
        scene.recorder.event(WEB, "Normal", "Stopped", "bye")
        scene.recorder.stop()
        await scene.recorder.run()

        assert len(scene.server.events) == 1
