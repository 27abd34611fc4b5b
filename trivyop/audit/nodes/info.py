"""NodeInfo: what the collector prints of a node, found in its log, checked, and made small to be kept.

The document stands at the end of the log, after what the collector's shell lines complained of. It is taken
apart and put together again, so that what is kept and audited is what we understood, of a bounded size.

Promises: the same findings, the same bytes, whenever they were made; ``read_info`` raises ``NodeInfoError``
and nothing else, whatever the log is.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import zlib
from typing import Any, Final, cast

import msgspec

from trivyop.trivy.failures import FailureClass

LOG_LIMIT_BYTES: Final = 1024 * 1024  # the document has some 5 KB; what comes before it may be long
INFO_LIMIT_BYTES: Final = 128 * 1024  # it is kept in an object of the API
_KEYS_LIMIT = 1000
_KIND = "NodeInfo"
_OBJECT = re.compile(r"^\{", re.MULTILINE)
_STARTS_TRIED = 1000
_TAIL = 200

Value = str | int | float | bool | None


class NodeInfoError(Exception):
    """What the collector printed can not be used; ``failure_class`` says in which way."""

    def __init__(self, failure_class: FailureClass, message: str) -> None:
        super().__init__(message)
        self.failure_class = failure_class


class Values(msgspec.Struct, frozen=True):
    """What one command found."""

    values: tuple[Value, ...] = ()


class NodeInfo(msgspec.Struct, frozen=True):
    """How a node is set up."""

    type: str  # "master" or "worker"
    info: dict[str, Values]

    @property
    def document(self) -> bytes:
        """The document as checks read it; without the time that its metadata has, which no check asks for."""
        info = {key: {"values": list(found.values)} for key, found in sorted(self.info.items())}
        document = {"apiVersion": "v1", "kind": _KIND, "metadata": {}, "type": self.type, "info": info}
        return msgspec.json.encode(document)


def read_info(log: bytes) -> NodeInfo:
    """Find and read the document in the collector's log; raises ``NodeInfoError``."""
    if len(log) > LOG_LIMIT_BYTES:
        raise NodeInfoError(
            FailureClass.TOO_LARGE, f"the collector printed more than {LOG_LIMIT_BYTES} bytes"
        )
    info = _checked(_document(log.decode("utf-8", "replace")))
    if len(info.document) > INFO_LIMIT_BYTES:
        raise NodeInfoError(FailureClass.TOO_LARGE, f"the NodeInfo has more than {INFO_LIMIT_BYTES} bytes")
    return info


def pack(info: NodeInfo) -> str:
    """The document in a short text."""
    return base64.b64encode(zlib.compress(info.document, 9)).decode()


def unpack(text: str) -> NodeInfo | None:
    """What ``pack`` made; None for any other text: anybody may have written it."""
    try:
        data = base64.b64decode(text, validate=True)
        inflating = zlib.decompressobj()
        document = inflating.decompress(data, INFO_LIMIT_BYTES)
        if inflating.unconsumed_tail:
            return None
        return _checked(json.loads(document))
    except (binascii.Error, zlib.error, ValueError, RecursionError, NodeInfoError):
        return None


def _document(text: str) -> object:
    """The last JSON object that begins on a line of its own and is a NodeInfo."""
    decoder = json.JSONDecoder()
    starts = [found.start() for found in _OBJECT.finditer(text)]
    for start in reversed(starts[-_STARTS_TRIED:]):
        try:
            found, _ = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            continue
        if isinstance(found, dict) and cast("dict[str, Any]", found).get("kind") == _KIND:
            return cast("dict[str, Any]", found)
    tail = " ".join(text.split())[-_TAIL:]
    words = f"no NodeInfo in what the collector printed: {tail}" if tail else "the collector printed nothing"
    raise NodeInfoError(FailureClass.PARSE, words)


def _checked(document: object) -> NodeInfo:
    try:
        info = msgspec.convert(document, NodeInfo)
    except msgspec.ValidationError as error:
        raise NodeInfoError(FailureClass.PARSE, f"the NodeInfo is not as it should be: {error}") from None
    if not info.info or len(info.info) > _KEYS_LIMIT:
        raise NodeInfoError(FailureClass.PARSE, f"the NodeInfo has {len(info.info)} answers")
    return info
