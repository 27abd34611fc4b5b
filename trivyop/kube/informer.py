"""Informer: one list, then one watch, mirrored into a store.

It fills its store from a list (streamed where the server can), then watches from the list's resource version,
which bookmarks move on. When the server calls that version expired it lists again, replaces the store in one
step, and tells of every key that differs, the vanished ones too. A watch that ends is resumed where it stood.

Promises: per key, states appear in order, some may be skipped. Between keys, no order. An object that does
not decode is not there, and is warned of once. A kind that is missing or forbidden shows as ``problem`` and
is tried again at a slow pace; nothing ends ``run`` but its cancellation.
Not here: retries of a handler. Handlers only add keys to a work queue, which retries.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import Any, Generic, TypeVar, cast, overload

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge

from trivyop.control.backoff import full_jitter
from trivyop.control.clock import Clock
from trivyop.errors import ExpiredError, InvalidError, TerminalError, TransientError
from trivyop.kube.client import Api
from trivyop.kube.objects import ObjectMeta, intern_meta, key_of
from trivyop.kube.resources import ObjectKey, Resource
from trivyop.kube.store import IndexOf, Store
from trivyop.kube.transport import SilentError
from trivyop.kube.watch import EventType, WatchEvent

log = structlog.get_logger(__name__)

T = TypeVar("T")
V = TypeVar("V")

Handler = Callable[[ObjectKey, V | None, V | None], None]

_BACKOFF_BASE_SECONDS = 0.8
_BACKOFF_MAX_SECONDS = 30.0
_PROBLEM_SECONDS = 60.0  # pace at which a missing or forbidden kind is tried again
_WATCH_SECONDS = (300.0, 600.0)  # asked of the server, at random, so that watches do not end all at once
_SHORT_WATCH_SECONDS = 1.0  # a watch that ends sooner, and brought nothing, counts as a failure
_FIRST_EVENT_SECONDS = 30.0  # silence in a streamed list after which the server is taken not to know it
_BOOKMARK_SILENCE_SECONDS = 150.0  # two bookmarks missed, which come each minute, and some slack
_WATCH_SLACK_SECONDS = 30.0  # how much later than asked a server may end a watch


class InformerMetrics:
    """What informers tell Prometheus; one of these serves all of them."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._informers: dict[str, list[Informer[Any]]] = {}
        self.objects = Gauge(
            "trivyop_informer_objects", "Objects in the store.", ["resource"], registry=registry
        )
        self.synced = Gauge(
            "trivyop_informer_synced", "1 once the store was filled.", ["resource"], registry=registry
        )
        self.problem = Gauge(
            "trivyop_informer_problem",
            "1 while the kind cannot be listed: missing or forbidden.",
            ["resource"],
            registry=registry,
        )
        self.restarts = Counter(
            "trivyop_informer_restarts_total",
            "Lists and watches begun, by why: start, ended, expired, failed, refused.",
            ["resource", "reason"],
            registry=registry,
        )
        self.malformed = Counter(
            "trivyop_informer_malformed_total",
            "Objects that did not decode.",
            ["resource"],
            registry=registry,
        )

    def attach(self, informer: Informer[Any]) -> None:
        """Report on ``informer`` from now on, together with others of its kind; read at each scrape."""
        name = informer.resource.name
        alike = self._informers.setdefault(name, [])
        alike.append(informer)
        if len(alike) > 1:  # one kind in several namespaces
            return
        self.objects.labels(name).set_function(lambda: sum(len(each.store) for each in alike))
        self.synced.labels(name).set_function(lambda: float(all(each.synced for each in alike)))
        self.problem.labels(name).set_function(lambda: float(any(each.problem is not None for each in alike)))
        for reason in ("start", "ended", "expired", "failed", "refused"):
            self.restarts.labels(name, reason)
        self.malformed.labels(name)


class Informer(Generic[V]):
    """A mirror of one kind; ``store`` is what others read."""

    @overload
    def __init__(
        self,
        api: Api,
        resource: Resource,
        type: type[V],
        *,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        metadata_only: bool = False,
        transform: None = None,
        indexes: Mapping[str, IndexOf[V]] | None = None,
        clock: Clock | None = None,
        rng: random.Random | None = None,
        metrics: InformerMetrics | None = None,
        page_size: int = 500,
        streaming: bool = True,
    ) -> None: ...

    @overload
    def __init__(
        self,
        api: Api,
        resource: Resource,
        type: type[T],
        *,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        metadata_only: bool = False,
        transform: Callable[[T], V | None],
        indexes: Mapping[str, IndexOf[V]] | None = None,
        clock: Clock | None = None,
        rng: random.Random | None = None,
        metrics: InformerMetrics | None = None,
        page_size: int = 500,
        streaming: bool = True,
    ) -> None: ...

    def __init__(
        self,
        api: Api,
        resource: Resource,
        type: type[Any],  # noqa: A002 - the field's word
        *,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        metadata_only: bool = False,
        transform: Callable[[Any], V | None] | None = None,
        indexes: Mapping[str, IndexOf[V]] | None = None,
        clock: Clock | None = None,
        rng: random.Random | None = None,
        metrics: InformerMetrics | None = None,
        page_size: int = 500,
        streaming: bool = True,
    ) -> None:
        """Mirror what the selectors select of ``resource``, decoded as ``type``.

        ``transform`` makes of each object what the store holds; None for objects of no interest. Where that
        is equal to what the store held before, nobody is told. ``streaming`` is whether to try streamed
        lists.
        """
        self.resource = resource
        self.store: Store[V] = Store(indexes)
        self.problem: str | None = None
        self.synced = False
        self._api = api
        self._type = type
        self._select: dict[str, Any] = {
            "namespace": namespace,
            "label_selector": label_selector,
            "field_selector": field_selector,
            "metadata_only": metadata_only,
        }
        self._transform = transform
        self._clock = clock or api.clock
        self._rng = rng or random.Random()  # noqa: S311 - spreads retries, guards nothing
        self._metrics = metrics
        self._page_size = page_size
        self._streaming = streaming
        self._handlers: list[Handler[V]] = []
        self._settled = asyncio.Event()
        self._sync = asyncio.Event()
        self._version: str | None = None  # None: the next thing to do is to list
        self._incoming: dict[ObjectKey, V] | None = None  # the list that is just coming in
        self._malformed: set[ObjectKey] = set()
        self._bookmarks = False  # whether this server sends them of its own accord
        self._failures = 0
        self._progress = False  # whether the watch in hand was worth its request
        self._unreachable = False
        if metrics is not None:
            metrics.attach(self)

    def add_handler(self, handler: Handler[V]) -> None:
        """Call ``handler(key, old, new)`` after each change of the store; it must not wait, nor raise.

        ``old`` is None for a new key, ``new`` is None for one that is gone. What is in the store already is
        told at once, as new.
        """
        self._handlers.append(handler)
        for key, value in self.store.items():
            self._tell(handler, key, None, value)

    async def wait_synced(self) -> None:
        """Wait until the store was filled for the first time; for ever, if the kind cannot be listed."""
        await self._sync.wait()

    async def wait_settled(self) -> bool:
        """Wait until it is clear whether the kind can be listed; says whether the store was filled."""
        await self._settled.wait()
        return self.synced

    async def run(self) -> None:
        """Mirror until cancelled."""
        reason = "start"
        while True:
            if self._metrics is not None:
                self._metrics.restarts.labels(self.resource.name, reason).inc()
            self._progress = False
            try:
                await self._list_and_watch()
                reason = "ended"
                if not self._progress:  # a server, or a proxy, that hangs up at once
                    await self._pause(None)
            except ExpiredError as error:
                reason = "expired"
                log.info("watch_expired", resource=self.resource.name, error=str(error))
                self._version = None
                if not self._progress:  # expired right after a list: asking faster would not help
                    await self._pause(None)
            except TransientError as error:
                reason = "failed"
                await self._wait_for_server(error)
            except TerminalError as error:
                reason = "refused"
                await self._wait_for_permission(error)
            except Exception:  # a bug of ours must not leave a store that nobody keeps up
                reason = "failed"
                log.exception("informer_crashed", resource=self.resource.name)
                self._version = None
                await self._pause(None)
            finally:
                self._incoming = None

    async def _list_and_watch(self) -> None:
        if self._version is None and self._streaming:
            await self._stream()
            return
        if self._version is None:
            await self._list()
        await self._watch(self._version or "")

    async def _list(self) -> None:
        """Fill the store from pages. Each is transformed as it comes, so only one is held in full."""
        for limit in (self._page_size, self._page_size, 0):  # see Api.list
            self._incoming = {}
            version = ""
            pages = self._api.list_pages(
                self.resource,
                type=self._type,
                limit=limit,
                on_malformed=self._leave_out,
                **self._select,
            )
            try:
                async with aclosing(pages):
                    async for page in pages:
                        for item in page.items:
                            self._take(item)
                        version = page.resource_version
            except ExpiredError:
                if not limit:
                    raise
            else:
                self._replace(version)
                return

    async def _stream(self) -> None:
        """List and watch in one request, or find out that the server cannot do that."""
        self._incoming = {}
        try:
            await self._watch("", send_initial_events=True)
        except (InvalidError, SilentError) as error:
            if not self._listing:
                raise
            self._give_up_streaming(str(error))
        else:
            if self._listing:
                self._give_up_streaming("the watch ended before the list did")

    @property
    def _listing(self) -> bool:
        return self._incoming is not None

    def _give_up_streaming(self, why: str) -> None:
        log.info("streamed_list_unavailable", resource=self.resource.name, error=why)
        self._streaming = False
        self._progress = True  # there is another way to try, at once

    async def _watch(self, version: str, *, send_initial_events: bool = False) -> None:
        began = self._clock.monotonic()
        seconds = self._rng.uniform(*_WATCH_SECONDS)

        def silence() -> float:
            if self._incoming is not None:
                return _FIRST_EVENT_SECONDS
            return _BOOKMARK_SILENCE_SECONDS if self._bookmarks else seconds + _WATCH_SLACK_SECONDS

        events: AsyncGenerator[WatchEvent[Any], None] = self._api.watch(
            self.resource,
            resource_version=version,
            type=self._type,
            send_initial_events=send_initial_events,
            timeout_seconds=seconds,
            silence_seconds=silence,
            on_open=self._reached,
            on_malformed=self._leave_out,
            **self._select,
        )
        try:
            async with aclosing(events):
                async for event in events:
                    self._follow(event)
        finally:
            if self._clock.monotonic() - began >= _SHORT_WATCH_SECONDS:
                self._made_progress()

    def _follow(self, event: WatchEvent[Any]) -> None:
        if event.initial_events_end:
            if self._incoming is not None:
                self._replace(event.resource_version)
            return
        if event.type is EventType.BOOKMARK:
            self._bookmarks = True
        elif event.type is EventType.DELETED:
            self._let_go(key_of(event.object))
        else:
            self._take(event.object)
        if self._incoming is None:
            self._version = event.resource_version or self._version
            self._made_progress()

    def _take(self, item: Any) -> None:
        meta = getattr(item, "metadata", None)
        if isinstance(meta, ObjectMeta):
            intern_meta(meta)
        key = key_of(item)
        try:
            value = cast("V | None", item) if self._transform is None else self._transform(item)
        except Exception as error:  # noqa: BLE001 - what one object does to a transform costs that object
            self._leave_out(key, f"{type(error).__name__}: {error}")
            return
        self._malformed.discard(key)
        if value is None:
            self._let_go(key)
        elif self._incoming is not None:
            self._incoming[key] = value
        else:
            old = self.store.set(key, value)
            if old != value:
                self._tell_all(key, old, value)

    def _let_go(self, key: ObjectKey) -> None:
        if self._incoming is not None:
            self._incoming.pop(key, None)
            return
        old = self.store.remove(key)
        if old is not None:
            self._tell_all(key, old, None)

    def _leave_out(self, key: ObjectKey, reason: str) -> None:
        """An object that does not decode is not there: what we knew of it is no longer so."""
        if key not in self._malformed:
            self._malformed.add(key)
            log.warning("object_malformed", resource=self.resource.name, key=str(key), error=reason)
            if self._metrics is not None:
                self._metrics.malformed.labels(self.resource.name).inc()
        self._let_go(key)

    def _replace(self, version: str) -> None:
        """Let the list that has come in be the store."""
        incoming, self._incoming = self._incoming or {}, None
        changes = self.store.replace(incoming)
        self._version = version
        self._reached()
        if self.problem is not None:
            log.info("kind_available", resource=self.resource.name)
            self.problem = None
        if not self.synced:
            log.info("informer_synced", resource=self.resource.name, objects=len(self.store))
        for key, old, new in changes:
            self._tell_all(key, old, new)
        self.synced = True
        self._sync.set()
        self._settled.set()

    def _tell_all(self, key: ObjectKey, old: V | None, new: V | None) -> None:
        for handler in self._handlers:
            self._tell(handler, key, old, new)

    def _tell(self, handler: Handler[V], key: ObjectKey, old: V | None, new: V | None) -> None:
        try:
            handler(key, old, new)
        except Exception:
            log.exception("handler_crashed", resource=self.resource.name, key=str(key))

    def _made_progress(self) -> None:
        self._progress = True
        self._failures = 0

    def _reached(self) -> None:
        if self._unreachable:
            self._unreachable = False
            log.info("api_recovered", resource=self.resource.name)

    async def _wait_for_server(self, error: TransientError) -> None:
        if not self._unreachable:
            self._unreachable = True
            log.warning("api_unreachable", resource=self.resource.name, error=str(error))
        await self._pause(error.retry_after)

    async def _wait_for_permission(self, error: TerminalError) -> None:
        if self.problem is None:
            log.warning("kind_unavailable", resource=self.resource.name, error=str(error))
        self.problem = str(error)
        self._settled.set()
        self._version = None  # what may be watched again may have changed meanwhile
        await self._clock.sleep(_PROBLEM_SECONDS * self._rng.uniform(0.5, 1.5))

    async def _pause(self, at_least: float | None) -> None:
        delay = full_jitter(
            self._failures,
            self._rng,
            base_seconds=_BACKOFF_BASE_SECONDS,
            max_seconds=_BACKOFF_MAX_SECONDS,
        )
        self._failures += 1
        await self._clock.sleep(max(delay, at_least or 0.0))
