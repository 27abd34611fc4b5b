"""Negotiation: which form of an answer a client accepts, and which form of a body the server takes.

Promises: as Kubernetes reads ``Accept``: the most wanted range that fits wins, ``as=`` asks for another form.
Not here: answers in protobuf. JSON is preferred to it however the client ranks them; a client that
accepts nothing else gets JSON in a protobuf envelope that says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from trivyop.sandbox.apiserver.encoding import WHOLE, Form, Style
from trivyop.sandbox.apiserver.objects.refusals import Refused

JSON = "application/json"
YAML = "application/yaml"
PROTOBUF = "application/vnd.kubernetes.protobuf"
_TYPES = (JSON, YAML, PROTOBUF)
_FORMS = {
    "Table": (Style.TABLE, False),
    "PartialObjectMetadata": (Style.PARTIAL, False),
    "PartialObjectMetadataList": (Style.PARTIAL, True),
}


@dataclass(frozen=True, slots=True)
class Accepted:
    """What to answer with."""

    media_type: str = JSON
    form: Form = WHOLE


def accepted(accept: str, query: Mapping[str, str]) -> Accepted:
    """Choose among what ``accept`` allows; raises the 406 if nothing fits."""
    if accept in ("", "*/*", JSON):
        return Accepted()
    last_resort: Accepted | None = None
    refused_form = False
    for media_type, parameters in _ranges(accept):
        chosen = JSON if media_type in ("*/*", "application/*") else media_type
        if chosen not in _TYPES:
            continue
        form = _form(parameters, query)
        if form is None:
            refused_form = True
        elif chosen == PROTOBUF:
            last_resort = last_resort or Accepted(chosen, form)
        else:
            return Accepted(chosen, form)
    if last_resort:
        return last_resort
    raise _not_acceptable(refused_form=refused_form)


def _form(parameters: Mapping[str, str], query: Mapping[str, str]) -> Form | None:
    wanted = parameters.get("as")
    if wanted is None:
        return WHOLE
    if (
        wanted not in _FORMS
        or parameters.get("g") != "meta.k8s.io"
        or parameters.get("v") not in ("v1", "v1beta1")
    ):
        return None
    style, as_list = _FORMS[wanted]
    return Form(style, query.get("includeObject") or "Metadata", as_list=as_list)


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


def _not_acceptable(*, refused_form: bool) -> Refused:
    if refused_form:
        message = f"only the following media types are accepted: {', '.join(_TYPES)}"
        return Refused(406, "NotAcceptable", message)
    available = ", ".join([*_TYPES, f"{JSON};stream=watch", f"{PROTOBUF};stream=watch"])
    message = f"406: Not Acceptable\n\nAvailable representations: {available}"
    return Refused(406, "NotAcceptable", message, {})
