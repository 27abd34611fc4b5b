"""Applying: what a document that is sent by server-side apply may say.

A server reads ``{}`` over fields that the same manager set before as null, and then refuses it by the schema
(422), for as long as the same is applied (kubernetes/kubernetes#135841). So nothing is said by a field that
is not there, never by an empty map.

Promises: pure; arguments stay as they are; applying the rule twice is applying it once. Items of lists are
left alone: lists of ours are replaced as a whole, and an item such as ``{"emptyDir": {}}`` means something.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast


def without_empty_maps(document: Mapping[str, Any]) -> dict[str, Any]:
    """The document without fields that are empty maps, or hold nothing but such fields."""
    kept: dict[str, Any] = {}
    for name, value in document.items():
        if isinstance(value, Mapping):
            inner = without_empty_maps(cast("Mapping[str, Any]", value))
            if inner:
                kept[name] = inner
        else:
            kept[name] = value
    return kept
