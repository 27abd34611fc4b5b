"""Negotiation: which form of an answer a client accepts, and which form of a body the server takes.

Promises: as Kubernetes reads ``Accept``: the first range that fits wins, ``as=`` asks for a transformed form.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from trivyop.sandbox.apiserver.encoding import Form, Style
from trivyop.sandbox.apiserver.objects.refusals import Refused

JSON = "application/json"
YAML = "application/yaml"
PROTOBUF = "application/vnd.kubernetes.protobuf"
_TYPES = (JSON, YAML, PROTOBUF)
_STYLES = {
    "Table": Style.TABLE,
    "PartialObjectMetadata": Style.PARTIAL,
    "PartialObjectMetadataList": Style.PARTIAL,
}


@dataclass(frozen=True, slots=True)
class Accepted:
    """What to answer with."""

    media_type: str = JSON
    form: Form = Form()


def accepted(accept: str, query: Mapping[str, str]) -> Accepted:
    """Choose among what ``accept`` allows; raises the 406 if nothing fits."""
    if accept in ("", "*/*", JSON):
        return Accepted()
    refused_form = False
    for media_type, parameters in _ranges(accept):
        chosen = _chosen(media_type)
        if chosen is None:
            continue
        wanted = parameters.get("as")
        if wanted is None:
            return Accepted(chosen)
        style = _STYLES.get(wanted)
        if style and _known_version(style, parameters):
            return Accepted(chosen, Form(style, query.get("includeObject") or "Metadata"))
        refused_form = True
    if refused_form:
        raise Refused(
            406, "NotAcceptable", f"only the following media types are accepted: {', '.join(_TYPES)}"
        )
    streams = [f"{JSON};stream=watch", f"{PROTOBUF};stream=watch"]
    available = ", ".join([*_TYPES, *streams])
    raise Refused(406, "NotAcceptable", f"406: Not Acceptable\n\nAvailable representations: {available}", {})


def _known_version(style: Style, parameters: Mapping[str, str]) -> bool:
    versions = ("v1", "v1beta1") if style is Style.TABLE else ("v1", "v1beta1")
    return parameters.get("g") == "meta.k8s.io" and parameters.get("v") in versions


def _ranges(accept: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Split ``Accept`` into media types and parameters, the most wanted first."""
    ranges: list[tuple[float, str, dict[str, str]]] = []
    for part in accept.split(","):
        media_type, *pairs = (piece.strip() for piece in part.split(";"))
        parameters = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
        try:
            weight = float(parameters.pop("q", "1"))
        except ValueError:
            weight = 1.0
        ranges.append((weight, media_type.lower(), parameters))
    ranges.sort(key=lambda r: -r[0])
    for _, media_type, parameters in ranges:
        yield media_type, parameters


def _chosen(media_type: str) -> str | None:
    if media_type in ("*/*", "application/*"):
        return JSON
    return media_type if media_type in _TYPES else None
