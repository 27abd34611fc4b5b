"""Events: what users should see about an object, where ``kubectl describe`` shows it.

What repeats within ten minutes is one event with a count. Recording is fire and forget: the caller only notes
down what happened, and a task sends it.

Promises: ``event`` never waits and never raises; memory is bounded, and what is dropped for that, or because
the server will not have it, is counted.
Not here: what is worth an Event.
"""

from __future__ import annotations

import re
import socket
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple

import structlog
from prometheus_client import CollectorRegistry, Counter

from trivyop.control.clock import Clock
from trivyop.control.queue import Priority, WorkQueue
from trivyop.errors import AlreadyExistsError, DeniedError, TerminalError, TransientError
from trivyop.kube.client import Api
from trivyop.kube.objects import ObjectMeta
from trivyop.kube.resources import EVENTS, ObjectKey, Resource
from trivyop.kube.times import format_time

log = structlog.get_logger(__name__)

Severity = Literal["Normal", "Warning"]

_SERIES = timedelta(minutes=10)  # how long a repetition counts as the same event
_REPEAT_SECONDS = 10.0  # repetitions of an event are sent at most this often
_MAX_NOTE_BYTES = 1024  # the API's own limit
_MAX_TRIES = 5
_UNFIT = re.compile(r"[^a-z0-9.-]")  # RBAC names hold colons, names of events must not


class EventMetrics:
    """Metrics of the recorder."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.total = Counter(
            "trivyop_events_total",
            "Kubernetes Events by outcome: sent, dropped (too many), refused (by the server).",
            ["outcome"],
            registry=registry,
        )
        for outcome in ("sent", "dropped", "refused"):
            self.total.labels(outcome)


@dataclass(frozen=True, slots=True)
class ObjectReference:
    """The object that an event is about; its ``uid`` is what ``kubectl describe`` finds the event by."""

    api_version: str
    kind: str
    key: ObjectKey
    uid: str = ""

    @classmethod
    def of(cls, resource: Resource, meta: ObjectMeta) -> ObjectReference:
        return cls(resource.api_version, resource.kind, meta.key, meta.uid)


class _Event(NamedTuple):
    """What makes two events the same one."""

    regarding: ObjectReference
    severity: Severity
    reason: str
    note: str

    def __str__(self) -> str:
        return f"{self.regarding.kind} {self.regarding.key} {self.reason}"


@dataclass(slots=True)
class _Series:
    """How often an Event was recorded, and the state of it that the server has."""

    name: str
    first: datetime
    last: datetime
    count: int = 1
    sent: bool = False


class EventRecorder:
    """Notes down events; ``run`` sends them."""

    def __init__(
        self,
        api: Api,
        component: str = "trivyop",
        *,
        instance: str | None = None,
        clock: Clock | None = None,
        metrics: EventMetrics | None = None,
        capacity: int = 10_000,
    ) -> None:
        self.dropped = 0
        self._api = api
        self._component = component
        self._instance = instance or socket.gethostname()
        self._clock = clock or api.clock
        self._metrics = metrics
        self._capacity = capacity
        self._series: OrderedDict[_Event, _Series] = OrderedDict()
        self._queue = WorkQueue[_Event](self._clock)
        self._numbers = 0
        self._complained = False

    def event(self, regarding: ObjectReference, type_: Severity, reason: str, note: str) -> None:
        """Record that ``reason`` (one CamelCase word) happened to ``regarding``; ``note`` is for people."""
        event = _Event(regarding, type_, reason, _cut(note))
        now = self._clock.now()
        series = self._series.get(event)
        if series is not None and now - series.last <= _SERIES:
            series.count += 1
            series.last = now
            self._series.move_to_end(event)
            self._queue.add_after(event, _REPEAT_SECONDS)
            return
        if len(self._queue) + self._queue.delayed >= self._capacity:
            self._drop()
            return
        self._series.pop(event, None)
        self._series[event] = _Series(self._name(regarding, now), now, now)
        while len(self._series) > 2 * self._capacity:
            self._series.popitem(last=False)
        self._queue.add(event, Priority.USER)

    async def run(self) -> None:
        """Send what was recorded, until cancelled, or until ``stop`` and all of it is sent."""
        async for event in self._queue:
            try:
                await self._send(event)
            except TransientError as error:
                lasting = not isinstance(error, DeniedError)  # a denial ends by itself, as a verdict
                if lasting and self._queue.failures(event) >= _MAX_TRIES:
                    self._refused(event, error)
                else:
                    self._queue.add_rate_limited(
                        event, at_least=error.retry_after, at_most=error.retry_within
                    )
            except TerminalError as error:
                self._refused(event, error)
            except Exception:
                log.exception("event_crashed", event_of=str(event))
                self._queue.forget(event)
            else:
                self._queue.forget(event)
            finally:
                self._queue.done(event)

    async def wait_sent(self) -> None:
        """Wait until everything that is due has been sent, or given up."""
        await self._queue.wait_idle()

    def stop(self) -> None:
        """Take in nothing more; ``run`` returns once what is ready has been sent."""
        self._queue.shut_down()

    async def _send(self, event: _Event) -> None:
        series = self._series.get(event)
        if series is None:  # pushed out by newer ones
            return
        namespace = event.regarding.key.namespace or "default"
        if series.sent:
            news = {"count": series.count, "lastTimestamp": format_time(series.last)}
            if await self._api.patch(EVENTS, ObjectKey(namespace, series.name), news) is not None:
                self._count("sent")
                return
            series.sent = False  # the server lets events go after an hour
        with suppress(AlreadyExistsError):  # an earlier try of this very event arrived after all
            await self._api.create(EVENTS, self._body(event, series, namespace))
        series.sent = True
        self._complained = False
        self._count("sent")

    def _body(self, event: _Event, series: _Series, namespace: str) -> dict[str, Any]:
        regarding = event.regarding
        involved = {
            "apiVersion": regarding.api_version,
            "kind": regarding.kind,
            "namespace": regarding.key.namespace,
            "name": regarding.key.name,
            "uid": regarding.uid,
        }
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": series.name, "namespace": namespace},
            "involvedObject": {field: value for field, value in involved.items() if value},
            "type": event.severity,
            "reason": event.reason,
            "message": event.note,
            "count": series.count,
            "firstTimestamp": format_time(series.first),
            "lastTimestamp": format_time(series.last),
            "source": {"component": self._component},
            "reportingComponent": self._component,
            "reportingInstance": self._instance,
        }

    def _name(self, regarding: ObjectReference, now: datetime) -> str:
        """A name as other components give them: the object's name, and the time in hexadecimal."""
        self._numbers += 1
        suffix = f"{int(now.timestamp() * 1e6):x}{self._numbers % 0x1000:03x}"
        stem = _UNFIT.sub("-", regarding.key.name.lower())[: 252 - len(suffix)].rstrip("-.")
        return f"{stem}.{suffix}"

    def _drop(self) -> None:
        if not self.dropped:
            log.warning("events_dropped", capacity=self._capacity)
        self.dropped += 1
        self._count("dropped")

    def _refused(self, event: _Event, error: Exception) -> None:
        if not self._complained:  # one missing permission refuses them all
            log.warning("event_refused", event_of=str(event), error=str(error))
            self._complained = True
        self._queue.forget(event)
        self._count("refused")

    def _count(self, outcome: str) -> None:
        if self._metrics is not None:
            self._metrics.total.labels(outcome).inc()


def _cut(note: str) -> str:
    """``note`` within the API's limit, which counts bytes."""
    data = note.encode()
    if len(data) <= _MAX_NOTE_BYTES:
        return note
    return data[: _MAX_NOTE_BYTES - 3].decode(errors="ignore") + "..."
