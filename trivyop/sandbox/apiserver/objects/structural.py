"""Structural values: pruning and defaulting of custom resources by their schema.

Promises: arguments stay as they are unless the name says otherwise (``default_in_place``). A value for which
nothing is to be done costs one walk at most.
Not here: validation (``validation``), built-in kinds (``typed``).
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from trivyop.sandbox.apiserver.objects.plain import is_list, is_object
from trivyop.sandbox.apiserver.objects.schema import MISSING

if TYPE_CHECKING:
    from trivyop.sandbox.apiserver.objects.schema import Schema


def prune(schema: Schema, value: Any, unknown: list[str], path: str = "") -> Any:
    """The value without fields that the schema does not know; their paths go to ``unknown``."""
    if is_object(value):
        return _prune_object(schema, value, unknown, path)
    if is_list(value):
        items = schema.items
        if items is None:
            return value
        return [
            prune(items, item, unknown, f"{path}[{index}]") if isinstance(item, (dict, list)) else item
            for index, item in enumerate(value)
        ]
    return value


def _prune_object(schema: Schema, value: dict[str, Any], unknown: list[str], path: str) -> dict[str, Any]:
    properties, additional = schema.properties, schema.additional
    out: dict[str, Any] = {}
    for name, item in value.items():
        child = properties.get(name, additional)
        if child is not None:
            if isinstance(item, (dict, list)):
                out[name] = prune(child, item, unknown, f"{path}.{name}" if path else name)
            elif type(item) is float and child.type == "integer" and item.is_integer():
                out[name] = int(item)  # 2.0 is how some clients write 2
            else:
                out[name] = item
        elif schema.preserve_unknown:
            out[name] = item
        else:
            unknown.append(f"{path}.{name}" if path else name)
    return out


def default_in_place(schema: Schema, value: Any, *, keep_nulls: bool = False) -> None:
    """Fill in defaults, also for nulls that the schema does not allow; without a default, such a null goes.

    ``keep_nulls``: it stays, for validation to refuse: nulls are dropped from what clients send, not from
    what a server-side apply comes to.
    """
    if is_object(value):
        _default_object(schema, value, keep_nulls)
    elif is_list(value) and schema.items is not None:
        for item in value:
            if isinstance(item, (dict, list)):
                default_in_place(schema.items, item, keep_nulls=keep_nulls)


def _default_object(schema: Schema, value: dict[str, Any], keep_nulls: bool) -> None:
    properties, additional = schema.properties, schema.additional
    for name, item in list(value.items()):
        if item is None:
            child = properties.get(name, additional)
            if child is None or child.nullable or (child.preserve_unknown and not keep_nulls):
                continue
            if child.default is not MISSING or not keep_nulls:
                del value[name]
    if schema.has_defaults:
        for name, child in properties.items():
            if child.default is not MISSING and name not in value:
                value[name] = copy.deepcopy(child.default)
    for name, item in value.items():
        if isinstance(item, (dict, list)):
            child = properties.get(name, additional)
            if child is not None:
                default_in_place(child, item, keep_nulls=keep_nulls)
