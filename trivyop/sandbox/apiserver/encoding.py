"""Encoding: objects as the bytes a client asked for, whole, as metadata only, or as a table.

What is sent whole is copied from what is stored; nothing is decoded or encoded twice for two readers of
the same revision and form.

Promises: the key order does not matter, everything else is as the real server sends it.
Not here: which form a client accepts (``negotiation``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import orjson

from trivyop.sandbox.apiserver.objects import tables
from trivyop.sandbox.apiserver.objects.refusals import Refused, bad_request

if TYPE_CHECKING:
    from trivyop.sandbox.apiserver.kinds import Served
    from trivyop.sandbox.apiserver.storage import Change, Stored

Obj = dict[str, Any]


class Style(StrEnum):
    """What of an object is sent."""

    OBJECT = "Object"
    PARTIAL = "PartialObjectMetadata"
    TABLE = "Table"


@dataclass(frozen=True, slots=True)
class Form:
    """How one client wants to see objects; hashable, so that equal forms share bytes."""

    style: Style = Style.OBJECT
    include: str = "Metadata"  # of table rows: None, Metadata, Object
    as_list: bool = False  # whether the metadata of a list, or of one object, was asked for


WHOLE = Form()


def whole(served: Served, stored: Stored) -> bytes:
    """Encode one object with its kind."""
    return served.prefix + served.body(stored)[1:]


def decoded(served: Served, stored: Stored) -> Obj:
    """Decode one object with its kind; the caller may change it."""
    return orjson.loads(whole(served, stored))


def one(served: Served, stored: Stored, form: Form) -> bytes:
    """Encode the answer to a request for one object."""
    match form.style:
        case Style.OBJECT:
            return whole(served, stored)
        case Style.PARTIAL:
            if form.as_list:
                raise _mismatch(served, "PartialObjectMetadataList", "is not a list", "")
            return _partial(served, stored)
        case Style.TABLE:
            return _table(served, [stored], {"resourceVersion": str(stored.rv)}, form)


def list_metadata(served: Served, rv: int, form: Form) -> Obj:
    """Return the metadata of a list; those of custom resources always say how to go on."""
    custom = served.kind.custom and form.style is Style.OBJECT
    return {"continue": "", "resourceVersion": str(rv)} if custom else {"resourceVersion": str(rv)}


def many(served: Served, items: Sequence[Stored], metadata: Obj, form: Form) -> bytes:
    """Encode a list. Items of built-in kinds come without their kind, as the list says it."""
    match form.style:
        case Style.OBJECT:
            listed = [whole(served, s) if served.kind.custom else served.body(s) for s in items]
            kind = served.list_prefix
        case Style.PARTIAL:
            if not form.as_list:
                raise _mismatch(served, "PartialObjectMetadata", "is a list", "List")
            listed = [_partial(served, s) for s in items]
            kind = b'{"kind":"PartialObjectMetadataList","apiVersion":"meta.k8s.io/v1",'
        case Style.TABLE:
            return _table(served, items, metadata, form)
    head = kind + b'"metadata":' + orjson.dumps(metadata)
    if not listed and form.style is Style.PARTIAL:
        return head + b',"items":null}'
    return head + b',"items":[' + b",".join(listed) + b"]}"


def _partial(served: Served, stored: Stored) -> bytes:
    return orjson.dumps(tables.partial(decoded(served, stored)))


def _mismatch(served: Served, asked: str, what: str, suffix: str) -> Refused:
    package = "unstructured" if served.kind.custom else served.kind.group.partition(".")[0] or "core"
    name = "Unstructured" if served.kind.custom else served.kind.kind
    message = f"you requested {asked}, but the requested object {what} (*{package}.{name}{suffix})"
    return Refused(406, "NotAcceptable", message)


def _table(served: Served, items: Sequence[Stored], metadata: Obj, form: Form) -> bytes:
    if form.include not in ("Metadata", "Object", "None"):
        why = f"Invalid value: \"{form.include}\": must be 'Metadata', 'Object', 'None', or empty"
        raise bad_request(f"Unable to convert to Table as requested: includeObject: {why}")
    objects = [decoded(served, stored) for stored in items]
    table = tables.table(served.kind, objects, datetime.now(UTC), metadata=metadata, include=form.include)
    return orjson.dumps(table)


def event(type_: str, served: Served, stored: Stored, form: Form, *, columns: bool = True) -> bytes:
    """Encode one line of a watch."""
    if form.style is Style.TABLE:
        table = tables.table(
            served.kind,
            [decoded(served, stored)],
            datetime.now(UTC),
            metadata={"resourceVersion": str(stored.rv)},
            include=form.include,
            columns=columns,
        )
        if not columns:
            table["columnDefinitions"] = None
        return line(type_, orjson.dumps(table))
    return line(type_, _partial(served, stored) if form.style is Style.PARTIAL else whole(served, stored))


def shared_event(
    change: Change, type_: str, served: Served, stored: Stored, form: Form, *, columns: bool = True
) -> bytes:
    """Encode one line of a watch, once for all watchers that see the change alike."""
    sight = (type_, served.kind, form, columns)
    encoded = change.lines.get(sight)
    if encoded is None:
        encoded = change.lines[sight] = event(type_, served, stored, form, columns=columns)
    return encoded


def line(type_: str, obj: bytes) -> bytes:
    """Encode a watch event around an encoded object."""
    return b'{"type":"' + type_.encode() + b'","object":' + obj + b"}\n"


def bookmark(served: Served, rv: int, form: Form, annotations: dict[str, str] | None = None) -> bytes:
    """Encode a bookmark: an object that is nothing but a resource version."""
    metadata: Obj = {"resourceVersion": str(rv)}
    if annotations:
        metadata["annotations"] = annotations
    match form.style:
        case Style.OBJECT:
            obj: Obj = {"kind": served.kind.kind, "apiVersion": served.kind.api_version, "metadata": metadata}
        case Style.PARTIAL:
            obj = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata}
        case Style.TABLE:
            obj = {"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata}
            obj |= {"columnDefinitions": None, "rows": []}
    return line("BOOKMARK", orjson.dumps(obj))
