"""Ownership: making the fields that another program set into fields that we applied. Pure.

Server-side apply takes away only what the same manager applied before. Whoever takes an object over from
another program therefore first takes over its fields; the next apply then leaves none of them behind.

Not here: reading ``metadata.managedFields`` and writing it back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

Entry = Mapping[str, Any]
_Fields = dict[str, Any]


def take_over(entries: Sequence[Entry], manager: str, field: str) -> list[Entry]:
    """The managedFields with all that was set by who set anything below `field` as applied by `manager`.

    Others (who labelled the object, say) keep what is theirs, and so do writers of subresources.
    """
    kept: list[Entry] = []
    taken: _Fields = {}
    api_version = ""
    for entry in entries:
        fields = cast("_Fields", entry.get("fieldsV1") or {})
        if entry.get("subresource") or f"f:{field}" not in fields:
            kept.append(entry)
        else:
            taken = _merged(taken, fields)
            api_version = entry.get("apiVersion", "")
    if not taken:
        return kept
    ours = {
        "manager": manager,
        "operation": "Apply",
        "apiVersion": api_version,
        "fieldsType": "FieldsV1",
        "fieldsV1": taken,
    }
    return [*kept, ours]


def _merged(one: _Fields, other: _Fields) -> _Fields:
    """Both sets of fields; a field is a key, what is below it its value."""
    merged = dict(one)
    for field, below in other.items():
        merged[field] = _merged(merged[field], below) if field in merged else below
    return merged
