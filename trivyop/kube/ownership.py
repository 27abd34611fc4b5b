"""Ownership: making the fields that another program set into fields that we applied. Pure.

Server-side apply takes away only what the same manager applied before. Whoever takes an object over from
another program therefore first takes over its fields; the next apply then leaves none of them behind.

What we replaced as a whole (PUT) is ours as an *update*, which the next apply takes for another program's: it
is made ours as applied first. And whoever replaces an object sends along what others set on it.

Not here: reading ``metadata.managedFields`` and writing it back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

Entry = Mapping[str, Any]
_Fields = dict[str, Any]


def take_over(entries: Sequence[Entry], manager: str, field: str, *, subresource: str = "") -> list[Entry]:
    """The managedFields with all that was set by who set anything below `field` as applied by `manager`.

    Others (who labelled the object, say) keep what is theirs, and so do writers of other subresources.
    """
    kept: list[Entry] = []
    taken: _Fields = {}
    api_version = ""
    for entry in entries:
        fields = cast("_Fields", entry.get("fieldsV1") or {})
        if entry.get("subresource", "") != subresource or f"f:{field}" not in fields:
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
        **({"subresource": subresource} if subresource else {}),
    }
    return [*kept, ours]


def is_updated_by(entries: Sequence[Entry], manager: str) -> bool:
    """Whether ``manager`` holds fields that it did not apply."""
    return any(_is_main(entry, manager) and entry.get("operation") != "Apply" for entry in entries)


def as_applied(entries: Sequence[Entry], manager: str) -> list[Entry]:
    """The managedFields with all that ``manager`` holds as applied by it; others keep what is theirs."""
    own = [entry for entry in entries if _is_main(entry, manager)]
    if not own:
        return list(entries)
    fields: _Fields = {}
    for entry in own:
        fields = _merged(fields, cast("_Fields", entry.get("fieldsV1") or {}))
    ours = {
        "manager": manager,
        "operation": "Apply",
        "apiVersion": own[-1].get("apiVersion", ""),
        "fieldsType": "FieldsV1",
        "fieldsV1": fields,
    }
    return [*(entry for entry in entries if not _is_main(entry, manager)), ours]


def with_others_metadata(
    ours: Mapping[str, Any], there: Mapping[str, Any], manager: str
) -> dict[str, Any] | None:
    """The metadata to replace an object with: ``ours``, and what others than ``manager`` set on it.

    ``there`` is its present metadata. Labels, annotations, finalizers and owners stay if another manager
    holds them, or nobody. None if another manager holds anything else: only an apply keeps that.
    """
    own: _Fields = {}
    others: _Fields = {}
    for entry in there.get("managedFields") or ():
        fields = cast("_Fields", entry.get("fieldsV1") or {})
        if _is_main(entry, manager):
            own = _merged(own, fields.get("f:metadata") or {})
        elif set(fields) - {"f:metadata"}:
            return None
        else:
            others = _merged(others, fields.get("f:metadata") or {})

    def stays(field: str, item: str) -> bool:
        return item in (others.get(field) or {}) or item not in (own.get(field) or {})

    merged = {**ours, "resourceVersion": there["resourceVersion"]}
    for field in ("labels", "annotations"):
        present = cast("dict[str, str]", there.get(field) or {})
        kept = {name: text for name, text in present.items() if stays(f"f:{field}", f"f:{name}")}
        if kept or field in ours:
            merged[field] = kept | (ours.get(field) or {})
    finalizers = [one for one in there.get("finalizers") or () if stays("f:finalizers", f'v:"{one}"')]
    if finalizers:
        merged["finalizers"] = list(dict.fromkeys([*(ours.get("finalizers") or ()), *finalizers]))
    uids = {owner["uid"] for owner in ours.get("ownerReferences") or ()}
    owners = [
        owner
        for owner in there.get("ownerReferences") or ()
        if owner["uid"] not in uids and stays("f:ownerReferences", f'k:{{"uid":"{owner["uid"]}"}}')
    ]
    if owners:
        merged["ownerReferences"] = [*(ours.get("ownerReferences") or ()), *owners]
    return merged


def _is_main(entry: Entry, manager: str) -> bool:
    return entry.get("manager") == manager and not entry.get("subresource")


def _merged(one: _Fields, other: _Fields) -> _Fields:
    """Both sets of fields; a field is a key, what is below it its value."""
    merged = dict(one)
    for field, below in other.items():
        merged[field] = _merged(merged[field], below) if field in merged else below
    return merged
