"""Watch: a stream of lines into typed events.

Promises: each line is decoded once, straight into the caller's type; a line of many megabytes costs no more
than its length. An ERROR event is raised as what it means (410: ``ExpiredError``). An object that does not
decode is reported by name and skipped.
Not here: where the bytes come from, resuming, back-off (``kube.informer``).
"""

from __future__ import annotations

import functools
from collections.abc import AsyncGenerator, AsyncIterable, Callable
from enum import StrEnum
from typing import Any, Generic, TypeVar, cast

import msgspec

from trivyop.errors import TransientError
from trivyop.kube.objects import version_of
from trivyop.kube.pages import OnMalformed, name_of, trimmable
from trivyop.kube.refusals import Status, error_for
from trivyop.kube.trimming import trim_one

T = TypeVar("T")

_INITIAL_EVENTS_END = "k8s.io/initial-events-end"


class EventType(StrEnum):
    """What happened to an object; a bookmark is about none, it only moves the resource version on."""

    ADDED = "ADDED"
    MODIFIED = "MODIFIED"
    DELETED = "DELETED"
    BOOKMARK = "BOOKMARK"


class WatchEvent(msgspec.Struct, Generic[T], frozen=True, gc=False):
    """One event; ``object`` is None for bookmarks only. Watching can go on from ``resource_version``."""

    type: EventType
    object: T | None
    resource_version: str
    initial_events_end: bool = False  # this bookmark ends the initial list that a watch was asked to send


class _Added(msgspec.Struct, Generic[T], frozen=True, gc=False, tag_field="type", tag="ADDED"):
    object: T


class _Modified(msgspec.Struct, Generic[T], frozen=True, gc=False, tag_field="type", tag="MODIFIED"):
    object: T


class _Deleted(msgspec.Struct, Generic[T], frozen=True, gc=False, tag_field="type", tag="DELETED"):
    object: T


class _BookmarkMeta(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    resource_version: str
    annotations: dict[str, str] | None = None


class _BookmarkObject(msgspec.Struct, frozen=True, gc=False):
    metadata: _BookmarkMeta


class _Bookmark(msgspec.Struct, frozen=True, gc=False, tag_field="type", tag="BOOKMARK"):
    object: _BookmarkObject


class _Error(msgspec.Struct, frozen=True, gc=False, tag_field="type", tag="ERROR"):
    object: Status


class _Envelope(msgspec.Struct, frozen=True, gc=False):
    object: msgspec.Raw
    type: str = ""


_CHANGES: dict[type, EventType] = {
    _Added: EventType.ADDED,
    _Modified: EventType.MODIFIED,
    _Deleted: EventType.DELETED,
}
_envelopes = msgspec.json.Decoder(_Envelope)


@functools.cache
def _lines_of(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(_Added[kind] | _Modified[kind] | _Deleted[kind] | _Bookmark | _Error)


def decoder(
    kind: type[T], *, request: str, on_malformed: OnMalformed
) -> Callable[[bytes], WatchEvent[T] | None]:
    """A function from a line to its event, or to None for a line that is passed over."""
    decode = _lines_of(kind).decode
    trim = trim_one if trimmable(kind) else _as_it_is

    def event_of(line: bytes) -> WatchEvent[T] | None:
        try:
            try:
                event = decode(trim(line))
            except msgspec.DecodeError:
                event = decode(line)
        except msgspec.ValidationError as error:
            _tell_malformed(line, str(error), on_malformed)
            return None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise TransientError(f"{request}: a line of the watch is not JSON: {error}") from error
        change = _CHANGES.get(event.__class__)
        if change is not None:
            return WatchEvent(change, event.object, version_of(event.object))
        if isinstance(event, _Error):
            raise error_for(event.object.code or 500, event.object, request=request)
        meta = cast("_Bookmark", event).object.metadata
        ends = bool(meta.annotations) and meta.annotations.get(_INITIAL_EVENTS_END) == "true"
        return WatchEvent(EventType.BOOKMARK, None, meta.resource_version, ends)

    return event_of


def _as_it_is(line: bytes) -> bytes:
    return line


def _tell_malformed(line: bytes, reason: str, on_malformed: OnMalformed) -> None:
    try:
        envelope = _envelopes.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        on_malformed(name_of(b"{}"), reason)
        return
    if envelope.type in ("ADDED", "MODIFIED", "DELETED"):  # of other types, a newer server's, we know nothing
        on_malformed(name_of(envelope.object), reason)


class Lines:
    """Cuts a stream at its newlines; empty lines, and a last one without a newline, are dropped."""

    def __init__(self) -> None:
        self._pending: list[bytes] = []  # the pieces of a line that has not ended; joined once, when it does

    def cut(self, chunk: bytes) -> list[bytes]:
        """The lines that end in ``chunk``, which is what comes next of the stream."""
        newline = chunk.find(b"\n")
        if newline < 0:
            self._pending.append(chunk)
            return []
        lines = [b"".join([*self._pending, chunk[:newline]])]
        start = newline + 1
        while (newline := chunk.find(b"\n", start)) >= 0:  # with lines this long twice as fast as `split`
            lines.append(chunk[start:newline])
            start = newline + 1
        self._pending = [chunk[start:]]
        return [line for line in lines if line]


async def batches(
    chunks: AsyncIterable[bytes], event_of: Callable[[bytes], WatchEvent[T] | None]
) -> AsyncGenerator[list[WatchEvent[T]], None]:
    """The events of each chunk at once. What ``event_of`` raises is raised after the events before it."""
    lines = Lines()
    async for chunk in chunks:
        events: list[WatchEvent[T]] = []
        try:
            for line in lines.cut(chunk):
                event = event_of(line)
                if event is not None:
                    events.append(event)
        except Exception:
            if events:
                yield events
            raise
        if events:
            yield events
