"""Typed values: what the server's Go structs make of JSON, for the built-in kinds.

Decoding into a struct checks types, drops fields it does not have, forgets empty values, and brings
quantities and times into one form. Encoding writes some fields even when they are empty.

Promises: ``conform`` never changes its argument and is idempotent; the errors are Go's.
Not here: defaults and validation of a kind (``builtin``), custom resources (``structural``).
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any, Final, cast

from trivyop.sandbox.apiserver.objects.scalars import (
    canonical_micro_time,
    canonical_quantity,
    canonical_time,
)

if TYPE_CHECKING:
    from trivyop.sandbox.apiserver.objects.schema import Schema

_INT_RANGE: Final = {"int32": 2**31, "int64": 2**63}
_CANONICAL: Final = {
    "date-time": canonical_time,
    "micro-time": canonical_micro_time,
    "quantity": canonical_quantity,
}


class MismatchError(ValueError):
    """A value of the wrong type; grows the path to it while it travels up."""

    def __init__(self, got: str, wanted: str) -> None:
        super().__init__()
        self.got = got
        self.wanted = wanted
        self.struct = ""
        self.path: list[str] = []

    def __str__(self) -> str:
        place = ".".join(reversed(self.path))
        field = f"{self.struct}.{place}"
        return f"json: cannot unmarshal {self.got} into Go struct field {field} of type {self.wanted}"


def conform(schema: Schema, value: Any, unknown: list[str]) -> Any:
    """The value as the server's struct holds it; the paths of fields it does not have go to ``unknown``."""
    if schema.properties or schema.go:
        return _struct(schema, value, unknown)
    kind = schema.type
    if kind == "array":
        return _list(schema, value, unknown)
    if kind == "object":
        return _map(schema, value, unknown)
    return _scalar(schema, value)


def zero(schema: Schema) -> Any:
    """What is written for a field that is empty and yet written."""
    if schema.go:
        return {name: zero(schema.properties[name]) for name in schema.properties if name in schema.always}
    if schema.type == "boolean":
        return False
    if schema.type in ("integer", "number") or schema.int_or_string:
        return 0
    if schema.type == "string" and schema.format == "quantity":
        return "0"
    if schema.type == "string" and schema.format not in ("date-time", "micro-time", "byte"):
        return ""
    return None


def _struct(schema: Schema, value: Any, unknown: list[str]) -> dict[str, Any]:
    if type(value) is not dict:
        raise MismatchError(json_name(value), f"v1.{schema.go}")
    properties, pointers, always = schema.properties, schema.pointers, schema.always
    fields = cast("dict[str, Any]", value)
    out: dict[str, Any] = {}
    for name, item in fields.items():
        field = properties.get(name)
        if field is None:
            unknown.append(name)
            continue
        if item is None:
            continue
        seen = len(unknown)
        try:
            held = conform(field, item, unknown)
        except MismatchError as mismatch:
            mismatch.struct = mismatch.struct or schema.go
            mismatch.path.append(name)
            raise
        if len(unknown) > seen:
            _prefix(unknown, seen, name)
        if held or name in pointers or name in always or field.go:
            out[name] = held
    for name in always:
        held = out.get(name)
        if held is None or (held == "" and properties[name].format):
            field = properties[name]
            out[name] = None if name in pointers else zero(field)
    return out


def _prefix(unknown: list[str], start: int, name: str) -> None:
    for at in range(start, len(unknown)):
        path = unknown[at]
        unknown[at] = f"{name}{path}" if path.startswith("[") else f"{name}.{path}"


def _list(schema: Schema, value: Any, unknown: list[str]) -> list[Any]:
    if type(value) is not list:
        raise MismatchError(json_name(value), "[]" + _go(schema.items))
    items = schema.items
    if items is None:
        return cast("list[Any]", value)
    out: list[Any] = []
    for index, item in enumerate(cast("list[Any]", value)):
        seen = len(unknown)
        out.append(zero(items) if item is None else conform(items, item, unknown))
        if len(unknown) > seen:
            _prefix(unknown, seen, f"[{index}]")
    return out


def _map(schema: Schema, value: Any, unknown: list[str]) -> dict[str, Any]:
    values = schema.additional
    if type(value) is not dict:
        raise MismatchError(json_name(value), "map[string]" + _go(values))
    entries = cast("dict[str, Any]", value)
    if values is None:
        return entries
    out: dict[str, Any] = {}
    for key, item in entries.items():
        seen = len(unknown)
        out[key] = zero(values) if item is None else conform(values, item, unknown)
        if len(unknown) > seen:
            _prefix(unknown, seen, key)
    return out


def _scalar(schema: Schema, value: Any) -> Any:
    kind = schema.type
    if kind == "string":
        return _string(schema, value)
    if kind == "boolean":
        if value is not True and value is not False:
            raise MismatchError(json_name(value), "bool")
        return value
    if kind == "integer":
        return _integer(schema, value)
    if kind == "number":
        if type(value) not in (int, float):
            raise MismatchError(json_name(value), "float64")
        return value
    if schema.int_or_string:
        if type(value) is str or type(value) is int:
            return value
        raise MismatchError(json_name(value), "intstr.IntOrString")
    return value


def _string(schema: Schema, value: Any) -> str:
    if type(value) is not str:
        if schema.format == "quantity" and type(value) in (int, float):
            return canonical_quantity(str(value))
        raise MismatchError(json_name(value), _go(schema))
    if not schema.format:
        return value
    if schema.format == "byte":
        return _bytes(value)
    canonical = _CANONICAL.get(schema.format)
    return value if canonical is None or not value else canonical(value)


def _bytes(value: str) -> str:
    try:
        return base64.b64encode(base64.b64decode(value.replace("\n", ""), validate=True)).decode()
    except binascii.Error:
        alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
        bad = next((at for at, char in enumerate(value) if char not in alphabet), len(value))
        raise ValueError(f"illegal base64 data at input byte {bad}") from None


def _integer(schema: Schema, value: Any) -> int:
    limit = _INT_RANGE.get(schema.format, 2**63)
    if type(value) is int:
        if -limit <= value < limit:
            return value
        raise MismatchError(f"number {value}", schema.format)
    if type(value) is float:
        if value.is_integer() and -limit <= value < limit:
            return int(value)
        raise MismatchError(f"number {value:g}", schema.format)
    raise MismatchError(json_name(value), schema.format)


def json_name(value: Any) -> str:
    """What Go calls the type of a JSON value."""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, str):
        return "string"
    if isinstance(value, (int, float)):
        return "number"
    return "array" if isinstance(value, list) else "object"


def _go(schema: Schema | None) -> str:
    """What Go calls the type of a schema."""
    if schema is None:
        return "interface {}"
    if schema.go:
        return f"v1.{schema.go}"
    if schema.type == "array":
        return "[]" + _go(schema.items)
    if schema.type == "object":
        return "map[string]" + _go(schema.additional)
    if schema.type == "string":
        return {"date-time": "v1.Time", "micro-time": "v1.MicroTime", "byte": "[]uint8"}.get(
            schema.format, "string"
        )
    return {"boolean": "bool", "integer": schema.format, "number": "float64"}.get(schema.type, "string")
