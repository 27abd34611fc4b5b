"""Templates: children built from an owner, and short names for a template's content. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from trivyop.sandbox.changes import Json, part, parts
from trivyop.sandbox.controllers.objects import Meta

# Letters and digits that cannot spell a word, as Kubernetes uses them in generated names.
_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"


def content_hash(content: Any, collisions: int = 0) -> str:
    """A name part of seven characters that differs when ``content`` (JSON) does; ``collisions`` asks for
    another.
    """
    value = 0x811C9DC5
    for byte in orjson.dumps([content, collisions], option=orjson.OPT_SORT_KEYS):
        value = ((value ^ byte) * 0x01000193) & 0xFFFFFFFF
    digits = ""
    for _ in range(7):
        value, digit = divmod(value, len(_ALPHABET))
        digits += _ALPHABET[digit]
    return digits


def owner_reference(api_version: str, kind: str, meta: Meta) -> Json:
    """The reference of a controller to put into what it makes."""
    return {
        "apiVersion": api_version,
        "kind": kind,
        "name": meta.name,
        "uid": meta.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def build_pod(
    template: Mapping[str, Any],
    owner: Mapping[str, Any],
    *,
    name: str = "",
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    finalizers: tuple[str, ...] = (),
) -> Json:
    """A Pod of ``template`` for the owner; without ``name`` the server makes one up from the owner's."""
    meta = part(template, "metadata")
    metadata: Json = {"name": name} if name else {"generateName": f"{owner['name']}-"}
    all_labels = part(meta, "labels") | dict(labels or {})
    all_annotations = part(meta, "annotations") | dict(annotations or {})
    if all_labels:
        metadata["labels"] = all_labels
    if all_annotations:
        metadata["annotations"] = all_annotations
    all_finalizers = [*(meta.get("finalizers") or ()), *finalizers]
    if all_finalizers:
        metadata["finalizers"] = all_finalizers
    metadata["ownerReferences"] = [dict(owner)]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": part(template, "spec")}


def matches(selector: Mapping[str, Any] | None, labels: Mapping[str, str] | None) -> bool:
    """Whether a label selector (``matchLabels`` and ``matchExpressions``) selects ``labels``."""
    if selector is None:
        return False
    have = labels or {}
    if any(have.get(name) != value for name, value in part(selector, "matchLabels").items()):
        return False
    return all(holds(expression, have) for expression in parts(selector, "matchExpressions"))


def holds(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether one requirement of a label or node selector holds; an unknown operator never does."""
    value = labels.get(expression["key"])
    values: list[str] = expression.get("values") or []
    match expression.get("operator"):
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case "Gt":
            return value is not None and int(value) > int(values[0])
        case "Lt":
            return value is not None and int(value) < int(values[0])
        case _:
            return False
