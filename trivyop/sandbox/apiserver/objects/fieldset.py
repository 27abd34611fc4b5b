"""Field sets: sets of fields of an object, in the very form in which managedFields are written (FieldsV1).

A set is a tree of dicts. The keys are path elements: ``f:name`` is a field, ``k:{"name":"x"}`` an item of a
list with keys, ``v:"x"`` an item of a set. An empty dict is a field that is in the set; a dict with children
stands for the children only, unless it also has the key ``.``.

Promises: no function changes its arguments; results may share parts with them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

FieldSet = dict[str, Any]
SELF: Final = "."


def is_member(node: FieldSet) -> bool:
    """Whether the field at this node is itself in the set."""
    return not node or SELF in node


def union(left: FieldSet, right: FieldSet) -> FieldSet:
    """All that is in either."""
    if not left or not right:
        return left or right
    out: FieldSet = dict(left)
    for element, theirs in right.items():
        ours = out.get(element)
        out[element] = theirs if ours is None else _join(ours, theirs)
    return out


def _join(left: FieldSet, right: FieldSet) -> FieldSet:
    """Two nodes of the same element: one of them may be a bare member."""
    if left == right:
        return left
    joined: FieldSet = union(left, right)
    if (is_member(left) or is_member(right)) and SELF not in joined:
        return {SELF: {}, **joined}
    return joined


def difference(left: FieldSet, right: FieldSet) -> FieldSet:
    """All that is in the first and not in the second."""
    if not right:
        return left
    out: FieldSet = {}
    for element, node in left.items():
        other = right.get(element)
        if other is None or element == SELF:
            if element != SELF or SELF not in right:
                out[element] = node
            continue
        rest = _without(node, other)
        if rest is not None:
            out[element] = rest
    return out


def _without(node: FieldSet, other: FieldSet) -> FieldSet | None:
    """What is left of a node, None if that is nothing."""
    member = is_member(node) and not is_member(other)
    children = {element: child for element, child in node.items() if element != SELF}
    left = difference(children, {element: child for element, child in other.items() if element != SELF})
    if member:
        return {SELF: {}, **left} if left else {}
    return left or None


def intersection(left: FieldSet, right: FieldSet) -> FieldSet:
    """All that is in both."""
    out: FieldSet = {}
    for element, node in left.items():
        other = right.get(element)
        if other is None or element == SELF:
            continue
        member = is_member(node) and is_member(other)
        children = intersection(node, other)
        if member:
            out[element] = {SELF: {}, **children} if children else {}
        elif children:
            out[element] = children
    return out


def paths(node: FieldSet, prefix: str = "") -> list[str]:
    """The members as messages name them, sorted as the server sorts them: ``.spec.ports[port=80].name``."""
    out: list[str] = []
    for element, child in sorted(node.items()):
        if element == SELF:
            continue
        path = prefix + _shown(element)
        if is_member(child):
            out.append(path)
        out += paths(child, path)
    return out


@lru_cache(4096)
def _shown(element: str) -> str:
    kind, _, rest = element.partition(":")
    if kind == "f":
        return f".{rest}"
    if kind == "k":
        keys = json.loads(rest)
        shown = ",".join(f"{name}={json.dumps(value)}" for name, value in sorted(keys.items()))
        return f"[{shown}]"
    return f"[={rest}]" if kind == "v" else f"[{rest}]"


def key_element(keys: tuple[str, ...], item: dict[str, Any], defaults: Mapping[str, Any]) -> str:
    """The element of an item of a list with keys; without the keys that it has not even by default."""
    if len(keys) == 1:
        value = item.get(keys[0])
        if type(value) is str:
            return _text_key(keys[0], value)
    if defaults:
        item = {**defaults, **item}
    present = {key: item[key] for key in sorted(keys) if key in item}
    return "k:" + json.dumps(present, separators=(",", ":"), ensure_ascii=False)


@lru_cache(4096)
def _text_key(key: str, value: str) -> str:
    return f"k:{{{json.dumps(key)}:{json.dumps(value, ensure_ascii=False)}}}"


def value_element(item: Any) -> str:
    """The element of an item of a set."""
    return "v:" + json.dumps(item, separators=(",", ":"), ensure_ascii=False, sort_keys=True)
