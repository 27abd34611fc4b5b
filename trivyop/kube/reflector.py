"""Reflector: one list, then one watch, for ever, reflected into a sink.

It reads the list (in pages or streamed, whichever costs the server less), then watches from the list's
resource version, which bookmarks move on. A watch that ends is resumed where it stood; when the server calls
that version expired it lists again. A server that was away may come back with an older copy of its storage,
and a watch from a version of its future would wait for ever; so after an outage the current version is asked
for, and if ours is newer, everything is listed again. What stands in the way is waited out: an unreachable
server with full-jitter back-off, a kind that is missing or forbidden at a slow pace. Lasting states are
logged on their two edges; what every API server says for a moment (it starts, or a definition changed) is
no such state.

Both ways cost us the same CPU within 5 % (measured with 5,000 pods of 8 KB); the server they do not. From
Kubernetes 1.34 on it serves pages from snapshots of its watch cache (feature gate ListFromCacheSnapshot, beta
and on by default in 1.34), and pages of 500 cost it a third (metadata) to two thirds (whole objects) of a
streamed list (measured on 1.36): so pages there. An older server reads pages after the first from etcd, and
sends a streamed list from its cache: so a streamed list there, where it has it (gate WatchList, on by default
in 1.32, off in 1.33), else pages.

Promises: the sink gets a whole list, or nothing of it; then each change, per key in order. Nothing ends
``run`` but its cancellation.
Not here: what the objects are kept for (``kube.informer``).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any, Protocol

import msgspec
import structlog

from trivyop.control.backoff import Backoff
from trivyop.control.clock import Clock
from trivyop.errors import (
    DeniedError,
    ExpiredError,
    InvalidError,
    NotFoundError,
    TerminalError,
    TransientError,
    outlasts_a_start,
)
from trivyop.kube.client import Api
from trivyop.kube.objects import key_of, precedes
from trivyop.kube.resources import ObjectKey, Resource
from trivyop.kube.transport import SilentError
from trivyop.kube.watch import EventType, WatchEvent

log = structlog.get_logger(__name__)

REASONS = ("start", "ended", "expired", "failed", "refused")
"""Why a list or a watch is begun."""

_BACKOFF_BASE_SECONDS = 0.8
_BACKOFF_MAX_SECONDS = 30.0
_PROBLEM_SECONDS = 30.0  # pace at which a missing or forbidden kind is tried again
_WATCH_SECONDS = (300.0, 600.0)  # asked of the server, at random, so that watches do not end all at once
_WATCH_SLACK_SECONDS = 30.0  # how much later than asked a server may end a watch
_BOOKMARK_SILENCE_SECONDS = 150.0  # two bookmarks missed, which come each minute, and some slack
_CUT_SHORT_SILENCE_SECONDS = 10.0  # in a watch after one that ended before its time
_FIRST_EVENT_SECONDS = 30.0  # silence in a streamed list after which the server is taken not to know it
_BREATH = 500  # objects after which others get their turn; some milliseconds
_DELETED, _BOOKMARK = EventType.DELETED, EventType.BOOKMARK  # members of an enum are slow to look up
_PASSING_SECONDS = 5.0  # trouble that is over sooner is worth no warning
_SHORT_WATCH_SECONDS = 1.0  # a watch that ends sooner, and brought nothing, counts as a failure


class Sink(Protocol):
    """Takes what is listed and what changes. From ``begin`` to ``complete`` it is a list that comes in."""

    def begin(self) -> None: ...

    def take(self, item: Any) -> None: ...

    def let_go(self, key: ObjectKey) -> None: ...

    def leave_out(self, key: ObjectKey, reason: str) -> None:
        """An object did not decode, so it is not there: what was known of it is no longer so."""
        ...

    def complete(self) -> None: ...

    def trouble(self, problem: str, *, missing: bool) -> None:
        """The kind cannot be listed, and not because the server is busy; `missing`: there is none such."""
        ...


class Selection(msgspec.Struct, frozen=True):
    """What of a kind is reflected, and in which form."""

    namespace: str = ""
    label_selector: str = ""
    field_selector: str = ""
    metadata_only: bool = False


class Reflector:
    """Reflects one kind into ``sink``."""

    def __init__(
        self,
        api: Api,
        resource: Resource,
        kind: type[Any],
        selection: Selection,
        sink: Sink,
        *,
        clock: Clock,
        rng: random.Random,
        page_size: int,
        streaming: bool | None,
        on_restart: Callable[[str], None],
    ) -> None:
        self._api = api
        self._resource = resource
        self._kind = kind
        self._selection = msgspec.structs.asdict(selection)
        self._sink = sink
        self._clock = clock
        self._rng = rng
        self._page_size = page_size
        self._streaming = streaming
        self._on_restart = on_restart
        self._log = log.bind(resource=resource.name)
        self._version: str | None = None  # None: the next thing to do is to list
        self._listing = False  # a list is coming in
        self._listed_at = float("-inf")  # when the last one was complete
        self._bookmarks = False  # this server sends them of its own accord
        self._progress = False  # the watch in hand was worth its request
        self._backoff = Backoff(rng, base_seconds=_BACKOFF_BASE_SECONDS, max_seconds=_BACKOFF_MAX_SECONDS)
        self._failing_since: float | None = None
        self._doubtful = False  # the server was away: it may have another history now
        self._cut_short = False  # it ended the last watch before its time, which may be why
        self._unreachable = False
        self._refused = False

    async def run(self) -> None:
        """Reflect until cancelled."""
        reason = "start"
        while True:
            self._on_restart(reason)
            self._progress = False
            try:
                await self._list_and_watch()
                reason = "ended"
                if not self._progress:  # a server, or a proxy, that hangs up at once
                    await self._pause(None)
            except ExpiredError as error:
                reason = "expired"
                self._log.info("watch_expired", error=str(error))
                self._version = None
                if self._clock.monotonic() - self._listed_at < _SHORT_WATCH_SECONDS:
                    await self._pause(None)  # expired right after a list: asking faster would not help
            except DeniedError as error:
                reason = "refused"
                await self._wait_out_denial(error)
            except TransientError as error:
                reason = "failed"
                await self._wait_for_server(error)
            except TerminalError as error:
                reason = "refused"
                await self._wait_for_permission(error)
            except Exception:  # a bug of ours must not leave a store that nobody keeps up
                reason = "failed"
                log.exception("reflector_crashed", resource=self._resource.name)
                self._version = None
                await self._pause(None)

    async def _list_and_watch(self) -> None:
        if self._version is not None and self._doubtful:
            await self._check_history(self._version)
        if self._version is not None:
            await self._watch(self._version)
        elif await self._is_better_streamed():
            await self._stream()
        else:
            await self._list()
            await self._watch(self._version or "")

    async def _is_better_streamed(self) -> bool:
        if self._streaming is not None:
            return self._streaming
        try:
            return not await self._api.pages_come_from_cache()
        except (TransientError, TerminalError):  # a server that does not say what it is
            return True

    async def _check_history(self, version: str) -> None:
        """Forget the version that was reached if the server has not come as far (any more)."""
        place = {name: value for name, value in self._selection.items() if name != "metadata_only"}
        current = await self._api.current_version(self._resource, **place)
        self._doubtful = False
        if precedes(current, version):
            resource = self._resource.name
            log.info("history_went_back", resource=resource, version=version, current=current)
            self._version = None

    async def _list(self) -> None:
        for limit in (self._page_size, self._page_size, 0):  # as in Api.list, which would hold all at once
            self._begin()
            version = ""
            pages = self._api.list_pages(
                self._resource,
                type=self._kind,
                limit=limit,
                on_malformed=self._sink.leave_out,
                **self._selection,
            )
            try:
                async with aclosing(pages):
                    async for page in pages:
                        await self._take_all(page.items)
                        version = page.resource_version
            except ExpiredError:
                if not limit:
                    raise
            else:
                self._complete(version)
                return

    async def _take_all(self, items: list[Any]) -> None:
        for done, item in enumerate(items):
            self._sink.take(item)
            if done % _BREATH == _BREATH - 1:  # a server may know no pages, and its list be endless
                await asyncio.sleep(0)

    async def _stream(self) -> None:
        """List and watch in one request, or find out that the server cannot do that."""
        self._begin()
        try:
            await self._watch("", send_initial_events=True)
        except (InvalidError, SilentError) as error:
            if not self._listing:
                raise
            self._give_up_streaming(str(error))
        else:
            if self._listing:
                self._give_up_streaming("the watch ended before the list did")

    def _give_up_streaming(self, why: str) -> None:
        self._log.info("streamed_list_unavailable", error=why)
        self._streaming = False
        self._progress = True  # there is another way to try, at once

    async def _watch(self, version: str, *, send_initial_events: bool = False) -> None:
        began = self._clock.monotonic()
        seconds = self._rng.uniform(*_WATCH_SECONDS)

        def silence() -> float:
            if self._listing:
                return _FIRST_EVENT_SECONDS
            if self._cut_short and not self._progress:
                return _CUT_SHORT_SILENCE_SECONDS
            return _BOOKMARK_SILENCE_SECONDS if self._bookmarks else seconds + _WATCH_SLACK_SECONDS

        events: AsyncGenerator[list[WatchEvent[Any]], None] = self._api.watch_batches(
            self._resource,
            resource_version=version,
            type=self._kind,
            send_initial_events=send_initial_events,
            timeout_seconds=seconds,
            silence_seconds=silence,
            on_open=self._reached,
            on_malformed=self._sink.leave_out,
            **self._selection,
        )
        try:
            async with aclosing(events):
                async for batch in events:
                    for event in batch:
                        self._follow(event)
        except SilentError:
            if self._listing:
                raise
            if self._cut_short and not self._progress:
                self._doubtful, self._cut_short = True, False
                self._progress = True  # it is to be asked at once
                return
            self._cut_short = True
            raise
        finally:
            lasted = self._clock.monotonic() - began
            if lasted >= _SHORT_WATCH_SECONDS:
                self._made_progress()
        self._cut_short = lasted < seconds - 1

    def _follow(self, event: WatchEvent[Any]) -> None:
        change = event.type
        if change is _DELETED:
            self._sink.let_go(key_of(event.object))
        elif change is not _BOOKMARK:
            self._sink.take(event.object)
        elif event.initial_events_end:
            if self._listing:
                self._complete(event.resource_version)
            return
        else:
            self._bookmarks = True
        if not self._listing:
            self._version = event.resource_version or self._version
            self._made_progress()

    def _begin(self) -> None:
        self._listing = True
        self._sink.begin()

    def _complete(self, version: str) -> None:
        self._listing = False
        self._listed_at = self._clock.monotonic()
        self._doubtful = self._cut_short = False
        self._version = version
        self._reached()
        if self._refused:
            self._refused = False
            self._log.info("kind_available")
        self._sink.complete()

    def _made_progress(self) -> None:
        self._progress = True
        self._backoff.succeeded()

    def _reached(self) -> None:
        self._failing_since = None
        if self._unreachable:
            self._unreachable = False
            self._log.info("api_recovered")

    async def _wait_for_server(self, error: TransientError) -> None:
        now = self._clock.monotonic()
        self._doubtful = self._doubtful or not isinstance(error, SilentError)
        if self._failing_since is None:
            self._failing_since = now
        if not self._unreachable and now - self._failing_since >= _PASSING_SECONDS:
            self._unreachable = True
            self._log.warning("api_unreachable", error=str(error))
        await self._pause(error.retry_after)

    async def _wait_out_denial(self, error: DeniedError) -> None:
        """A store that is filled stays as it is meanwhile; for one that is not, nobody waits for long."""
        if self._listed_at == float("-inf") and outlasts_a_start(error):
            self._refuse(error)
        await self._pause(None)

    async def _wait_for_permission(self, error: TerminalError) -> None:
        self._refuse(error)
        self._version = None  # what may be watched again may have changed meanwhile
        await self._clock.sleep(_PROBLEM_SECONDS * self._rng.uniform(0.75, 1.25))

    def _refuse(self, error: DeniedError | TerminalError) -> None:
        if not self._refused:
            self._refused = True
            self._log.warning("kind_unavailable", error=str(error))
        self._sink.trouble(str(error), missing=isinstance(error, NotFoundError))

    async def _pause(self, at_least: float | None) -> None:
        await self._clock.sleep(self._backoff.failed(at_least))
