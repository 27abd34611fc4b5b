"""Tombstones: reports as they were when they were deleted, for endpoints that receive deletions.

A deletion's watch event carries the whole object; afterwards nobody has it any more. So while an endpoint
wants deletions, each kind of report is watched in full, and all other events are skipped undecoded. A deleted
report is kept compressed until every endpoint has received its deletion, within a bound. Beyond the bound,
and where a gap in the watch hid the event, the message carries only the identity of the report.

Promises: bounded; never one report in the place of another.
Not here: noticing that something was deleted, which the informers do, gaps or not.
"""

from __future__ import annotations

import asyncio
import random
import zlib
from collections import OrderedDict
from collections.abc import Callable, Collection
from contextlib import aclosing
from dataclasses import dataclass, field

import msgspec
import orjson
import structlog

from trivyop.control.backoff import Backoff
from trivyop.control.clock import Clock
from trivyop.errors import ExpiredError, TerminalError, TransientError
from trivyop.kube.client import Api
from trivyop.kube.objects import precedes
from trivyop.kube.resources import ObjectKey, Resource
from trivyop.kube.watch import EventType
from trivyop.notify.events import Change, Subject, deletion

log = structlog.get_logger(__name__)

_ROOM_BYTES = 8 * 1024 * 1024
_PROBLEM_SECONDS = 60.0


class _Metadata(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """What receivers may want to see: everything but ``managedFields``."""

    name: str
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    creation_timestamp: str = ""
    deletion_timestamp: str = ""
    labels: msgspec.Raw = msgspec.Raw(b"")
    annotations: msgspec.Raw = msgspec.Raw(b"")
    owner_references: msgspec.Raw = msgspec.Raw(b"")
    finalizers: msgspec.Raw = msgspec.Raw(b"")

    @property
    def key(self) -> ObjectKey:
        return ObjectKey(self.namespace, self.name)


class FullReport(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A report as the watch sends it, most of it undecoded."""

    metadata: _Metadata
    api_version: str = ""
    kind: str = ""
    report: msgspec.Raw = msgspec.Raw(b"")
    spec: msgspec.Raw = msgspec.Raw(b"")
    status: msgspec.Raw = msgspec.Raw(b"")


@dataclass(slots=True)
class _Body:
    uid: str
    packed: bytes
    settled: set[str] = field(default_factory=set[str])


class Tombstones:
    """Reports that were deleted recently; ``watch`` fills it."""

    def __init__(self, api: Api, *, clock: Clock, rng: random.Random, room_bytes: int = _ROOM_BYTES) -> None:
        self.audience: Collection[str] = ()  # the endpoints that receive deletions
        self._api = api
        self._clock = clock
        self._rng = rng
        self._room_bytes = room_bytes
        self._bodies: OrderedDict[Subject, _Body] = OrderedDict()
        self._bytes = 0
        self._handlers: list[Callable[[Subject], None]] = []
        self._lost_handlers: list[Callable[[str], None]] = []

    def add_handler(self, handler: Callable[[Subject], None]) -> None:
        """Call ``handler`` when the content of a deleted report has arrived."""
        self._handlers.append(handler)

    def add_lost_handler(self, handler: Callable[[str], None]) -> None:
        """Call ``handler`` with an endpoint's name when a report is dropped that it has not received yet."""
        self._lost_handlers.append(handler)

    def get(self, subject: Subject, endpoint: str) -> Change | None:
        """The deletion; None if the endpoint is done with it, or the watch missed it."""
        body = self._bodies.get(subject)
        if body is None or endpoint in body.settled:
            return None
        return deletion(subject, body.uid, orjson.loads(zlib.decompress(body.packed)))

    def has(self, subject: Subject, endpoint: str) -> bool:
        body = self._bodies.get(subject)
        return body is not None and endpoint not in body.settled

    def settled(self, subject: Subject, endpoint: str) -> None:
        """Record that the endpoint is done with it."""
        body = self._bodies.get(subject)
        if body is not None:
            body.settled.add(endpoint)
            if body.settled.issuperset(self.audience):
                self._drop(subject)

    def _drop(self, subject: Subject) -> None:
        self._bytes -= len(self._bodies.pop(subject).packed)

    def _keep(self, subject: Subject, report: FullReport) -> None:
        if not self.audience:
            return
        resource = subject.resource
        named = msgspec.structs.replace(report, api_version=resource.api_version, kind=resource.kind)
        if subject in self._bodies:
            self._drop(subject)
        body = _Body(report.metadata.uid, zlib.compress(msgspec.json.encode(named), 1))
        self._bodies[subject] = body
        self._bytes += len(body.packed)
        while self._bytes > self._room_bytes:
            oldest, lost = next(iter(self._bodies.items()))
            self._drop(oldest)
            for endpoint in set(self.audience) - lost.settled:
                for lost_handler in self._lost_handlers:
                    lost_handler(endpoint)
        for handler in self._handlers:
            handler(subject)

    async def watch(self, resource: Resource, namespace: str) -> None:
        """Watch the reports of a kind, from now on, until cancelled."""
        version = ""
        backoff = Backoff(self._rng, base_seconds=0.8, max_seconds=30.0)
        while True:
            try:
                if not version or backoff.failures:  # after an outage the server may have gone back in time
                    now = await self._api.current_version(resource, namespace=namespace)
                    version = now if not version or precedes(now, version) else version
                watching = self._api.watch_batches(
                    resource, namespace=namespace, resource_version=version, type=FullReport
                )
                async with aclosing(watching) as batches:
                    async for batch in batches:
                        for event in batch:
                            version = event.resource_version
                            backoff.succeeded()
                            if event.type is EventType.DELETED and event.object is not None:
                                self._keep(Subject(resource, event.object.metadata.key), event.object)
                continue
            except ExpiredError:
                version = ""
            except TransientError as error:
                log.debug("deletions_not_watched", resource=resource.name, error=str(error))
            except TerminalError as error:  # the informer of the kind reports it
                log.debug("deletions_not_watched", resource=resource.name, error=str(error))
                await self._clock.sleep(_PROBLEM_SECONDS)
            await self._clock.sleep(backoff.failed())


async def watch_all(tombstones: Tombstones, wanted: Collection[tuple[Resource, str]]) -> None:
    """Watch each kind in each namespace ("" is all of them), until cancelled."""
    async with asyncio.TaskGroup() as group:
        for resource, namespace in wanted:
            group.create_task(
                tombstones.watch(resource, namespace), name=f"deletions/{resource.plural}/{namespace}"
            )
