"""Merging by schema: which fields a value has, how two values differ, and how one is merged into another.

These are the operations of server-side apply. Structs and maps merge field by field unless they are atomic,
lists merge if they are sets or have keys, all else is replaced. Where the schema says nothing (preserved
unknown fields), maps merge and lists do not.

Promises: no argument is changed; merged values may share parts with the arguments.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from trivyop.sandbox.apiserver.objects.fieldset import SELF, FieldSet, key_element, value_element
from trivyop.sandbox.apiserver.objects.plain import is_list, is_object
from trivyop.sandbox.apiserver.objects.schema import Schema

if TYPE_CHECKING:
    from collections.abc import Mapping

ANYTHING: Final = Schema(preserve_unknown=True)


def _child(schema: Schema, name: str) -> Schema:
    return schema.properties.get(name) or schema.additional or ANYTHING


def _merges_as_map(schema: Schema, value: Any) -> bool:
    return is_object(value) and not schema.atomic


def _merges_as_list(schema: Schema, value: Any) -> bool:
    return schema.list_type != "atomic" and is_list(value)


def _items(schema: Schema, value: list[Any]) -> dict[str, Any]:
    """The items of a list that merges, by path element; of equal elements the last counts."""
    if schema.list_type == "set":
        return {value_element(item): item for item in value}
    return {
        key_element(schema.list_keys, item, schema.key_defaults)
        if is_object(item)
        else value_element(item): item
        for item in value
    }


def field_set(schema: Schema, value: Any) -> FieldSet:
    """The fields that a value sets: its leaves, and the items of lists themselves."""
    out: FieldSet = {}
    if _merges_as_map(schema, value):
        for name, item in value.items():
            out[f"f:{name}"] = field_set(_child(schema, name), item)
    elif _merges_as_list(schema, value):
        items = schema.items or ANYTHING
        for element, item in _items(schema, value).items():
            below = field_set(items, item) if schema.list_type == "map" else {}
            out[element] = {SELF: {}, **below} if below else {}
    return out


class Comparison:
    """How two values differ."""

    __slots__ = ("added", "modified", "removed")

    def __init__(self) -> None:
        self.added: FieldSet = {}
        self.modified: FieldSet = {}
        self.removed: FieldSet = {}


def compare(schema: Schema, old: Any, new: Any) -> Comparison:
    """The fields that were added (with what is above them, where that is new too), modified or removed."""
    comparison = Comparison()
    _compare(schema, old, new, comparison.added, comparison.modified, comparison.removed)
    return comparison


def _compare(
    schema: Schema, old: Any, new: Any, added: FieldSet, modified: FieldSet, removed: FieldSet
) -> bool:
    """Note differences below this value; True if the value itself, as a leaf, was modified."""
    if old is new:
        return False
    if not schema.atomic and (is_object(old) or is_object(new)):
        if not ((old is None or is_object(old)) and (new is None or is_object(new))):
            return True
        return _compare_maps(schema, old, new, added, modified, removed)
    if schema.list_type != "atomic" and (is_list(old) or is_list(new)):
        if not ((old is None or is_list(old)) and (new is None or is_list(new))):
            return True
        ours, theirs = _items(schema, old or []), _items(schema, new or [])
        if not ours and not theirs:
            return old != new
        items = schema.items or ANYTHING
        for element in [*theirs, *(e for e in ours if e not in theirs)]:
            _compare_at(element, items, ours, theirs, added, modified, removed)
        return False
    return old != new


def _compare_maps(
    schema: Schema,
    old: dict[str, Any] | None,
    new: dict[str, Any] | None,
    added: FieldSet,
    modified: FieldSet,
    removed: FieldSet,
) -> bool:
    if not old and not new:
        return old != new
    ours: Mapping[str, Any] = old or {}
    theirs: Mapping[str, Any] = new or {}
    for name, item in theirs.items():
        child = _child(schema, name)
        if name not in ours:
            added[f"f:{name}"] = _whole(child, item)
        elif ours[name] is not item and ours[name] != item:
            _descend(f"f:{name}", child, ours[name], item, added, modified, removed)
    for name, item in ours.items():
        if name not in theirs:
            removed[f"f:{name}"] = _whole(_child(schema, name), item)
    return False


def _compare_at(
    element: str,
    schema: Schema,
    ours: Mapping[str, Any],
    theirs: Mapping[str, Any],
    added: FieldSet,
    modified: FieldSet,
    removed: FieldSet,
) -> None:
    if element not in ours:
        added[element] = _whole(schema, theirs[element])
    elif element not in theirs:
        removed[element] = _whole(schema, ours[element])
    elif ours[element] != theirs[element]:
        _descend(element, schema, ours[element], theirs[element], added, modified, removed)


def _descend(
    element: str, schema: Schema, old: Any, new: Any, added: FieldSet, modified: FieldSet, removed: FieldSet
) -> None:
    more: FieldSet = {}
    changed: FieldSet = {}
    less: FieldSet = {}
    if _compare(schema, old, new, more, changed, less):
        modified[element] = {}
        return
    if more:
        added[element] = more
    if changed:
        modified[element] = changed
    if less:
        removed[element] = less


def _whole(schema: Schema, value: Any) -> FieldSet:
    """All fields of a value that the other side does not have at all, each node a member."""
    out: FieldSet = {}
    if _merges_as_map(schema, value):
        for name, item in value.items():
            out[f"f:{name}"] = _whole(_child(schema, name), item)
    elif _merges_as_list(schema, value):
        items = schema.items or ANYTHING
        for element, item in _items(schema, value).items():
            out[element] = _whole(items, item) if schema.list_type == "map" else {}
    if out:
        out[SELF] = {}
    return out


def merge(schema: Schema, live: Any, applied: Any) -> Any:
    """The live value with the applied one laid over it."""
    if _merges_as_map(schema, live) and _merges_as_map(schema, applied):
        out = dict(live)
        for name, item in applied.items():
            out[name] = merge(_child(schema, name), out[name], item) if name in out else item
        return out
    if _merges_as_list(schema, live) and _merges_as_list(schema, applied):
        return _merge_lists(schema, live, applied)
    return applied


def _merge_lists(schema: Schema, live: list[Any], applied: list[Any]) -> list[Any]:
    """Items of both; the applied order holds for the applied ones, and the rest stay where they were."""
    ours, theirs = _items(schema, live), _items(schema, applied)
    items = schema.items or ANYTHING
    out: list[Any] = []
    waiting = iter(theirs)
    done: set[str] = set()
    for element, item in ours.items():
        if element not in theirs:
            out.append(item)
            continue
        while element not in done:
            following = next(waiting)
            out.append(_merged_item(schema, items, ours.get(following), theirs[following]))
            done.add(following)
    out += [_merged_item(schema, items, ours.get(element), theirs[element]) for element in waiting]
    return out


def _merged_item(schema: Schema, items: Schema, live: Any, applied: Any) -> Any:
    return merge(items, live, applied) if schema.list_type == "map" and live is not None else applied


def without(schema: Schema, value: Any, last: FieldSet, owned: FieldSet) -> Any:
    """The value without the fields that are in ``last`` and that nobody in ``owned`` holds (any more).

    A map or list that was not empty and of which nothing is left becomes null, as on a real server
    (structured-merge-diff 6.3.0, ``typed/remove.go``): applying ``{}`` over fields that one owned says null.
    """
    if _merges_as_map(schema, value):
        out: dict[str, Any] = {}
        for name, item in value.items():
            element = f"f:{name}"
            if element not in last:
                out[name] = item
            elif element in owned:
                out[name] = without(_child(schema, name), item, last[element], owned[element])
        return out if out or not value else None
    if _merges_as_list(schema, value):
        items = schema.items or ANYTHING
        left = [
            without(items, item, last[element], owned[element]) if element in last else item
            for element, item in _items(schema, value).items()
            if element not in last or element in owned
        ]
        return left if left or not value else None
    return value
