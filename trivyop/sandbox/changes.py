"""Changes: merge patches between two states of an object, and the times and conditions that go into a status.

``merge_patch`` promises that applying its result (RFC 7386) to ``old`` gives ``new``, and that it is empty
if nothing differs, which is how controllers keep from writing what is already there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

Json = dict[str, Any]


def part(value: Mapping[str, Any] | None, name: str) -> Json:
    """The object that is member ``name``; empty if it is left out or null."""
    found: Json | None = value.get(name) if value else None
    return found or {}


def parts(value: Mapping[str, Any] | None, name: str) -> list[Json]:
    """The objects of the list that is member ``name``; empty if it is left out or null."""
    found: list[Json] | None = value.get(name) if value else None
    return found or []


def merge_patch(old: Mapping[str, Any], new: Mapping[str, Any]) -> Json:
    """The members of ``new`` that differ from ``old``, and null for those it lacks."""
    patch: Json = {name: None for name in old if name not in new}
    for name, value in new.items():
        before = old.get(name)
        if isinstance(value, dict) and isinstance(before, dict):
            inner = merge_patch(cast("Json", before), cast("Json", value))
            if inner:
                patch[name] = inner
        elif name not in old or before != value:
            patch[name] = value
    return patch


def without_empty(fields: Mapping[str, Any], *, keep: Iterable[str] = ()) -> Json:
    """Leave out what Go's ``omitempty`` leaves out: zero, empty and null, except the names to ``keep``."""
    kept = frozenset(keep)
    return {name: value for name, value in fields.items() if value or name in kept}


def set_condition(
    conditions: Iterable[Mapping[str, Any]], wanted: Mapping[str, Any], *, touch: str = ""
) -> list[Json]:
    """``conditions`` with ``wanted`` in the place of the one of its type, or at the end.

    Its times stay those of the old one as long as the status is the same; and if nothing else differs, all
    of it stays. ``touch`` names a time field that moves with every other change (a Deployment's
    ``lastUpdateTime``).
    """
    result: list[Json] = []
    found = False
    for condition in conditions:
        if condition.get("type") != wanted["type"]:
            result.append(dict(condition))
            continue
        found = True
        if all(condition.get(name) == wanted.get(name) for name in ("status", "reason", "message")):
            result.append(dict(condition))
            continue
        merged = dict(wanted)
        if condition.get("status") == wanted.get("status"):
            for name in ("lastTransitionTime", "lastProbeTime", "lastUpdateTime"):
                if name in condition and name != touch:
                    merged[name] = condition[name]
        result.append(merged)
    if not found:
        result.append(dict(wanted))
    return result


def find_condition(conditions: Iterable[Mapping[str, Any]], type_: str) -> Mapping[str, Any] | None:
    """The condition of that type, if there is one."""
    return next((condition for condition in conditions if condition.get("type") == type_), None)


def has_condition(conditions: Iterable[Mapping[str, Any]], type_: str) -> bool:
    """Whether the condition of that type is True."""
    condition = find_condition(conditions, type_)
    return condition is not None and condition.get("status") == "True"
