"""Plain values: reading JSON that was decoded into dicts and lists, where anything may be absent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeGuard


def is_object(value: Any) -> TypeGuard[dict[str, Any]]:
    return isinstance(value, dict)


def is_list(value: Any) -> TypeGuard[list[Any]]:
    return isinstance(value, list)


def fields_at(obj: Mapping[str, Any], *path: str) -> dict[str, Any]:
    """The object at a path; an empty one if there is none."""
    found: Any = obj
    for name in path:
        found = found.get(name)
        if not found:
            return {}
    return found


def list_at(obj: Mapping[str, Any], *path: str) -> list[Any]:
    """The list at a path; an empty one if there is none."""
    found: Any = obj
    for name in path:
        found = found.get(name)
        if not found:
            return []
    return found
