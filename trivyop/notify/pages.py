"""Pages: how many records, or sets of findings, become the data of one ConfigMap, and back.

A page of records says up to where it knows what is in the journal: of parts before that number there is
nothing in it that they could tell anew.

Promises: compressed; what is damaged raises ``PageError``, and nothing else.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Mapping
from typing import Any

import msgspec

RECORDS, FINDINGS = "records", "findings"  # keys of the data
_COVERS = "covers"
_MAX_PLAIN_BYTES = 64 * 1024 * 1024

Records = Mapping[str, Mapping[str, bytes]]
"""Packed records by kind and key."""


class PageError(Exception):
    """The data of a page cannot be read."""


def encode_records(records: Records) -> tuple[dict[str, str], int]:
    """Records as the data of a ConfigMap, with its size."""
    return _encoded(RECORDS, zlib.compress(msgspec.msgpack.encode(records), 6))


def decode_records(data: Mapping[str, str]) -> dict[str, dict[str, bytes]]:
    """Read what ``encode_records`` wrote."""
    return _decoded(data, RECORDS, dict[str, dict[str, bytes]])


def encode_findings(sets: Mapping[bytes, bytes], limit: int) -> tuple[dict[str, str], int]:
    """By name, as the data of a ConfigMap, with its size; what does not fit into ``limit`` is left out."""
    kept: dict[bytes, bytes] = {}
    size = 0
    for name, ids in sets.items():
        size += len(name) + len(ids) + 8
        if size > limit:  # ids are hashes: they hardly get smaller
            break
        kept[name] = ids
    return _encoded(FINDINGS, zlib.compress(msgspec.msgpack.encode(kept), 1))


def decode_findings(data: Mapping[str, str]) -> dict[bytes, bytes]:
    """Read what ``encode_findings`` wrote."""
    return _decoded(data, FINDINGS, dict[bytes, bytes])


def encode_covers(number: int) -> dict[str, str]:
    """The first part of the journal that a page of records may not know, as more of its data."""
    return {_COVERS: base64.b64encode(str(number).encode()).decode()}


def decode_covers(data: Mapping[str, str]) -> int:
    """Read what ``encode_covers`` wrote; 0 if there is nothing to be read."""
    try:
        return int(base64.b64decode(data.get(_COVERS, ""), validate=True) or b"0")
    except ValueError:
        return 0


def _encoded(name: str, packed: bytes) -> tuple[dict[str, str], int]:
    return {name: base64.b64encode(packed).decode()}, len(packed)


def _decoded(data: Mapping[str, str], name: str, type_: Any) -> Any:
    try:
        packed = base64.b64decode(data[name], validate=True)
        unpacking = zlib.decompressobj()
        plain = unpacking.decompress(packed, _MAX_PLAIN_BYTES)
        if not unpacking.eof:
            raise PageError("it is cut short, or far too large")
        return msgspec.msgpack.decode(plain, type=type_)
    except KeyError:
        raise PageError(f"it has no {name}") from None
    except (binascii.Error, zlib.error, msgspec.DecodeError, msgspec.ValidationError, ValueError) as error:
        raise PageError(str(error)) from error
