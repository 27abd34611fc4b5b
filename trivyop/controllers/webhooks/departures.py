"""Departures: reports as they were when they were deleted, for endpoints that are told of deletions.

A deletion's watch event carries the whole object, and nothing else does afterwards. So while somebody wants
deletions, each kind of report is watched in full, and all but those events are passed over, undecoded. What
departed is kept compressed, until every endpoint has been told, within a bound; beyond it, and where a gap in
the watch hid the event, a deletion is told with the identity of the report alone.

Promises: bounded; never a report in the place of another one.
Not here: that something was deleted; the informers notify of that, gaps or not.
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

from trivyop.control.backoff import full_jitter
from trivyop.control.clock import Clock
from trivyop.errors import ExpiredError, TerminalError, TransientError
from trivyop.kube.client import Api
from trivyop.kube.objects import precedes
from trivyop.kube.resources import ObjectKey, Resource
from trivyop.kube.watch import EventType
from trivyop.notify.events import Change, Subject
from trivyop.notify.source import deletion

log = structlog.get_logger(__name__)

_ROOM_BYTES = 8 * 1024 * 1024
_PROBLEM_SECONDS = 60.0


class _Metadata(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """All that receivers may want to see, which is all but ``managedFields``."""

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


class Whole(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A report, most of it undecoded."""

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


class Departures:
    """What was deleted lately; ``watch`` fills it."""

    def __init__(self, api: Api, *, clock: Clock, rng: random.Random, room_bytes: int = _ROOM_BYTES) -> None:
        self.audience: Collection[str] = ()  # the endpoints that are told of deletions
        self._api = api
        self._clock = clock
        self._rng = rng
        self._room_bytes = room_bytes
        self._bodies: OrderedDict[Subject, _Body] = OrderedDict()
        self._bytes = 0
        self._handlers: list[Callable[[Subject], None]] = []
        self._lost_handlers: list[Callable[[str], None]] = []

    def add_handler(self, handler: Callable[[Subject], None]) -> None:
        """Call ``handler`` when the content of something deleted has come in."""
        self._handlers.append(handler)

    def add_lost_handler(self, handler: Callable[[str], None]) -> None:
        """Call ``handler`` with an endpoint's name when one that it was to be told of had to make room."""
        self._lost_handlers.append(handler)

    def get(self, subject: Subject, endpoint: str) -> Change | None:
        """Its deletion, unless the endpoint is done with that, or it was not seen."""
        body = self._bodies.get(subject)
        if body is None or endpoint in body.settled:
            return None
        return deletion(subject, body.uid, orjson.loads(zlib.decompress(body.packed)))

    def has(self, subject: Subject, endpoint: str) -> bool:
        body = self._bodies.get(subject)
        return body is not None and endpoint not in body.settled

    def settled(self, subject: Subject, endpoint: str) -> None:
        """The endpoint is done with it."""
        body = self._bodies.get(subject)
        if body is not None:
            body.settled.add(endpoint)
            if body.settled.issuperset(self.audience):
                self._drop(subject)

    def _drop(self, subject: Subject) -> None:
        self._bytes -= len(self._bodies.pop(subject).packed)

    def _keep(self, subject: Subject, whole: Whole) -> None:
        if not self.audience:
            return
        resource = subject.resource
        named = msgspec.structs.replace(whole, api_version=resource.api_version, kind=resource.kind)
        if subject in self._bodies:
            self._drop(subject)
        body = _Body(whole.metadata.uid, zlib.compress(msgspec.json.encode(named), 1))
        self._bodies[subject] = body
        self._bytes += len(body.packed)
        while self._bytes > self._room_bytes:
            oldest, lost = next(iter(self._bodies.items()))
            self._drop(oldest)
            for endpoint in set(self.audience) - lost.settled:
                for tell in self._lost_handlers:
                    tell(endpoint)
        for handler in self._handlers:
            handler(subject)

    async def watch(self, resource: Resource, namespace: str) -> None:
        """Watch the reports of a kind, from now on, until cancelled."""
        version, failures = "", 0
        while True:
            try:
                if not version or failures:  # after an outage the server may have gone back in time
                    now = await self._api.current_version(resource, namespace=namespace)
                    version = now if not version or precedes(now, version) else version
                watching = self._api.watch_batches(
                    resource, namespace=namespace, resource_version=version, type=Whole
                )
                async with aclosing(watching) as batches:
                    async for batch in batches:
                        for event in batch:
                            version, failures = event.resource_version, 0
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
            await self._clock.sleep(full_jitter(failures, self._rng, base_seconds=0.8, max_seconds=30.0))
            failures += 1


async def watch_all(departures: Departures, wanted: Collection[tuple[Resource, str]]) -> None:
    """Watch all of them, each a kind and a namespace or ""; until cancelled."""
    async with asyncio.TaskGroup() as group:
        for resource, namespace in wanted:
            group.create_task(
                departures.watch(resource, namespace), name=f"deletions/{resource.plural}/{namespace}"
            )
