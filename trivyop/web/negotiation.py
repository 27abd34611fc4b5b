"""Negotiation: which format and which compression a client takes, from its headers.

Promises: any text is a header that gets an answer. An entry that is malformed, or that names a version which
does not exist, counts as if it were not there; without a usable entry the answer is the plain text format
0.0.4, uncompressed, which every reader of metrics takes.
Not here: a preference between formats. The first entry of the highest quality counts (RFC 9110, 12.5).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

Encoder = Callable[[Collector], bytes]

_OPEN_METRICS: Final = "application/openmetrics-text"
_VERSIONS: Final[Mapping[str, tuple[str, ...]]] = {  # of each media type: those that we write
    _OPEN_METRICS: ("", "1.0.0"),
    "text/plain": ("", "0.0.4", "1.0.0"),
}
_ESCAPINGS: Final = ("allow-utf-8", "underscores", "dots", "values")
_QUALITY = re.compile(r"[01](?:\.[0-9]{0,3})?")


@dataclass(frozen=True, slots=True)
class _Entry:
    """One of the things that a header lists, in lower case."""

    name: str
    parameters: Mapping[str, str]
    quality: float


def _entries(header: str) -> Iterator[_Entry]:
    """What a header lists and does not rule out, best first."""
    found: list[_Entry] = []
    for text in header.lower().split(","):
        name, *rest = (part.strip() for part in text.split(";"))
        pairs = (part.partition("=") for part in rest)
        parameters = {key.strip(): value.strip().strip('"') for key, _, value in pairs}
        quality = parameters.get("q", "1")
        if name and _QUALITY.fullmatch(quality) and float(quality) > 0:
            found.append(_Entry(name, parameters, float(quality)))
    return iter(sorted(found, key=lambda entry: -entry.quality))


def choose_format(accept: str) -> tuple[Encoder, str]:
    """The encoder for an ``Accept`` header, and the content type of what it makes."""
    for entry in _entries(accept):
        version = entry.parameters.get("version", "")
        if version in _VERSIONS.get(entry.name, ()):
            escaping = entry.parameters.get("escaping", "")
            return choose_encoder(
                entry.name
                + (f";version={version}" if version else "")
                + (f";escaping={escaping}" if escaping in _ESCAPINGS else "")
            )
    return choose_encoder("")


def takes_gzip(accept_encoding: str) -> bool:
    """Whether an ``Accept-Encoding`` header lists gzip."""
    return any(entry.name in ("gzip", "x-gzip") for entry in _entries(accept_encoding))
