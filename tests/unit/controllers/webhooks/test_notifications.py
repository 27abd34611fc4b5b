"""Notifications: endpoints come, go and change while the operator runs; a bad one harms no other."""

from __future__ import annotations

import asyncio
import base64
import itertools
import random
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from tests.clock import FakeClock
from tests.e2e.leaping import LeapingClock
from tests.unit.notify.receiver import Fault, Receiver, receiving
from trivyop.cli.manifests import crds
from trivyop.controllers.informers import Informers
from trivyop.controllers.webhooks.notifications import WEBHOOKS_CONFIG, Notifications
from trivyop.errors import TransientError
from trivyop.kube.client import Api
from trivyop.kube.config import ClusterConfig
from trivyop.kube.discovery import discover
from trivyop.kube.events import EventRecorder
from trivyop.kube.resources import (
    CONFIGMAPS,
    CRDS,
    EVENTS,
    IMAGESCANS,
    NAMESPACES,
    SECRETS,
    VULNERABILITYREPORTS,
    ObjectKey,
)
from trivyop.notify.endpoint import Endpoint
from trivyop.notify.metrics import WebhookMetrics
from trivyop.notify.secrets import build_access
from trivyop.notify.transport import Access
from trivyop.sandbox.apiserver.server import ApiServer
from trivyop.settings import load_settings

Json = dict[str, Any]
NAMESPACE = "trivy-system"
SECONDS = 30  # until a test that waits has failed


def report(name: str, version: int) -> Json:
    return {
        "apiVersion": "aquasecurity.github.io/v1alpha1",
        "kind": "VulnerabilityReport",
        "metadata": {
            "name": name,
            "namespace": "shop",
            "annotations": {"trivyop.dev/content-hash": f"hash-{version}"},
        },
        "report": {
            "updateTimestamp": "2026-01-02T12:00:00Z",
            "artifact": {"repository": f"shop/{name}", "tag": str(version)},
            "scanner": {"name": "Trivy", "vendor": "Aqua Security", "version": "0.70.0"},
            "registry": {"server": "index.docker.io"},
            "os": {"family": "alpine", "name": "3.18.3"},
            "summary": {f"{one}Count": 0 for one in ("critical", "high", "medium", "low", "unknown")},
            "vulnerabilities": [],
        },
    }


@dataclass
class Gate:
    """Whether it leads."""

    open: bool = True

    def __call__(self) -> float:
        if not self.open:
            raise TransientError("another one leads")
        return 30.0


@dataclass
class Scene:
    """A cluster with reports and nothing that makes them, and the fan-out."""

    api: Api
    clock: LeapingClock
    notifications: Notifications
    registry: CollectorRegistry
    gate: Gate

    async def put(self, name: str, version: int) -> None:
        await self.api.apply(VULNERABILITYREPORTS, report(name, version))

    async def delete(self, name: str) -> None:
        await self.api.delete(VULNERABILITYREPORTS, ObjectKey("shop", name))

    async def configure(self, *endpoints: Json | str) -> None:
        data = {"endpoints": yaml.safe_dump(list(endpoints))}
        await self._apply(CONFIGMAPS, WEBHOOKS_CONFIG, data=data)

    async def secret(self, name: str, **data: str) -> None:
        encoded = {key: base64.b64encode(text.encode()).decode() for key, text in data.items()}
        await self._apply(SECRETS, name, data=encoded)

    async def _apply(self, resource: Any, name: str, **fields: Any) -> None:
        meta = {"name": name, "namespace": NAMESPACE}
        await self.api.apply(
            resource, {"apiVersion": "v1", "kind": resource.kind, "metadata": meta, **fields}
        )

    async def until(self, reached: Callable[[], bool]) -> None:
        async with asyncio.timeout(SECONDS):
            while not reached():  # noqa: ASYNC110 - states of several parts
                await asyncio.sleep(0.02)

    def sample(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, labels)

    async def events(self) -> list[str]:
        listing = await self.api.list(EVENTS, namespace=NAMESPACE, type=dict[str, Any])
        return [f"{one['reason']}: {one['message']}" for one in listing.items]


@asynccontextmanager
async def scene(**environ: str) -> AsyncGenerator[Scene]:
    clock = LeapingClock()
    async with ApiServer() as server:
        config = await ClusterConfig.from_kubeconfig_dict(server.kubeconfig())
        async with Api(config, clock=clock) as api, asyncio.TaskGroup() as group:
            for crd in crds():
                await api.apply(CRDS, crd)
            async with asyncio.timeout(SECONDS):
                while not {IMAGESCANS, VULNERABILITYREPORTS} <= set((await discover(api)).resources):  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
            for name in ("shop", NAMESPACE):
                meta = {"name": name}
                await api.apply(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": meta})
            settings = load_settings({"OPERATOR_NAMESPACE": NAMESPACE, **environ})
            informers = Informers(
                api,
                await discover(api),
                operator_namespace=NAMESPACE,
                watched_namespaces=("",),
                clock=clock,
            )
            registry = CollectorRegistry()
            events = EventRecorder(api, clock=clock)
            gate = Gate()
            notifications = Notifications(
                api.gated(gate),
                informers,
                settings,
                environ={},
                events=events,
                clock=clock,
                rng=random.Random(1),
                metrics=WebhookMetrics(registry),
            )
            tasks = [group.create_task(informers.run()), group.create_task(events.run())]
            await informers.wait_synced()
            tasks.append(group.create_task(notifications.run()))
            yield Scene(api, clock, notifications, registry, gate)
            for task in tasks:
                task.cancel()


@pytest.fixture
async def receiver() -> AsyncGenerator[Receiver]:
    async with receiving(FakeClock()) as one:
        yield one


def names(receiver: Receiver) -> list[str]:
    bodies = [one.json for one in receiver.requests]
    return [one.get("operatorObject", one)["metadata"]["name"] for one in bodies]


async def test_a_rotated_secret_is_used_from_then_on(receiver: Receiver) -> None:
    """At the latest with the next minute's look at it."""
    async with scene() as here:
        await here.secret("siem", token="old")
        token = {"secretRef": {"name": "siem", "key": "token"}}
        await here.configure({"name": "siem", "url": receiver.url, "bearerToken": token})
        await here.put("a", 1)
        await here.until(lambda: len(receiver.requests) == 1)

        await here.secret("siem", token="new")
        with capture_logs() as logs:
            here.clock.leap(61)
            await here.until(lambda: any(line["event"] == "webhook_access_renewed" for line in logs))
        await here.put("b", 1)
        await here.until(lambda: len(receiver.requests) == 2)

    assert [one.headers["Authorization"] for one in receiver.requests] == ["Bearer old", "Bearer new"]


async def test_what_was_refused_with_an_old_secret_is_sent_with_the_new_one() -> None:
    """A 401 has the Secret read again at once, not within a minute."""

    def misbehave(one: Any) -> Fault | None:
        return None if one.headers["Authorization"] == "Bearer new" else Fault.UNAUTHORIZED

    async with receiving(FakeClock(), misbehave=misbehave) as receiver, scene() as here:
        await here.secret("siem", token="old")
        token = {"secretRef": {"name": "siem", "key": "token"}}
        await here.configure({"name": "siem", "url": receiver.url, "bearerToken": token})
        await here.put("a", 1)
        await here.until(lambda: len(receiver.requests) == 1)
        await here.until(lambda: here.notifications.problem() is not None)
        refused = here.notifications.problem()

        await here.secret("siem", token="new")
        here.clock.leap(10)
        await here.until(lambda: len(receiver.taken) == 1)
        await here.until(lambda: here.notifications.problem() is None)
        told = await here.events()

    assert refused == "endpoint 'siem' answers 401: no, because"
    assert len(receiver.requests) == 2
    assert [one for one in told if one.startswith("WebhookRefused: endpoint 'siem' answers 401")]


async def test_a_secret_that_vanishes_stops_its_endpoint_only(receiver: Receiver) -> None:
    async with receiving(FakeClock()) as other, scene() as here:
        await here.secret("siem", token="t")
        token = {"secretRef": {"name": "siem", "key": "token"}}
        await here.configure(
            {"name": "siem", "url": receiver.url, "bearerToken": token},
            {"name": "other", "url": other.url},
        )
        await here.put("a", 1)
        await here.until(lambda: names(receiver) == names(other) == ["a"])

        await here.api.delete(SECRETS, ObjectKey(NAMESPACE, "siem"))
        here.clock.leap(61)
        await here.until(lambda: here.notifications.problem() is not None)
        problem = here.notifications.problem()
        await here.put("b", 1)
        await here.until(lambda: names(other) == ["a", "b"])
        without = names(receiver)
        marked = here.sample("trivyop_webhook_problem", endpoint="siem")

        await here.secret("siem", token="t2")
        here.clock.leap(61)
        await here.until(lambda: names(receiver) == ["a", "b"])

    assert problem == "endpoint 'siem': bearerToken: Secret siem does not exist"
    assert without == ["a"]
    assert marked == 1


async def test_an_endpoint_that_hangs_delays_no_other_and_nothing_else() -> None:
    hanging = asyncio.Event()

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hanging.set()
        await reader.read()
        writer.close()

    async with (
        await asyncio.start_server(hang, "127.0.0.1", 0) as server,
        receiving(FakeClock()) as receiver,
        scene() as here,
    ):
        port = server.sockets[0].getsockname()[1]
        await here.configure(
            {"name": "hangs", "url": f"http://127.0.0.1:{port}/", "timeout": "300s", "concurrency": 1},
            {"name": "works", "url": receiver.url},
        )
        for n in range(20):
            await here.put(f"r{n}", 1)
        await hanging.wait()
        await here.until(lambda: len(set(names(receiver))) == 20)

        # the report that hangs may wait a second time: it was told of again meanwhile
        assert here.sample("trivyop_webhook_backlog", endpoint="hangs") in (20, 21)
        assert here.sample("trivyop_webhook_deliveries_total", endpoint="hangs", result="delivered") == 0


async def test_a_removed_endpoint_is_left_alone_and_goes_on_where_it_was_when_it_returns(
    receiver: Receiver,
) -> None:
    async with scene() as here:
        siem = {"name": "siem", "url": receiver.url, "deletes": True}
        await here.configure(siem)
        await here.put("a", 1)
        await here.put("b", 1)
        await here.until(lambda: sorted(names(receiver)) == ["a", "b"])

        await here.configure()
        await here.until(lambda: here.sample("trivyop_webhook_backlog", endpoint="siem") is None)
        await here.put("b", 2)
        await here.delete("a")
        before = len(receiver.requests)
        await here.configure(siem)
        await here.until(lambda: len(receiver.requests) == 4)

    verbs = sorted(
        (one.json["verb"], name) for one, name in zip(receiver.requests, names(receiver), strict=True)
    )
    assert before == 2
    assert verbs == [("delete", "a"), ("update", "a"), ("update", "b"), ("update", "b")]


async def test_a_deletion_comes_with_the_whole_report(receiver: Receiver) -> None:
    async with scene() as here:
        await here.configure({"name": "siem", "url": receiver.url, "deletes": True})
        await here.put("a", 1)
        await here.put("b", 1)
        await here.until(lambda: len(receiver.requests) == 2)

        await here.delete("a")
        await here.until(lambda: len(receiver.requests) == 3)

    (known,) = [
        one.json["operatorObject"]
        for one, name in zip(receiver.requests[:2], names(receiver)[:2], strict=True)
        if name == "a"
    ]
    deleted = receiver.requests[-1].json
    assert deleted["verb"] == "delete"
    assert deleted["operatorObject"]["metadata"]["uid"] == known["metadata"]["uid"]
    assert deleted["operatorObject"]["report"] == report("a", 1)["report"]


async def test_a_bad_endpoint_is_told_of_everywhere_once_and_the_rest_goes_on(receiver: Receiver) -> None:
    async with scene() as here:
        bad = {"name": "bad", "url": "ftp://files.example.com"}
        with capture_logs() as logs:
            await here.configure(bad, {"name": "good", "url": receiver.url})
            await here.put("a", 1)
            await here.until(lambda: names(receiver) == ["a"])
            here.clock.leap(61)
            await here.put("b", 1)
            await here.until(lambda: names(receiver) == ["a", "b"])
        problem = here.notifications.problem()
        marked = here.sample("trivyop_webhook_problem", endpoint="bad")
        events = await here.events()
        await here.configure({"name": "good", "url": receiver.url})
        await here.until(lambda: here.notifications.problem() is None)
        left = here.sample("trivyop_webhook_problem", endpoint="bad")

    says = "endpoint 'bad': url: ftp:// is not allowed, only http:// and https:// are"
    assert problem == says
    assert marked == 1
    assert left is None
    assert events == [f"WebhookMisconfigured: {says}"]
    assert [line["error"] for line in logs if line["event"] == "webhook_misconfigured"] == [says]


async def test_the_go_operators_settings_are_enough(receiver: Receiver) -> None:
    async with scene(OPERATOR_WEBHOOK_BROADCAST_URL=receiver.url) as here:
        await here.put("a", 1)
        await here.until(lambda: len(receiver.requests) == 1)

    body = receiver.requests[0].json
    assert body["kind"] == "VulnerabilityReport"
    assert body["report"] == report("a", 1)["report"]


async def test_who_is_cancelled_while_a_channel_ends_ends_too(receiver: Receiver) -> None:
    """Else the operator would not stop, if its configuration changes at that moment."""
    async with scene() as here:
        await here.configure({"name": "siem", "url": receiver.url})
        await here.put("a", 1)
        await here.until(lambda: len(receiver.requests) == 1)

        stopping = asyncio.create_task(here.notifications._stop("siem"))
        await asyncio.sleep(0)
        stopping.cancel()
        await asyncio.wait([stopping])

    assert stopping.cancelled()


async def test_a_bug_in_setting_up_one_endpoint_is_its_problem_alone(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash_for_one(endpoint: Endpoint, *args: Any, **options: Any) -> Access:
        if endpoint.name == "odd":
            raise ZeroDivisionError
        return build_access(endpoint, *args, **options)

    monkeypatch.setattr("trivyop.controllers.webhooks.notifications.build_access", crash_for_one)
    async with scene() as here:
        with capture_logs() as logs:
            await here.configure({"name": "odd", "url": receiver.url}, {"name": "siem", "url": receiver.url})
            await here.put("a", 1)
            await here.until(lambda: names(receiver) == ["a"])
            here.clock.leap(61)
            await here.put("b", 1)
            await here.until(lambda: names(receiver) == ["a", "b"])
        problem = here.notifications.problem()

    assert problem == "endpoint 'odd': cannot be set up, a bug: ZeroDivisionError"
    assert [line["endpoint"] for line in logs if line["event"] == "webhook_access_crashed"] == ["odd"]


async def test_refusals_that_are_worded_anew_each_time_are_told_once() -> None:
    """Many receivers put the id of the request into their answers."""
    counter = itertools.count()
    faults = iter([*[Fault.REFUSE] * 4, Fault.UNAUTHORIZED])
    async with (
        receiving(
            FakeClock(), misbehave=lambda _: next(faults), reason=lambda: f"no (request {next(counter)})"
        ) as receiver,
        scene() as here,
    ):
        await here.configure({"name": "siem", "url": receiver.url, "concurrency": 1})
        for n in range(5):
            await here.put(f"r{n}", 1)
        await here.until(lambda: len(receiver.requests) == 5)
        told: list[str] = []
        while not any("answers 401" in one for one in told):
            await asyncio.sleep(0.02)
            told = await here.events()

    assert len([one for one in told if "answers 400" in one]) == 1


async def test_many_refused_credentials_make_for_one_more_look_at_them(receiver: Receiver) -> None:
    async with scene() as here:
        for _ in range(2):
            before = len(here.clock.timers)
            for _ in range(100):
                here.notifications._denied()
            after = len(here.clock.timers)

            assert after - before == 1
            here.clock.leap(6)
            await here.until(lambda: here.notifications._soon is None)


async def test_who_may_not_write_any_more_sends_nothing(receiver: Receiver) -> None:
    """Nobody would remember it, so the next leader would send it again."""
    async with scene() as here:
        await here.configure({"name": "siem", "url": receiver.url})
        await here.put("a", 1)
        await here.until(lambda: names(receiver) == ["a"] and here.notifications.idle)

        here.gate.open = False
        await here.put("b", 1)
        await here.until(lambda: here.notifications._channels["siem"].channel._sender.breaker.failures > 0)
        sent = names(receiver)
        here.gate.open = True
        here.clock.leap(600)
        await here.until(lambda: names(receiver) == ["a", "b"])

    assert sent == ["a"]
