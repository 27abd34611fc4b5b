"""Documents as Trivy can read them.

Trivy reads numbers in JSON as unsigned integers: one negative, fractional or huge number and it skips the
whole document. Its YAML reader takes them all, so a document with such a number is handed over as YAML. JSON
in plain ASCII is YAML, but for characters beyond the basic plane, which are escaped differently.

Promises: pure; the same document, whatever the way it is written.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec
import orjson

# A sign, a fraction, an exponent, or too many digits: first a quick look, then one outside of strings.
_PERHAPS_AWKWARD = re.compile(rb"[:,\[]\s*(?:-|\d+[.eE]|\d{20})")
_AWKWARD = re.compile(rb'"(?:[^"\\]|\\.)*"|(-\d|\d+[.eE]|\d{20})')
_UNSAFE = re.compile(r"[^\x20-\x7e]")
_COMMENT = b"#\n"  # what does not begin with a brace is read as YAML


class Family(msgspec.Struct, frozen=True, rename="camel"):
    """What Trivy looks at to decide which checks are for a resource."""

    api_version: str = ""
    kind: str = ""


_FAMILY = msgspec.json.Decoder(Family)


class Written(msgspec.Struct, frozen=True):
    """A file for Trivy."""

    family: Family
    suffix: str  # ".json"
    data: bytes


def write_document(document: bytes) -> Written:
    """The document as a file; ``ValueError`` if it is not JSON."""
    family = _FAMILY.decode(document)
    if not _has_awkward_numbers(document):
        return Written(family, ".json", document)
    plain = orjson.dumps(_decode(document)).decode()
    return Written(family, ".yaml", _COMMENT + _UNSAFE.sub(_escaped, plain).encode("ascii"))


def family_of(document: bytes) -> Family:
    """The document's family; a nameless one if it is not JSON."""
    try:
        return _FAMILY.decode(document)
    except msgspec.MsgspecError:
        return Family()


def _has_awkward_numbers(document: bytes) -> bool:
    if _PERHAPS_AWKWARD.search(document) is None:
        return False
    return any(found[1] for found in _AWKWARD.finditer(document))


def _decode(document: bytes) -> Any:
    try:
        return orjson.loads(document)
    except orjson.JSONDecodeError:
        return msgspec.json.decode(document)  # has room for numbers that orjson finds too large


def _escaped(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
