"""A few reports in memory, an endpoint that is to be told of them, and a ledger in a real API server."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from prometheus_client import CollectorRegistry

from tests.clock import FakeClock, settle
from tests.unit.notify.receiver import Receiver
from trivyop.errors import TransientError
from trivyop.kube.client import Api
from trivyop.kube.config import ClusterConfig
from trivyop.kube.resources import NAMESPACES, VULNERABILITYREPORTS, ObjectKey, Resource
from trivyop.notify.channel import Channel
from trivyop.notify.endpoint import Endpoint
from trivyop.notify.events import Change, Event, Marker, Subject, Verb, deletion
from trivyop.notify.formats import FORMATS, DigestFormat, Format
from trivyop.notify.ledger.ledger import Ledger
from trivyop.notify.metrics import WebhookMetrics
from trivyop.notify.transport import Access, RefusedError
from trivyop.sandbox.apiserver.server import ApiServer
from trivyop.settings.kinds import SecretText

NAMESPACE = "trivy-system"


def subject(name: str) -> Subject:
    return Subject(VULNERABILITYREPORTS, ObjectKey("shop", name))


def uid_of(name: str, life: int = 0) -> str:
    return f"{random.Random(name).getrandbits(32):08x}-0000-4000-8000-{life:012d}"


class Reports:
    """What there is, without a cluster; a ``Source``. A version is the content hash."""

    def __init__(self) -> None:
        self.present: dict[Subject, dict[str, Any]] = {}
        self.gone: dict[Subject, Change] = {}
        self.done: set[tuple[Subject, str]] = set()
        self.reads = 0
        self.blind = False
        self.hashless = False  # as the Go operator's are
        self.broken = False
        self.handlers: list[Callable[[Subject], None]] = []

    def put(
        self,
        name: str,
        version: int,
        *,
        life: int = 0,
        rows: Sequence[Any] = (),
        labels: Mapping[str, str] | None = None,
    ) -> None:
        one = subject(name)
        self.present[one] = {
            "apiVersion": "aquasecurity.github.io/v1alpha1",
            "kind": "VulnerabilityReport",
            "metadata": {
                "name": name,
                "namespace": "shop",
                "uid": uid_of(name, life),
                "labels": dict(labels or {}),
                "annotations": {"trivyop.dev/content-hash": str(version)},
            },
            "report": {"version": version, "vulnerabilities": list(rows), "summary": {}},
        }
        self._tell(one)

    def delete(self, name: str, *, seen: bool = True) -> None:
        one = subject(name)
        document = self.present.pop(one)
        self.done = {pair for pair in self.done if pair[0] != one}
        self.gone.pop(one, None)
        if seen:
            self.gone[one] = deletion(one, document["metadata"]["uid"], document)
        self._tell(one)

    def _tell(self, one: Subject) -> None:
        for handler in self.handlers:
            handler(one)

    def marker(self, subject: Subject) -> Marker | None:
        document = self.present.get(subject)
        if document is None:
            return None
        meta = document["metadata"]
        return Marker(meta["uid"], "" if self.hashless else meta["annotations"]["trivyop.dev/content-hash"])

    def certain(self, subject: Subject) -> bool:
        return not self.blind

    def batches(self) -> Iterator[Sequence[Subject]]:
        if self.broken:
            self.broken = False
            raise ZeroDivisionError
        yield list(self.present)

    async def read(self, subject: Subject) -> Event | None:
        self.reads += 1
        await asyncio.sleep(0)
        document = self.present.get(subject)
        if document is None:
            return None
        meta = document["metadata"]
        version = meta["annotations"]["trivyop.dev/content-hash"]
        return Change(Verb.UPDATE, *subject, meta["uid"], version, document)

    def tombstone(self, subject: Subject, endpoint: str) -> Change | None:
        return self.gone.get(subject) if self.has_tombstone(subject, endpoint) else None

    def has_tombstone(self, subject: Subject, endpoint: str) -> bool:
        return subject in self.gone and (subject, endpoint) not in self.done

    def settled(self, subject: Subject, endpoint: str) -> None:
        self.done.add((subject, endpoint))


@dataclass
class Traffic:
    """What the ledger has to do with the API server."""

    writes: int = 0  # that were begun
    bytes: int = 0  # of ConfigMaps, as etcd has them: their data decoded, and about 600 for the rest
    by_kind: Counter[str] = field(default_factory=Counter[str])  # "page", "part", "delete"
    busy: int = 0
    on_begin: Callable[[int], None] = lambda _: None  # may raise
    on_end: Callable[[int], None] = lambda _: None  # may raise: the answer is lost

    @asynccontextmanager
    async def write(self, kind: str, size: int) -> AsyncGenerator[None]:
        self.writes += 1
        number = self.writes
        self.on_begin(number)
        self.by_kind[kind] += 1
        self.bytes += size
        self.busy += 1
        try:
            yield
        finally:
            self.busy -= 1
        self.on_end(number)


class WatchedApi(Api):
    """An API client that counts what it writes."""

    traffic: Traffic

    async def apply(self, resource: Resource, body: Mapping[str, Any], **options: Any) -> dict[str, Any]:
        kind = "part" if "-journal-" in body["metadata"]["name"] else "page"
        size = sum(len(text) * 3 // 4 for text in body.get("binaryData", {}).values())
        async with self.traffic.write(kind, size + 600):
            return await super().apply(resource, body, **options)

    async def delete(self, resource: Resource, key: ObjectKey, **options: Any) -> bool:
        async with self.traffic.write("delete", 300):
            return await super().delete(resource, key, **options)


@dataclass
class World:
    """One endpoint, and what it is told of."""

    clock: FakeClock
    api: WatchedApi
    server: ApiServer
    reports: Reports = field(default_factory=Reports)
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    refusals: list[tuple[Subject, RefusedError]] = field(default_factory=list[Any])
    alive: bool = True
    forbidden: bool = False  # to write the ledger
    crashes: int = 0
    denied: int = 0
    channels: list[Channel] = field(default_factory=list[Channel])

    @property
    def traffic(self) -> Traffic:
        return self.api.traffic

    def ledger(self, endpoint: str = "siem") -> Ledger:
        """What is remembered of an endpoint; ``load`` it."""
        api = self.api.gated(self.gate)
        return Ledger(api, NAMESPACE, endpoint, [VULNERABILITYREPORTS], clock=self.clock)

    def gate(self) -> float:
        self.check_alive()
        if self.forbidden:
            raise TransientError("the ledger may not be written")
        return 30.0

    def check_alive(self) -> None:
        if not self.alive:
            raise TransientError("the process is dead")

    @asynccontextmanager
    async def channel(
        self,
        receiver: Receiver,
        *,
        access: Access | None = None,
        capacity: int = 10_000,
        words: Format | DigestFormat | None = None,
        **options: Any,
    ) -> AsyncGenerator[Channel]:
        """An endpoint at work; what it wrote down is found by the next one of its name."""
        settings: dict[str, Any] = {"name": "siem", "url": SecretText(receiver.url), "envelope": True}
        endpoint = Endpoint(**settings | {"deletes": True} | options)
        self.registry = CollectorRegistry()
        self.alive = True
        channel = Channel(
            endpoint,
            words or FORMATS[endpoint.format],
            self.ledger(endpoint.name),
            self.reports,
            clock=self.clock,
            rng=random.Random(1),
            metrics=WebhookMetrics(self.registry),
            check_gate=self.check_alive,
            on_refused=lambda one, error: self.refusals.append((one, error)),
            on_denied=self._deny,
            capacity=capacity,
        )
        self.reports.handlers.append(channel.changed)
        self.channels.append(channel)
        access = access or Access(endpoint=endpoint.name, url=receiver.url, fingerprint="1")
        await channel.use(access)
        task = asyncio.create_task(self._keep_running(channel, access))
        try:
            yield channel
        finally:
            self.reports.handlers.remove(channel.changed)
            self.channels.remove(channel)
            task.cancel()
            await asyncio.wait([task])

    async def _keep_running(self, channel: Channel, access: Access) -> None:
        while True:
            try:
                await channel.run()
            except ExceptionGroup:
                self.crashes += 1
                await channel.use(access)

    def _deny(self) -> None:
        self.denied += 1

    def sample(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(name, {"endpoint": "siem", **labels}) or 0.0

    async def until(self, reached: Callable[[], bool], *receivers: Receiver) -> None:
        """Let everything happen that can, moving time on when nothing else moves, until ``reached``."""
        still = 0
        for _ in range(400_000):
            if reached():
                return
            before = self._activity(receivers)
            await settle(20)
            still = 0 if self._activity(receivers) != before else still + 1
            # a request that is under way takes no time; one that hangs moves time itself
            if self.clock.next_due is not None and still > (5000 if self._calling() else 0):
                self.clock.advance(max(0.0, self.clock.next_due))
                still = 0
        raise AssertionError("it never comes to that")

    def _activity(self, receivers: Sequence[Receiver]) -> int:
        return sum(receiver.activity for receiver in receivers) + self.reports.reads + self.traffic.writes

    def _calling(self) -> bool:
        transports = [channel._sender._transport for channel in self.channels]
        return self.traffic.busy > 0 or any(one is not None and one._users for one in transports)


class _Awaited(ThreadPoolExecutor):
    """Holds up the event loop while a thread works, so that the fake clock does not move on meanwhile."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future = super().submit(fn, *args, **kwargs)
        wait([future])
        return future


@asynccontextmanager
async def world() -> AsyncGenerator[World]:
    clock = FakeClock()
    asyncio.get_running_loop().set_default_executor(_Awaited())
    async with ApiServer() as server:
        config = await ClusterConfig.from_kubeconfig_dict(server.kubeconfig())
        async with WatchedApi(config) as api:
            api.traffic = Traffic()
            body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
            await api.create(NAMESPACES, body)
            yield World(clock, api, server)
