"""Schema: the shape of values, in one form for custom resources and built-in kinds.

A custom resource's schema is read from its definition by ``definition_schema``; a built-in kind's from the
tables in ``builtin``. Both are made once and then shared: nobody changes a schema after it is made.

Promises: recursion is allowed (a schema may contain itself), lookups are plain dict lookups.
Not here: what is done with a schema: see ``structural``, ``typed``, ``merging``, ``strategic``, ``openapi``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Final, cast

from trivyop.sandbox.apiserver.objects.plain import is_object


class _Missing:
    """The type of ``MISSING``: null is a value, so absence needs one of its own."""

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = _Missing()


@dataclass(slots=True, eq=False)
class Schema:
    """What a value may be, how it merges, and how it is written when it is empty."""

    type: str = ""  # "object", "array", "string", "integer", "number", "boolean"; "" is anything
    format: str = ""  # "int32", "date-time", "byte", ...; for built-in kinds also "quantity", "micro-time"
    properties: dict[str, Schema] = field(default_factory=dict[str, "Schema"])
    additional: Schema | None = None  # of the values of a map
    items: Schema | None = None
    required: tuple[str, ...] = ()
    enum: tuple[Any, ...] = ()
    pattern: re.Pattern[str] | None = None
    pattern_text: str = ""
    minimum: float | None = None
    maximum: float | None = None
    exclusive_minimum: bool = False
    exclusive_maximum: bool = False
    multiple_of: float | None = None
    min_length: int | None = None
    max_length: int | None = None
    min_items: int | None = None
    max_items: int | None = None
    unique_items: bool = False
    min_properties: int | None = None
    max_properties: int | None = None
    all_of: tuple[Schema, ...] = ()
    any_of: tuple[Schema, ...] = ()
    one_of: tuple[Schema, ...] = ()
    not_: Schema | None = None
    default: Any = MISSING
    nullable: bool = False
    preserve_unknown: bool = False
    embedded: bool = False  # a whole object with apiVersion, kind and metadata of its own
    int_or_string: bool = False

    # How values merge: server-side apply, then strategic merge patch.
    list_type: str = "atomic"  # or "set", "map"
    list_keys: tuple[str, ...] = ()
    key_defaults: dict[str, Any] = field(
        default_factory=dict[str, Any]
    )  # of the keys, where items leave them out
    atomic: bool = False  # of an object or map: it has one owner, as a whole
    merge_key: str = ""  # strategic merge patch merges this list by this key
    merges: bool = False  # strategic merge patch merges this list (by ``merge_key``, or as a set of scalars)
    retain_keys: bool = False

    # Built-in kinds: what Go's encoder does with empty fields.
    go: str = ""  # the struct's name, as decoding errors call it
    section: str = ""  # the section of the field tables that declares it
    always: frozenset[str] = frozenset()  # fields written even when empty, with their empty value
    pointers: frozenset[str] = frozenset()  # fields for which "", 0 and false are values, not emptiness

    # Found out once, so that whole trees can be skipped.
    has_defaults: bool = False
    simple: type | None = None  # values of this very type are valid: there are no other rules
    description: str = ""


def definition_schema(document: dict[str, Any], metadata: Schema) -> Schema:
    """The schema of a custom resource from ``openAPIV3Schema``; its metadata is that of every object."""
    schema = _read(document, metadata)
    _embed(schema, metadata)
    return schema


def _embed(schema: Schema, metadata: Schema) -> None:
    schema.type = "object"
    schema.properties = {
        **schema.properties,
        "apiVersion": _TEXT,
        "kind": _TEXT,
        "metadata": metadata,
    }


_TEXT: Final = Schema(type="string")


def _read(document: dict[str, Any], metadata: Schema) -> Schema:
    get = document.get
    properties = {
        name: _read(value, metadata)
        for name, value in cast("dict[str, Any]", get("properties") or {}).items()
    }
    additional = get("additionalProperties")
    items = get("items")
    keys = tuple(get("x-kubernetes-list-map-keys") or ())
    pattern = get("pattern") or ""
    schema = Schema(
        type=get("type") or "",
        format=get("format") or "",
        properties=properties,
        additional=_read_additional(additional, metadata),
        items=_read(items, metadata) if is_object(items) else None,
        required=tuple(get("required") or ()),
        enum=tuple(get("enum") or ()),
        pattern=_compile(pattern),
        pattern_text=pattern,
        minimum=get("minimum"),
        maximum=get("maximum"),
        exclusive_minimum=bool(get("exclusiveMinimum")),
        exclusive_maximum=bool(get("exclusiveMaximum")),
        multiple_of=get("multipleOf"),
        min_length=get("minLength"),
        max_length=get("maxLength"),
        min_items=get("minItems"),
        max_items=get("maxItems"),
        unique_items=bool(get("uniqueItems")),
        min_properties=get("minProperties"),
        max_properties=get("maxProperties"),
        all_of=tuple(_read(part, metadata) for part in get("allOf") or ()),
        any_of=tuple(_read(part, metadata) for part in get("anyOf") or ()),
        one_of=tuple(_read(part, metadata) for part in get("oneOf") or ()),
        not_=_read(document["not"], metadata) if isinstance(get("not"), dict) else None,
        default=document.get("default", MISSING),
        nullable=bool(get("nullable")),
        preserve_unknown=bool(get("x-kubernetes-preserve-unknown-fields")),
        embedded=bool(get("x-kubernetes-embedded-resource")),
        int_or_string=bool(get("x-kubernetes-int-or-string")),
        list_type=get("x-kubernetes-list-type") or "atomic",
        list_keys=keys,
        atomic=get("x-kubernetes-map-type") == "atomic",
        description=get("description") or "",
    )
    schema.key_defaults = defaults_of_keys(schema)
    schema.simple = _simple(document)
    if schema.embedded:
        _embed(schema, metadata)
    schema.has_defaults = (
        any(child.default is not MISSING or child.has_defaults for child in schema.properties.values())
        or (schema.items is not None and (schema.items.default is not MISSING or schema.items.has_defaults))
        or (schema.additional is not None and schema.additional.has_defaults)
    )
    return schema


_SIMPLE: Final = {"string": str, "boolean": bool, "integer": int, "number": float}
_UNSAID: Final = (None, "")  # as clients write what they do not say; a minimum of 0 says something
_SILENT: Final = frozenset({"type", "description", "nullable", "default", "title", "example"})


def _simple(document: dict[str, Any]) -> type | None:
    """The type whose values need no look, if the schema says nothing but a type."""
    rules = {name for name, value in document.items() if name not in _SILENT and value not in _UNSAID}
    if rules - {"format"} or document.get("format") not in (None, "", "int32", "int64", "double", "float"):
        return None
    return _SIMPLE.get(document.get("type", ""))


def defaults_of_keys(schema: Schema) -> dict[str, Any]:
    """The defaults of a list's keys."""
    fields = schema.items.properties if schema.items is not None else {}
    return {
        key: fields[key].default
        for key in schema.list_keys
        if key in fields and fields[key].default is not MISSING
    }


def _read_additional(additional: Any, metadata: Schema) -> Schema | None:
    """``additionalProperties: true`` allows anything, which is to say: prune nothing."""
    if is_object(additional):
        return _read(additional, metadata)
    return Schema(preserve_unknown=True) if additional is True else None


def _compile(pattern: str) -> re.Pattern[str] | None:
    """Go's regular expressions are nearly Python's; the few that Python can not read match everything."""
    if not pattern:
        return None
    try:
        return re.compile(pattern.replace(r"\z", r"\Z"))
    except re.error:
        return None
