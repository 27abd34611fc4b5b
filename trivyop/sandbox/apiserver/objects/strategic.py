"""Strategic merge patches: merge patches that know the schema, and so merge lists by key.

Directives in the patch: ``$patch`` (replace, delete, merge), ``$deleteFromPrimitiveList/x``,
``$setElementOrder/x``, ``$retainKeys``.

Promises: the original stays as it is. Order as in the server: items of the patch come in the patch's order,
items that it does not mention stay between them, where they were.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from trivyop.sandbox.apiserver.objects.merging import ANYTHING
from trivyop.sandbox.apiserver.objects.plain import is_list, is_object
from trivyop.sandbox.apiserver.objects.refusals import internal_error

if TYPE_CHECKING:
    from trivyop.sandbox.apiserver.objects.schema import Schema

_PATCH: Final = "$patch"
_RETAIN: Final = "$retainKeys"
_DELETE: Final = "$deleteFromPrimitiveList/"
_ORDER: Final = "$setElementOrder/"


def strategic_patch(schema: Schema, document: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """The document with the patch laid over it; raises ``Refused`` (500) for an item without merge key."""
    directive = patch.get(_PATCH)
    if directive == "replace":
        return {name: value for name, value in patch.items() if name != _PATCH}
    if directive == "delete":
        return {}
    if directive not in (None, "merge"):
        raise internal_error(f"invalid value for patch directive: {directive}")
    out = dict(document)
    kept = patch.get(_RETAIN)
    if is_list(kept):
        out = {name: value for name, value in out.items() if name in kept}
    orders: dict[str, list[Any]] = {}
    for name, value in patch.items():
        if name in (_PATCH, _RETAIN):
            continue
        if name.startswith(_DELETE):
            field = name.removeprefix(_DELETE)
            gone = value
            if isinstance(out.get(field), list):
                out[field] = [item for item in out[field] if item not in gone]
        elif name.startswith(_ORDER):
            orders[name.removeprefix(_ORDER)] = value
        elif value is None:
            out.pop(name, None)
        else:
            child = schema.properties.get(name) or schema.additional or ANYTHING
            out[name] = _merged(child, out.get(name), value)
    for field, order in orders.items():
        if isinstance(out.get(field), list):
            child = schema.properties.get(field) or ANYTHING
            out[field] = _ordered(child, out[field], order)
    return out


def _merged(schema: Schema, live: Any, patch: Any) -> Any:
    if is_object(patch):
        entries = patch
        base = live if is_object(live) else {}
        return strategic_patch(schema, base, entries)
    if is_list(patch):
        items = patch
        base = live if is_list(live) else []
        if not schema.merges:
            return [_clean(item) for item in items if not _is_directive(item)]
        return _merge_objects(schema, base, items) if schema.merge_key else _merge_scalars(base, items)
    return patch


def _merge_scalars(live: list[Any], patch: list[Any]) -> list[Any]:
    """Both, without doubles: the patch's items first."""
    return patch + [item for item in live if item not in patch]


def _merge_objects(schema: Schema, live: list[Any], patch: list[Any]) -> list[Any]:
    key, items = schema.merge_key, schema.items or ANYTHING
    directives = [item for item in patch if _is_directive(item)]
    if any(item[_PATCH] == "replace" for item in directives):
        return [_clean(item) for item in patch if not _is_directive(item)]
    merged: dict[str, Any] = {_mark(item, key): item for item in live}
    mentioned: list[str] = []
    for item in patch:
        if _is_directive(item):
            continue
        mark = _mark(item, key)
        entry = item
        if entry.get(_PATCH) == "delete":
            merged.pop(mark, None)
        elif entry.get(_PATCH) == "replace":
            merged[mark] = _clean(entry)
            mentioned.append(mark)
        else:
            merged[mark] = strategic_patch(items, merged.get(mark) or {}, entry)
            mentioned.append(mark)
    return [
        merged[mark]
        for mark in _interleaved([_mark(item, key) for item in live if _mark(item, key) in merged], mentioned)
    ]


def _ordered(schema: Schema, items: list[Any], order: list[Any]) -> list[Any]:
    key = schema.merge_key
    by_mark = {_mark(item, key): item for item in items}
    wanted = [mark for mark in (_mark(item, key) for item in order) if mark in by_mark]
    return [by_mark[mark] for mark in _interleaved(list(by_mark), wanted)]


def _interleaved(live: list[str], patch: list[str]) -> list[str]:
    """The patch's order, with each other item before the item of the patch that it stood before.

    New items of the patch come right after the one that precedes them there, before what followed it.
    """
    position = {mark: at for at, mark in enumerate(live)}
    others = [mark for mark in live if mark not in set(patch)]
    out: list[str] = []
    for mark in dict.fromkeys(patch):
        if mark in position:
            while others and position[others[0]] < position[mark]:
                out.append(others.pop(0))
        out.append(mark)
    return out + others


def _mark(item: Any, key: str) -> str:
    """What identifies an item: its merge key's value, or itself in a list of scalars."""
    if not key:
        return json.dumps(item, sort_keys=True)
    if not is_object(item):
        raise internal_error(f"{_shown(item)} is not an object")
    entry = item
    if key not in entry:
        raise internal_error(f"map: {_shown(entry)} does not contain declared merge key: {key}")
    return json.dumps(entry[key])


def _is_directive(item: Any) -> bool:
    """Whether an item of a list is about the list itself."""
    return is_object(item) and set(item) == {_PATCH}


def _clean(value: Any) -> Any:
    """A value that replaces: without directives, and nulls say nothing."""
    if is_object(value):
        return {
            name: _clean(item)
            for name, item in value.items()
            if item is not None and not name.startswith((_PATCH, _RETAIN, _DELETE, _ORDER))
        }
    return value


def _shown(value: Any) -> str:
    """A value as Go prints it."""
    if is_object(value):
        entries = value
        return f"map[{' '.join(f'{name}:{_shown(entries[name])}' for name in sorted(entries))}]"
    if is_list(value):
        return f"[{' '.join(_shown(item) for item in value)}]"
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "<nil>"}[value]
    return str(value)
