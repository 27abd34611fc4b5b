"""Pages: lists of objects, decoded from bytes straight into the caller's type.

Promises: an object that does not decode is left out and reported by name; it does not cost the rest of its
page.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Generic, TypeVar, cast

import msgspec
import structlog

from trivyop.errors import TerminalError, TransientError
from trivyop.kube.objects import Object
from trivyop.kube.resources import ObjectKey
from trivyop.kube.trimming import trim_all

log = structlog.get_logger(__name__)

T = TypeVar("T")

OnMalformed = Callable[[ObjectKey, str], None]


def warn_malformed(key: ObjectKey, reason: str) -> None:
    """What happens to a malformed object if nobody else cares: it is left out, with a warning."""
    log.warning("object_malformed", key=str(key), error=reason)


class Listing(msgspec.Struct, Generic[T], frozen=True):
    """A list, or one page of it; watching goes on from ``resource_version``."""

    items: list[T]
    resource_version: str
    continue_token: str = ""


class _ListMeta(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    resource_version: str = ""
    continue_token: str = msgspec.field(default="", name="continue")


class _Page(msgspec.Struct, Generic[T], frozen=True):
    metadata: _ListMeta
    items: list[T] | None = None


class _Name(msgspec.Struct, frozen=True, gc=False):
    name: str = "?"
    namespace: str = ""


class _Named(msgspec.Struct, frozen=True, gc=False):
    metadata: _Name


_raw_pages = msgspec.json.Decoder(_Page[msgspec.Raw])
_names = msgspec.json.Decoder(_Named)


@functools.cache
def _pages_of(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(_Page[kind])


@functools.cache
def _decoder_of(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)


def decode_page(body: bytes, kind: type[T], on_malformed: OnMalformed = warn_malformed) -> Listing[T]:
    """Read one page. A body that is no list is a ``TransientError``: it was cut, or is a proxy's page."""
    try:
        page: _Page[T] = _pages_of(kind).decode(trim_all(body) if trimmable(kind) else body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        page = _decode_one_by_one(body, kind, on_malformed)
    return Listing(page.items or [], page.metadata.resource_version, page.metadata.continue_token)


def trimmable(kind: Any) -> bool:
    """Whether objects that are decoded as ``kind`` need no managed fields."""
    return isinstance(kind, type) and issubclass(kind, Object)


def _decode_one_by_one(body: bytes, kind: type[T], on_malformed: OnMalformed) -> _Page[T]:
    try:
        page = _raw_pages.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise TransientError(f"the server's answer is not a list: {error}") from error
    decoder = _decoder_of(kind)
    items: list[T] = []
    for raw in page.items or []:
        try:
            items.append(decoder.decode(raw))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            on_malformed(name_of(raw), str(error))
    return _Page(page.metadata, items)


def decode_one(body: bytes, kind: type[T], name: str) -> T:
    """Read one object, called ``name`` in the ``TerminalError`` that a malformed one is."""
    try:
        return cast("T", _decoder_of(kind).decode(body))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise TerminalError(f"{name} is malformed: {error}") from error


def name_of(raw: msgspec.Raw | bytes) -> ObjectKey:
    """Key of an object of which no more may be readable."""
    try:
        meta = _names.decode(raw).metadata
        return ObjectKey(meta.namespace, meta.name)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ObjectKey("", "?")
