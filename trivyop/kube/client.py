"""API client: the verbs of the Kubernetes API, on bytes and slim structs.

Reads decode into the type that the caller names; writes take plain mappings and answer with dicts. What does
not exist is ``None`` or ``False`` where a caller can expect it, and an error where it cannot. Refusals and
failures come as the errors of ``trivyop.errors``; nothing is retried here.

Promises: every call has a timeout. ``write_gate`` is asked right before each write; it stops it by raising,
or says how long it may take.
Not here: HTTP (``kube.transport``), keeping a list up to date (``kube.informer``).
"""

from __future__ import annotations

import copy
import random
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from enum import StrEnum
from typing import Any, Self, TypeVar, cast

import orjson

from trivyop.control.clock import Clock, SystemClock, deadline
from trivyop.errors import ExpiredError, NotFoundError, TooLargeError, TransientError
from trivyop.kube.applying import without_empty_maps
from trivyop.kube.config import ClusterConfig
from trivyop.kube.objects import Object, key_of
from trivyop.kube.pages import Listing, OnMalformed, decode_one, decode_page, warn_malformed
from trivyop.kube.permissions import Permissions
from trivyop.kube.resources import PODS, ObjectKey, Resource
from trivyop.kube.servers import is_at_least
from trivyop.kube.transport import Call, RequestObserver, Transport
from trivyop.kube.watch import WatchEvent, batches, decoder

T = TypeVar("T")

JSON = "application/json"
FIELD_MANAGER = "trivyop"
_PARTIAL = "application/json;as=PartialObjectMetadata{};g=meta.k8s.io;v=v1,application/json"

_PAGES_FROM_CACHE = (1, 34)  # the first with the gate ListFromCacheSnapshot on by default
_VERSION_SECONDS = 60.0
_LIST_SECONDS = 60.0  # one page; API servers themselves give up after a minute
_MAX_BODY_BYTES = 3 * 1024 * 1024  # API servers hang up on more, which then looks like a broken network
_WATCH_SLACK_SECONDS = 30.0  # how much later than asked a server may end a watch


WriteGate = Callable[[], float]
"""Says how many seconds a write may take; raises to stop it."""


class PatchKind(StrEnum):
    """How a patch is meant; strategic ones work on built-in kinds only."""

    MERGE = "application/merge-patch+json"
    JSON = "application/json-patch+json"
    STRATEGIC = "application/strategic-merge-patch+json"


class Api:
    """One API server; an async context manager."""

    def __init__(
        self,
        config: ClusterConfig,
        *,
        user_agent: str = "trivyop",
        metrics: RequestObserver | None = None,
        clock: Clock | None = None,
        write_gate: WriteGate | None = None,
        max_requests: int = 64,
        permissions: Permissions | None = None,
    ) -> None:
        self.clock = clock or SystemClock()
        self.permissions = permissions or Permissions(self.clock)
        self._write_gate = write_gate
        self._pages_from_cache = (False, float("-inf"))  # and until when that counts
        self._transport = Transport(
            config,
            user_agent=user_agent,
            clock=self.clock,
            permissions=self.permissions,
            metrics=metrics,
            max_requests=max_requests,
        )

    def gated(self, gate: WriteGate) -> Self:
        """The same client for somebody whose writes have to pass ``gate``; valid as long as this one."""
        view = copy.copy(self)
        view._write_gate = gate  # noqa: SLF001 - one of our own kind
        return view

    def check_gate(self) -> None:
        """Raise what a write would now, for those whose effects elsewhere depend on being written down."""
        if self._write_gate is not None:
            self._write_gate()

    async def __aenter__(self) -> Self:
        await self._transport.__aenter__()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._transport.__aexit__(*exc_info)

    # reads

    async def get(
        self,
        resource: Resource,
        key: ObjectKey,
        type: type[T] = Object,  # noqa: A002 - the field's word
        *,
        metadata_only: bool = False,
    ) -> T | None:
        """Read one object; None if it does not exist."""
        accept = _PARTIAL.format("") if metadata_only else JSON
        body = await self._get(resource, key, accept)
        return None if body is None else decode_one(body, type, str(key))

    async def get_dict(self, resource: Resource, key: ObjectKey) -> dict[str, Any] | None:
        """Read one object as it is; None if it does not exist."""
        body = await self._get(resource, key, JSON)
        return None if body is None else _document(body)

    async def get_raw(
        self, path: str, *, params: Mapping[str, str] | None = None, accept: str | None = None
    ) -> bytes:
        """Read any path; a 404 is a ``NotFoundError`` here."""
        return await self._transport.request(
            Call("get", "", "GET", path, params=params or {}, accept=accept or f"{JSON}, */*")
        )

    async def version(self) -> dict[str, Any]:
        """What the server says of itself: ``gitVersion``, ``major``, ``minor``, ``platform``."""
        return _document(await self.get_raw("/version"))

    async def pages_come_from_cache(self) -> bool:
        """Whether the server serves all pages of a list from its watch cache: since Kubernetes 1.34.

        Asked once a minute at most: a server may be upgraded.
        """
        now = self.clock.monotonic()
        known, until = self._pages_from_cache
        if now >= until:
            version = await self.version()
            known = is_at_least(str(version.get("gitVersion", "")), _PAGES_FROM_CACHE)
            self._pages_from_cache = (known, now + _VERSION_SECONDS)
        return known

    async def list(
        self,
        resource: Resource,
        *,
        type: type[T],  # noqa: A002 - the field's word
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        metadata_only: bool = False,
        limit: int = 500,
        on_malformed: OnMalformed = warn_malformed,
    ) -> Listing[T]:
        """Read all objects, page by page, as of one moment.

        When the server forgets that moment between two pages, it starts over: once in pages, then in one
        piece.
        """
        for size in (limit, limit, 0):
            items: list[T] = []
            version = ""
            try:
                async for page in self.list_pages(
                    resource,
                    type=type,
                    namespace=namespace,
                    label_selector=label_selector,
                    field_selector=field_selector,
                    metadata_only=metadata_only,
                    limit=size,
                    on_malformed=on_malformed,
                ):
                    items += page.items
                    version = page.resource_version
            except ExpiredError:
                if not size:
                    raise
            else:
                return Listing(items, version)
        raise AssertionError("unreachable")

    async def list_pages(
        self,
        resource: Resource,
        *,
        type: type[T],  # noqa: A002 - the field's word
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        metadata_only: bool = False,
        limit: int = 500,
        on_malformed: OnMalformed = warn_malformed,
    ) -> AsyncGenerator[Listing[T], None]:
        """Read all objects, handing out each page; ``ExpiredError`` if the server forgets them meanwhile."""
        params = _selectors(label_selector, field_selector)
        if limit:
            params["limit"] = str(limit)
        while True:
            body = await self._transport.request(
                Call(
                    "list",
                    resource.name,
                    "GET",
                    resource.path(namespace),
                    params=params,
                    accept=_PARTIAL.format("List") if metadata_only else JSON,
                    seconds=_LIST_SECONDS,
                )
            )
            page = decode_page(body, type, on_malformed)
            yield page
            if not page.continue_token:
                return
            params["continue"] = page.continue_token

    async def current_version(
        self, resource: Resource, *, namespace: str = "", label_selector: str = "", field_selector: str = ""
    ) -> str:
        """The resource version of this moment, for which one object is enough."""
        pages = self.list_pages(
            resource,
            type=Object,
            namespace=namespace,
            label_selector=label_selector,
            field_selector=field_selector,
            metadata_only=True,
            limit=1,
        )
        async with aclosing(pages):
            async for page in pages:
                return page.resource_version
        return ""

    async def watch_batches(
        self,
        resource: Resource,
        *,
        resource_version: str,
        type: type[T],  # noqa: A002 - the field's word
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        metadata_only: bool = False,
        send_initial_events: bool = False,
        timeout_seconds: float | None = None,
        silence_seconds: Callable[[], float] | None = None,
        on_open: Callable[[], None] | None = None,
        on_malformed: OnMalformed = warn_malformed,
    ) -> AsyncGenerator[list[WatchEvent[T]], None]:
        """Hand out what changes, until the server ends the watch after ``timeout_seconds`` (5 to 10 minutes).

        A batch is what came in one piece: many events while the network is the slower side, else one.

        ``send_initial_events`` asks for all objects first, then a bookmark with ``initial_events_end``. A
        connection that stays silent for ``silence_seconds``, asked anew each time, is taken for dead; by
        default, when the server should have ended it. ``on_open`` is called once the server has accepted.
        Leave early by way of ``aclosing``.
        """
        if timeout_seconds is None:
            timeout_seconds = random.uniform(300, 600)  # noqa: S311 - spreads reconnects, guards nothing
        last = timeout_seconds + _WATCH_SLACK_SECONDS
        params = _selectors(label_selector, field_selector) | {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(max(1, round(timeout_seconds))),
        }
        if resource_version:
            params["resourceVersion"] = resource_version
        if send_initial_events:
            params |= {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}
        call = Call(
            "watch",
            resource.name,
            "GET",
            resource.path(namespace),
            params=params,
            accept=_PARTIAL.format("") if metadata_only else JSON,
            seconds=_LIST_SECONDS,
        )
        event_of = decoder(type, request=f"watch {call.path}", on_malformed=on_malformed)

        async with self._transport.stream(call) as stream:
            if on_open is not None:
                on_open()
            async for batch in batches(stream.chunks(silence_seconds or (lambda: last)), event_of):
                yield batch

    @asynccontextmanager
    async def logs(
        self,
        key: ObjectKey,
        container: str,
        *,
        follow: bool = False,
        limit_bytes: int | None = None,
        tail_lines: int | None = None,
        silence_seconds: float | None = None,
    ) -> AsyncGenerator[AsyncIterator[bytes], None]:
        """Open the log of a pod's container; the block gets its bytes as they come.

        ``silence_seconds`` bounds the wait for more: one minute, or a day if the log is followed.
        """
        params = {"container": container}
        if follow:
            params["follow"] = "true"
        if limit_bytes is not None:
            params["limitBytes"] = str(limit_bytes)
        if tail_lines is not None:
            params["tailLines"] = str(tail_lines)
        call = Call("get", "pods/log", "GET", PODS.path(*key, "log"), params=params, accept="*/*")
        async with self._transport.stream(call) as stream:
            silence = silence_seconds or (86400.0 if follow else 60.0)
            yield stream.chunks(lambda: silence)

    # writes

    async def create(
        self,
        resource: Resource,
        body: Mapping[str, Any],
        *,
        namespace: str = "",
        name: str = "",
        subresource: str = "",
        field_manager: str | None = None,
        metadata_only: bool = False,
    ) -> dict[str, Any]:
        """Create an object, in ``namespace`` or that of its metadata; ``AlreadyExistsError`` if its name is
        taken.

        ``metadata_only`` is about the answer, as with ``apply``.
        With ``name`` and ``subresource``, create that: a ``token`` of a service account, a pod's ``binding``.
        """
        path = resource.path(namespace or key_of(body).namespace, name, subresource)
        return _document(
            await self._write(
                "create",
                resource,
                "POST",
                path,
                body,
                subresource=subresource,
                params={"fieldManager": field_manager} if field_manager else None,
                accept=_PARTIAL.format("") if metadata_only else JSON,
            )
        )

    async def replace(
        self,
        resource: Resource,
        key: ObjectKey,
        body: Mapping[str, Any],
        *,
        subresource: str = "",
        field_manager: str | None = None,
        metadata_only: bool = False,
    ) -> dict[str, Any]:
        """Put ``body`` in the place of the object; ``ConflictError`` if it changed since it was read."""
        path = resource.path(*key, subresource)
        return _document(
            await self._write(
                "update",
                resource,
                "PUT",
                path,
                body,
                subresource=subresource,
                params={"fieldManager": field_manager} if field_manager else None,
                accept=_PARTIAL.format("") if metadata_only else JSON,
            )
        )

    async def apply(
        self,
        resource: Resource,
        body: Mapping[str, Any],
        *,
        field_manager: str = FIELD_MANAGER,
        force: bool = True,
        subresource: str = "",
        metadata_only: bool = False,
    ) -> dict[str, Any]:
        """Make the object have what ``body`` says, and create it if need be (server-side apply).

        ``metadata_only`` is about the answer: of a large object, the rest is not worth reading back.

        ``body`` carries ``apiVersion``, ``kind`` and its own name. Fields that an earlier apply of the same
        manager set, and this one does not, go; fields that are empty maps are not sent. Without ``force``,
        another manager's field is a ``ConflictError``.
        """
        return _document(
            await self._write(
                "apply",
                resource,
                "PATCH",
                resource.path(*key_of(body), subresource),
                without_empty_maps(body),
                subresource=subresource,
                content_type="application/apply-patch+yaml",  # JSON is YAML
                params={"fieldManager": field_manager, "force": "true" if force else "false"},
                accept=_PARTIAL.format("") if metadata_only else JSON,
            )
        )

    async def patch(
        self,
        resource: Resource,
        key: ObjectKey,
        patch: object,
        *,
        kind: PatchKind = PatchKind.MERGE,
        subresource: str = "",
        field_manager: str | None = None,
    ) -> dict[str, Any] | None:
        """Change a part of an object; None if it does not exist."""
        try:
            return _document(
                await self._write(
                    "patch",
                    resource,
                    "PATCH",
                    resource.path(*key, subresource),
                    patch,
                    subresource=subresource,
                    content_type=kind.value,
                    params={"fieldManager": field_manager} if field_manager else None,
                )
            )
        except NotFoundError:
            return None

    async def delete(
        self,
        resource: Resource,
        key: ObjectKey,
        *,
        uid: str = "",
        resource_version: str = "",
        propagation: str = "Background",
        grace_seconds: int | None = None,
    ) -> bool:
        """Delete an object; False if it was not there.

        With ``uid`` or ``resource_version`` only that very object: another of its name is a
        ``ConflictError``.
        """
        options: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": propagation,
        }
        preconditions = {"uid": uid, "resourceVersion": resource_version}
        if any(preconditions.values()):
            options["preconditions"] = {name: value for name, value in preconditions.items() if value}
        if grace_seconds is not None:
            options["gracePeriodSeconds"] = grace_seconds
        try:
            await self._write("delete", resource, "DELETE", resource.path(*key), options)
        except NotFoundError:
            return False
        return True

    async def _get(self, resource: Resource, key: ObjectKey, accept: str) -> bytes | None:
        try:
            return await self._transport.request(
                Call("get", resource.name, "GET", resource.path(*key), accept=accept)
            )
        except NotFoundError:
            return None

    async def _write(
        self,
        verb: str,
        resource: Resource,
        method: str,
        path: str,
        body: object,
        *,
        subresource: str = "",
        content_type: str = JSON,
        params: Mapping[str, str] | None = None,
        accept: str = JSON,
    ) -> bytes:
        name = f"{resource.name}/{subresource}" if subresource else resource.name
        data = orjson.dumps(body)
        call = Call(
            verb,
            name,
            method,
            path,
            params=params or {},
            accept=accept,
            body=data,
            content_type=content_type,
        )
        if len(data) > _MAX_BODY_BYTES:
            raise TooLargeError(f"{call}: not sent, {len(data)} bytes are more than API servers take")
        if self._write_gate is None:
            return await self._transport.request(call)
        try:
            async with deadline(self.clock, self._write_gate()):
                return await self._transport.request(call)
        except TimeoutError as error:
            raise TransientError(f"{call}: no answer in the time that was left for writes") from error


def _selectors(label_selector: str, field_selector: str) -> dict[str, str]:
    params: dict[str, str] = {}
    if label_selector:
        params["labelSelector"] = label_selector
    if field_selector:
        params["fieldSelector"] = field_selector
    return params


def _document(body: bytes) -> dict[str, Any]:
    try:
        return cast("dict[str, Any]", orjson.loads(body))
    except orjson.JSONDecodeError as error:
        raise TransientError(f"the server's answer is not JSON: {error}") from error
