"""Swagger: the OpenAPI 2 document as a protobuf message, the only form in which kubectl takes it.

The message is ``openapi.v2.Document`` (github.com/google/gnostic-models, openapiv2/OpenAPIv2.proto); kubectl
validates the items of a List with it, and looks in it for kinds that the server does not serve.

Promises: what the document says in JSON, the message says, but for parts that OpenAPI 2 does not have
(``nullable``).
Not here: the document (``objects.openapi``).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import orjson

MEDIA_TYPES: Final = (
    "application/com.github.proto-openapi.spec.v2@v1.0+protobuf",  # what kubectl sends
    "application/com.github.proto-openapi.spec.v2.v1.0+protobuf",  # the same, as a media type may be written
)

# Each message: the names of JSON, with number and type of the field. [T] is a list; {T} is an object, written
# as a list of pairs; "any" is a value as text; "x-" stands for all extensions, and "*" for the whole object.
_TABLES: Final = """
Document: swagger 1 string, info 2 Info, paths 8 Paths, definitions 9 NamedSchemas
Info: title 1 string, version 2 string
Paths: * 2 {PathItem}
PathItem: get 2 Operation, put 3 Operation, post 4 Operation, delete 5 Operation, patch 8 Operation,
    parameters 9 [Parameter]
Operation: description 3 string, operationId 5 string, consumes 7 [string], parameters 8 [Parameter],
    responses 9 Responses, x- 13 {any}
QueryParameter: required 1 bool, in 2 string, description 3 string, name 4 string, type 6 string,
    uniqueItems 20 bool
PathParameter: required 1 bool, in 2 string, description 3 string, name 4 string, type 5 string,
    uniqueItems 19 bool
Responses: * 1 {ResponseValue}
ResponseValue: * 1 Response
Response: description 1 string, schema 2 SchemaItem
SchemaItem: * 1 Schema
Schema: $ref 1 string, format 2 string, title 3 string, description 4 string, default 5 any, maximum 7 double,
    minimum 9 double, maxLength 11 int, minLength 12 int, pattern 13 string, maxItems 14 int, minItems 15 int,
    uniqueItems 16 bool, required 19 [string], enum 20 [any], additionalProperties 21 SchemaItem,
    type 22 Type, items 23 SchemaItem, properties 25 NamedSchemas, x- 31 {any}
Type: * 1 string
NamedSchemas: * 1 {Schema}
"""


class _Field(NamedTuple):
    number: int
    type: str
    repeated: bool
    mapped: bool


def _tables() -> dict[str, dict[str, _Field]]:
    tables: dict[str, dict[str, _Field]] = {}
    for line in _TABLES.replace("\n    ", " ").strip().splitlines():
        message, _, fields = line.partition(":")
        tables[message] = {}
        for field in fields.split(","):
            name, number, type_ = field.split()
            bare = type_.strip("[]{}")
            tables[message][name] = _Field(int(number), bare, type_[0] == "[", type_[0] == "{")
    return tables


_MESSAGES: Final = _tables()


def encode(document: Mapping[str, Any]) -> bytes:
    """The document, as ``openapi.document_v2`` makes it, as a message."""
    return _message("Document", document)


def _message(name: str, value: Any) -> bytes:
    table = _MESSAGES[name]
    if "*" in table:
        return _field(table["*"], value)
    parts = [_field(field, value[key]) for key, field in table.items() if key in value]
    if "x-" in table:
        parts.append(_field(table["x-"], {key: one for key, one in value.items() if key.startswith("x-")}))
    return b"".join(parts)


def _field(field: _Field, value: Any) -> bytes:
    if field.mapped:
        pairs = (_bytes(1, key.encode()) + _one(2, field.type, one) for key, one in value.items())
        return b"".join(_bytes(field.number, pair) for pair in pairs)
    if field.repeated:
        return b"".join(_one(field.number, field.type, one) for one in value)
    return _one(field.number, field.type, value)


def _one(number: int, type_: str, value: Any) -> bytes:
    match type_:
        case "string":
            return _bytes(number, value.encode())
        case "bool" | "int":
            return _varint(number << 3) + _varint(int(value))
        case "double":
            return _varint(number << 3 | 1) + struct.pack("<d", value)
        case "any":
            return _bytes(number, _bytes(2, orjson.dumps(value)))  # JSON is YAML, which this is meant to be
        case "Parameter":  # in the query or the path, and none in a body: three wrappers around either
            place, message = (4, "PathParameter") if value["in"] == "path" else (3, "QueryParameter")
            return _bytes(number, _bytes(1, _bytes(2, _bytes(place, _message(message, value)))))
        case _:
            return _bytes(number, _message(type_, value))


def _bytes(number: int, value: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
