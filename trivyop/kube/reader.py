"""Reader: the verbs of the Kubernetes API that change nothing.

Reads decode into the type that the caller names. What does not exist is ``None`` where a caller can expect
it, and an error where it cannot. Refusals and failures come as the errors of ``trivyop.errors``; nothing is
retried here.

Promises: every call has a timeout.
Not here: HTTP (``kube.transport``), keeping a list up to date (``kube.informer``), writes (``kube.client``).
"""

from __future__ import annotations

import random
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import Any, TypeVar, cast

import orjson

from trivyop.control.clock import Clock
from trivyop.errors import ExpiredError, NotFoundError, TransientError
from trivyop.kube.objects import Object
from trivyop.kube.pages import Listing, OnMalformed, decode_one, decode_page, warn_malformed
from trivyop.kube.resources import PODS, ObjectKey, Resource
from trivyop.kube.transport import Call, Transport
from trivyop.kube.watch import WatchEvent, batches, decoder

T = TypeVar("T")

JSON = "application/json"
PARTIAL = "application/json;as=PartialObjectMetadata{};g=meta.k8s.io;v=v1,application/json"

_VERSION = re.compile(r"v?(\d{1,4})\.(\d{1,4})(?!\d)")
_PAGES_FROM_CACHE = (1, 34)  # the first with the gate ListFromCacheSnapshot on by default
_VERSION_SECONDS = 60.0
_LIST_SECONDS = 60.0  # one page; API servers themselves give up after a minute
_WATCH_SLACK_SECONDS = 30.0  # how much later than asked a server may end a watch


class Reader:
    """What an API server holds, as one client may see it."""

    def __init__(self, transport: Transport, clock: Clock) -> None:
        self.clock = clock
        self._transport = transport
        self._pages_from_cache = (False, float("-inf"))  # and until when that counts

    async def get(
        self,
        resource: Resource,
        key: ObjectKey,
        type: type[T] = Object,  # noqa: A002 - the field's word
        *,
        metadata_only: bool = False,
    ) -> T | None:
        """Read one object; None if it does not exist."""
        accept = PARTIAL.format("") if metadata_only else JSON
        body = await self._get(resource, key, accept)
        return None if body is None else decode_one(body, type, str(key))

    async def get_dict(self, resource: Resource, key: ObjectKey) -> dict[str, Any] | None:
        """Read one object as it is; None if it does not exist."""
        body = await self._get(resource, key, JSON)
        return None if body is None else document(body)

    async def get_raw(
        self, path: str, *, params: Mapping[str, str] | None = None, accept: str | None = None
    ) -> bytes:
        """Read any path; a 404 is a ``NotFoundError`` here."""
        return await self._transport.request(
            Call("get", "", "GET", path, params=params or {}, accept=accept or f"{JSON}, */*")
        )

    async def version(self) -> dict[str, Any]:
        """What the server says of itself: ``gitVersion``, ``major``, ``minor``, ``platform``."""
        return document(await self.get_raw("/version"))

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
                    accept=PARTIAL.format("List") if metadata_only else JSON,
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
            accept=PARTIAL.format("") if metadata_only else JSON,
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

    async def _get(self, resource: Resource, key: ObjectKey, accept: str) -> bytes | None:
        try:
            return await self._transport.request(
                Call("get", resource.name, "GET", resource.path(*key), accept=accept)
            )
        except NotFoundError:
            return None


def is_at_least(git_version: str, wanted: tuple[int, int]) -> bool:
    """Whether a version (``v1.34.2-gke.1``) is that minor release or a later one; False if it is none."""
    found = _VERSION.match(git_version)
    return found is not None and (int(found[1]), int(found[2])) >= wanted


def _selectors(label_selector: str, field_selector: str) -> dict[str, str]:
    params: dict[str, str] = {}
    if label_selector:
        params["labelSelector"] = label_selector
    if field_selector:
        params["fieldSelector"] = field_selector
    return params


def document(body: bytes) -> dict[str, Any]:
    try:
        return cast("dict[str, Any]", orjson.loads(body))
    except orjson.JSONDecodeError as error:
        raise TransientError(f"the server's answer is not JSON: {error}") from error
