"""Informer: one kind, listed, then watched, and mirrored into a store.

When a list has come in, the store is replaced in one step, and handlers are notified of every key that
differs, the vanished ones too; from then on they are notified of each change.

Promises: per key, states appear in order, some may be skipped. Between keys, no order. An object that does
not decode is not there, and is warned of once. A kind that is missing or forbidden shows as ``problem`` and
is tried again at a slow pace; nothing ends ``run`` but its cancellation.
Not here: the list and the watch (``kube.reflector``); retries of a handler. Handlers only add keys to a work
queue, which retries.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar, cast, overload

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge

from trivyop.control.clock import Clock
from trivyop.kube.client import Api
from trivyop.kube.objects import ObjectMeta, intern_meta, intern_namespace, key_of
from trivyop.kube.reflector import REASONS, Reflector, Selection
from trivyop.kube.resources import ObjectKey, Resource
from trivyop.kube.store import IndexOf, Store

log = structlog.get_logger(__name__)

T = TypeVar("T")
V = TypeVar("V")

Handler = Callable[[ObjectKey, V | None, V | None], None]


class InformerMetrics:
    """Metrics of informers; one of these serves all of them."""

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
        for reason in REASONS:
            self.restarts.labels(name, reason)
        self.malformed.labels(name)

    def detach(self, informer: Informer[Any]) -> None:
        """Report on ``informer`` no more: it is over. What was counted of its kind stays."""
        name = informer.resource.name
        alike = self._informers.get(name, [])
        if informer not in alike:
            return
        alike.remove(informer)
        if not alike:
            del self._informers[name]
            for gauge in (self.objects, self.synced, self.problem):
                gauge.remove(name)


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
        streaming: bool | None = True,
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
        streaming: bool | None = True,
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
        streaming: bool | None = True,
    ) -> None:
        """Mirror what the selectors select of ``resource``, decoded as ``type``.

        ``transform`` makes of each object what the store holds; None for objects of no interest. Where that
        is equal to what the store held before, nobody is notified. ``streaming`` is whether to try streamed
        lists; None: where they cost the server less.
        """
        self.resource = resource
        self.store: Store[V] = Store(indexes)
        self._metrics = metrics
        self._settled = asyncio.Event()
        self._mirror = _Mirror(self.store, transform, resource.name, metrics, self._settled)
        self._reflector = Reflector(
            api,
            resource,
            type,
            Selection(namespace, label_selector, field_selector, metadata_only),
            self._mirror,
            clock=clock or api.clock,
            rng=rng or random.Random(),  # noqa: S311 - spreads retries, guards nothing
            page_size=page_size,
            streaming=streaming,
            on_restart=self._count_restart,
        )
        if metrics is not None:
            metrics.attach(self)

    @property
    def synced(self) -> bool:
        """Whether the store was filled; it stays so, even if it can no longer be kept up."""
        return self._mirror.synced.is_set()

    @property
    def problem(self) -> str | None:
        """Why the kind cannot be listed, None if it can, or if that is not known yet."""
        return self._mirror.problem

    @property
    def missing(self) -> bool:
        """Whether that is because the server does not have the kind (any more)."""
        return self._mirror.missing

    def add_handler(self, handler: Handler[V], *, replay: bool = True) -> None:
        """Call ``handler(key, old, new)`` after each change of the store; it must not wait, nor raise.

        ``old`` is None for a new key, ``new`` is None for one that is gone. What is in the store already is
        notified at once, as new, unless ``replay`` is off.
        """
        self._mirror.add_handler(handler, replay=replay)

    def add_list_handler(self, handler: Callable[[], None]) -> None:
        """Call ``handler`` after each list, after the notifications of its changes; as ``add_handler``'s."""
        self._mirror.list_handlers.append(handler)

    def add_recovery_handler(self, handler: Callable[[], None]) -> None:
        """Call ``handler`` after the list that ends a ``problem``; as ``add_list_handler``'s."""
        self._mirror.recovery_handlers.append(handler)

    @property
    def lists_begun(self) -> int:
        """How many lists were begun so far."""
        return self._mirror.lists_begun

    @property
    def last_list(self) -> int:
        """Which of them, counted from 1, was the last to come in whole; 0 before the first.

        It has all that was written before it was begun.
        """
        return self._mirror.last_list

    async def wait_synced(self) -> None:
        """Wait until the store was filled for the first time; for ever, if the kind cannot be listed."""
        await self._mirror.synced.wait()

    async def wait_settled(self) -> bool:
        """Wait until it is clear whether the kind can be listed; says whether the store was filled."""
        await self._settled.wait()
        return self.synced

    async def run(self) -> None:
        """Mirror until cancelled."""
        await self._reflector.run()

    def _count_restart(self, reason: str) -> None:
        if self._metrics is not None:
            self._metrics.restarts.labels(self.resource.name, reason).inc()


class _Mirror(Generic[V]):
    """The sink of an informer: transforms, stores, notifies handlers."""

    def __init__(
        self,
        store: Store[V],
        transform: Callable[[Any], V | None] | None,
        resource: str,
        metrics: InformerMetrics | None,
        settled: asyncio.Event,
    ) -> None:
        self.problem: str | None = None
        self.missing = False
        self.synced = asyncio.Event()
        self.lists_begun = 0
        self.last_list = 0
        self.list_handlers: list[Callable[[], None]] = []
        self.recovery_handlers: list[Callable[[], None]] = []
        self._store = store
        self._transform = transform
        self._intern = intern_meta if transform is None else intern_namespace  # else it sees to the rest
        self._resource = resource
        self._metrics = metrics
        self._settled = settled
        self._handlers: list[Handler[V]] = []
        self._incoming: dict[ObjectKey, V] | None = None  # the list that is just coming in
        self._malformed: set[ObjectKey] = set()

    def add_handler(self, handler: Handler[V], *, replay: bool) -> None:
        self._handlers.append(handler)
        if not replay:
            return
        for key, value in self._store.items():
            self._tell(handler, key, None, value)

    def begin(self) -> None:
        self._incoming = {}
        self.lists_begun += 1

    def take(self, item: Any) -> None:
        meta = getattr(item, "metadata", None)
        if isinstance(meta, ObjectMeta):
            self._intern(meta)
            key = ObjectKey(meta.namespace, meta.name)
        else:
            key = key_of(item)
        try:
            value = cast("V | None", item) if self._transform is None else self._transform(item)
        except Exception as error:  # noqa: BLE001 - what one object does to a transform costs that object
            self.leave_out(key, f"{type(error).__name__}: {error}")
            return
        if self._malformed:
            self._malformed.discard(key)
        if value is None:
            self.let_go(key)
        elif self._incoming is not None:
            self._incoming[key] = value
        else:
            old = self._store.set(key, value)
            if old != value:
                self._tell_all(key, old, value)

    def let_go(self, key: ObjectKey) -> None:
        if self._incoming is not None:
            self._incoming.pop(key, None)
            return
        old = self._store.remove(key)
        if old is not None:
            self._tell_all(key, old, None)

    def leave_out(self, key: ObjectKey, reason: str) -> None:
        if key not in self._malformed:
            self._malformed.add(key)
            log.warning("object_malformed", resource=self._resource, key=str(key), error=reason)
            if self._metrics is not None:
                self._metrics.malformed.labels(self._resource).inc()
        self.let_go(key)

    def complete(self) -> None:
        incoming, self._incoming = self._incoming or {}, None
        changes = self._store.replace(incoming)
        recovered = self.recovery_handlers if self.problem is not None else ()
        self.problem, self.missing = None, False
        if not self.synced.is_set():
            log.info("informer_synced", resource=self._resource, objects=len(self._store))
        if self._handlers:
            for key, old, new in changes:
                self._tell_all(key, old, new)
        self.last_list = self.lists_begun
        for handler in (*self.list_handlers, *recovered):
            try:
                handler()
            except Exception:
                log.exception("handler_crashed", resource=self._resource)
        self.synced.set()
        self._settled.set()

    def trouble(self, problem: str, *, missing: bool) -> None:
        self.problem, self.missing = problem, missing
        self._settled.set()

    def _tell_all(self, key: ObjectKey, old: V | None, new: V | None) -> None:
        for handler in self._handlers:
            self._tell(handler, key, old, new)

    def _tell(self, handler: Handler[V], key: ObjectKey, old: V | None, new: V | None) -> None:
        try:
            handler(key, old, new)
        except Exception:
            log.exception("handler_crashed", resource=self._resource, key=str(key))
