"""ConfigMaps: how one endpoint's ledger is stored in the operator's namespace, and how their data is encoded.

Each ConfigMap has a short name within the ledger. It holds records, sets of findings, or both. A page of
records also says which parts of the journal it covers: in parts before that number there is nothing that the
page does not contain.

Promises: a write replaces the whole content. Data is compressed; damaged data raises ``PageError``, and
nothing else. No retries; after a write that broke off nobody knows whether it took effect.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from trivyop.kube.client import Api
from trivyop.kube.objects import Object
from trivyop.kube.resources import CONFIGMAPS, ObjectKey

ENDPOINT_LABEL = "trivyop.dev/webhook"
_FIELD_MANAGER = "trivyop-webhooks"
_AT_ONCE = 20  # in one page of a list; some have hundreds of kilobytes

RECORDS, FINDINGS = "records", "findings"  # keys of the data
_COVERS = "covers"
_MAX_PLAIN_BYTES = 64 * 1024 * 1024

PackedRecords = Mapping[str, Mapping[str, bytes]]
"""Packed records by kind and key."""


class PageError(Exception):
    """The data of a page cannot be read."""


class _ConfigMap(Object, frozen=True, rename="camel", kw_only=True):
    binary_data: dict[str, str] | None = None  # base64


class Found(NamedTuple):
    """A stored ConfigMap."""

    name: str
    data: Mapping[str, str]  # base64


class ConfigMaps:
    """The ConfigMaps of one endpoint's ledger."""

    def __init__(self, api: Api, namespace: str, endpoint: str) -> None:
        self._api = api
        self._namespace = namespace
        self._endpoint = endpoint
        self._prefix = f"trivyop-delivered-{endpoint}-"

    async def list(self) -> list[Found]:
        """All of them, by name."""
        selector = f"{ENDPOINT_LABEL}={self._endpoint}"
        listing = await self._api.list(
            CONFIGMAPS, namespace=self._namespace, label_selector=selector, type=_ConfigMap, limit=_AT_ONCE
        )
        found = (
            Found(one.metadata.name.removeprefix(self._prefix), one.binary_data or {})
            for one in listing.items
        )
        return sorted(found)

    async def write(self, name: str, data: Mapping[str, str]) -> None:
        """Store ``data``, base64, in the ConfigMap of that name."""
        body = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": self._prefix + name,
                "namespace": self._namespace,
                "labels": {ENDPOINT_LABEL: self._endpoint, "app.kubernetes.io/managed-by": "trivyop"},
            },
            "binaryData": data,
        }
        await self._api.apply(CONFIGMAPS, body, field_manager=_FIELD_MANAGER, metadata_only=True)

    async def delete(self, name: str) -> None:
        """Delete the ConfigMap of that name."""
        await self._api.delete(CONFIGMAPS, ObjectKey(self._namespace, self._prefix + name))


def encode_records(records: PackedRecords) -> tuple[dict[str, str], int]:
    """Records as the data of a ConfigMap, with its size."""
    return _encoded(RECORDS, zlib.compress(msgspec.msgpack.encode(records), 6))


def decode_records(data: Mapping[str, str]) -> dict[str, dict[str, bytes]]:
    """Read what ``encode_records`` wrote."""
    return _decoded(data, RECORDS, dict[str, dict[str, bytes]])


def encode_findings(sets: Mapping[bytes, bytes], limit: int) -> tuple[dict[str, str], int]:
    """Sets by name as the data of a ConfigMap, with its size; those beyond ``limit`` bytes are left out."""
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
    """The number of the first part of the journal that a page of records does not cover, as data."""
    return {_COVERS: base64.b64encode(str(number).encode()).decode()}


def decode_covers(data: Mapping[str, str]) -> int:
    """Read what ``encode_covers`` wrote; 0 if there is nothing to read."""
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
