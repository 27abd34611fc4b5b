"""Watches: the stream of changes of a selection, from a revision on.

A watch is a queue that the bucket fills as it writes, and a loop that sends what has gathered in one piece.
What an object is to the watcher depends on whether it was and is in the selection: it is ADDED when it
comes in, DELETED with its last state in there when it goes out.

Promises: changes come in order, none twice, none left out; a watch from a forgotten revision gets one ERROR
event of code 410. All watchers that see a change alike get the same encoded bytes.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import AsyncIterator
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING

import orjson

from trivyop.sandbox.apiserver import encoding, status
from trivyop.sandbox.apiserver.encoding import Style
from trivyop.sandbox.apiserver.reads import Selection, check_list_options, parse_rv, rv_error
from trivyop.sandbox.apiserver.storage import Change, Stored

if TYPE_CHECKING:
    from trivyop.sandbox.apiserver.kinds import Served
    from trivyop.sandbox.apiserver.request import Request
    from trivyop.sandbox.apiserver.storage import Storage

BOOKMARK_SECONDS = 60.0
_INITIAL_EVENTS_END = {"k8s.io/initial-events-end": "true"}
_DEFAULT_SECONDS = (1800.0, 3600.0)
_BATCH = 500  # events encoded between two chances for others to run
_BACKLOG = 50_000  # changes that a client may be behind
_GATHER_SECONDS = 0.005  # what follows an event this closely goes out with its like in one piece
_TRUE = ("true", "1", "t", "T", "TRUE", "True")


class Watch:
    """One watch; ``pieces`` yields what to send, several events in a piece. Close it when done."""

    def __init__(self, request: Request, served: Served, storage: Storage) -> None:
        """Check the parameters and subscribe; from here on no change is missed."""
        query = request.query
        check_list_options(query, watch=True)
        rv = query.get("resourceVersion", "")
        if rv and not (rv.isascii() and rv.isdigit()):
            raise status.Refused(500, "", rv_error(rv))
        self._selection = Selection.of(request, served)
        self.media_type = request.accepted.media_type
        self._served = served
        self._storage = storage
        self._form = request.accepted.form
        self._bookmarks = query.get("allowWatchBookmarks") in _TRUE
        self._initial = query.get("sendInitialEvents") in _TRUE
        self._columns = True  # only the first event of a table watch defines them
        self._pending: deque[Change] = deque()
        self._wake = asyncio.Event()
        self._closed = False
        self._start = parse_rv(rv)
        self._seconds = _timeout(query.get("timeoutSeconds", ""))
        initial = self._initial or (self._start == 0 and "sendInitialEvents" not in query)
        self._begin(initial=initial)

    def _begin(self, *, initial: bool) -> None:
        bucket = self._served.bucket
        self._expired = not initial and 0 < self._start < bucket.floor
        self._state = bucket.list(self._selection.namespace) if initial else []
        self._sent_rv = self._storage.rv
        if self._start and not initial and not self._expired:
            self._pending.extend(bucket.since(self._start))
        self._skip_to = self._start  # a watch may start in the future
        bucket.watchers.add(self._offer)
        bucket.closers.add(self.close)

    def _offer(self, change: Change) -> None:
        if change.rv <= self._skip_to:
            return
        self._pending.append(change)
        self._wake.set()
        if len(self._pending) > _BACKLOG:
            self._pending.clear()
            self.close()  # the client does not keep up; it may come back from where it is

    def close(self) -> None:
        """End the stream after what it sent last."""
        self._closed = True
        self._served.bucket.watchers.discard(self._offer)
        self._served.bucket.closers.discard(self.close)
        self._wake.set()

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield encoded events until the watch times out or is closed."""
        loop = asyncio.get_running_loop()
        if self._expired:
            message = f"too old resource version: {self._start} ({self._served.bucket.floor})"
            yield encoding.line("ERROR", orjson.dumps(status.expired(message).status))
            return
        selected = (stored for stored in self._state if stored in self._selection)
        while batch := list(islice(selected, _BATCH)):
            yield b"".join(self._encode("ADDED", stored) for stored in batch)
        self._state = []
        if self._initial and self._bookmarks:
            yield self._bookmark(_INITIAL_EVENTS_END)
        end = loop.time() + self._seconds
        next_bookmark = loop.time() + BOOKMARK_SECONDS
        while True:
            if piece := self._drain():
                yield piece
                await asyncio.sleep(0 if self._pending else _GATHER_SECONDS)
            elif self._closed:
                return
            else:
                with suppress(TimeoutError):
                    async with asyncio.timeout_at(min(end, next_bookmark)):
                        await self._wake.wait()
                self._wake.clear()
            now = loop.time()
            if self._bookmarks and now >= min(end, next_bookmark):
                yield self._bookmark()
                next_bookmark = now + BOOKMARK_SECONDS
            if now >= end:
                return

    def _drain(self) -> bytes:
        pieces: list[bytes] = []
        pending, selection = self._pending, self._selection
        while pending and len(pieces) < _BATCH:
            change = pending.popleft()
            self._sent_rv = change.rv
            was = change.old is not None and change.old in selection
            if change.new is not None and change.new in selection:
                pieces.append(self._shared(change, "MODIFIED" if was else "ADDED", change.new))
            elif was:
                pieces.append(self._shared(change, "DELETED", self._last_state(change)))
        return b"".join(pieces)

    def _last_state(self, change: Change) -> Stored:
        """Return the state that a DELETED event shows: the last one selected, at the change's revision."""
        if change.gone is not None and change.gone in self._selection:
            return change.gone
        assert change.old is not None  # noqa: S101  # only what was selected can leave the selection
        return Stored(change.old.obj(), change.rv, lambda _: {})

    def _shared(self, change: Change, type_: str, stored: Stored) -> bytes:
        columns, self._columns = self._columns, False
        return encoding.shared_event(
            change,
            type_,
            self._served,
            stored,
            self._form,
            columns=columns or self._form.style is not Style.TABLE,
        )

    def _encode(self, type_: str, stored: Stored) -> bytes:
        columns, self._columns = self._columns, False
        return encoding.event(type_, self._served, stored, self._form, columns=columns)

    def _bookmark(self, annotations: dict[str, str] | None = None) -> bytes:
        """Encode how far the watch has come: the newest revision, since all changes up to it are sent."""
        if not self._pending:
            self._sent_rv = max(self._sent_rv, self._storage.rv)
        return encoding.bookmark(self._served, self._sent_rv, self._form, annotations)


def _timeout(text: str) -> float:
    if not text:
        return random.uniform(*_DEFAULT_SECONDS)  # noqa: S311  # spread, not secrecy
    try:
        return float(int(text)) or random.uniform(*_DEFAULT_SECONDS)  # noqa: S311
    except ValueError:
        raise status.bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax') from None
