"""Patches that know no schema: JSON patch (RFC 6902) and JSON merge patch (RFC 7386).

Promises: the patched document shares nothing with the original that anyone changes later; the original stays
as it is. Whatever can not be carried out is refused as the server refuses it.
Not here: strategic merge patches (``strategic``), server-side apply (``fieldmanager``).
"""

from __future__ import annotations

import copy
from typing import Any, Final, cast

from trivyop.sandbox.apiserver.objects.plain import is_list, is_object
from trivyop.sandbox.apiserver.objects.refusals import bad_request, rejected

_MAX_OPERATIONS: Final = 10_000


def merge_patch(document: Any, patch: Any) -> Any:
    """RFC 7386: null deletes, objects merge, all else replaces."""
    if not is_object(patch):
        return patch
    out: dict[str, Any] = dict(document) if is_object(document) else {}
    for name, value in patch.items():
        if value is None:
            out.pop(name, None)
        else:
            out[name] = merge_patch(out.get(name), value)
    return out


def json_patch(document: Any, operations: Any) -> Any:
    """RFC 6902. Raises ``Refused``: 400 for what is not a patch, 422 for one that can not be carried out."""
    if not is_list(operations):
        raise bad_request(
            f"error decoding patch: json: cannot unmarshal {_go_name(operations)} into Go value of type"
            " []handlers.jsonPatchOp"
        )
    if len(operations) > _MAX_OPERATIONS:
        raise rejected()
    holder = {"": copy.deepcopy(document)}
    for operation in operations:
        if not is_object(operation):
            raise rejected()
        _carry_out(holder, operation)
    return holder[""]


def _carry_out(holder: dict[str, Any], operation: dict[str, Any]) -> None:
    path = _split(operation.get("path"))
    match operation.get("op"):
        case "add":
            _add(holder, path, copy.deepcopy(_value(operation)))
        case "replace":
            _remove(holder, path)
            _add(holder, path, copy.deepcopy(_value(operation)))
        case "remove":
            _remove(holder, path)
        case "move":
            source = _split(operation.get("from"))
            value = _get(holder, source)
            _remove(holder, source)
            _add(holder, path, value)
        case "copy":
            _add(holder, path, copy.deepcopy(_get(holder, _split(operation.get("from")))))
        case "test":
            if not _same(_get(holder, path, absent=None), operation.get("value")):
                raise rejected()
        case _:
            raise rejected()


def _value(operation: dict[str, Any]) -> Any:
    if "value" not in operation:
        raise rejected()
    return operation["value"]


def _split(pointer: Any) -> list[str]:
    """The pointer's parts below the document, which itself is at ""."""
    if not isinstance(pointer, str) or (pointer and not pointer.startswith("/")):
        raise rejected()
    return [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")]


_RAISE: Final = object()


def _get(holder: dict[str, Any], path: list[str], absent: Any = _RAISE) -> Any:
    try:
        parent = _parent(holder, path)
        return parent[_index(parent, path[-1])] if is_list(parent) else parent[path[-1]]
    except (KeyError, IndexError):
        if absent is _RAISE:
            raise rejected() from None
        return absent


def _parent(holder: dict[str, Any], path: list[str]) -> Any:
    value: Any = holder
    for part in path[:-1]:
        if is_list(value):
            value = value[_index(value, part)]
        elif is_object(value):
            value = value[part]
        else:
            raise KeyError(part)
    if not isinstance(value, (dict, list)):
        raise KeyError(path[-1])
    return cast("Any", value)


def _index(items: list[Any], part: str) -> int:
    if not part.lstrip("-").isdigit():
        raise KeyError(part)
    index = int(part)
    if index < 0 and -index > len(items):
        raise IndexError(part)
    return index


def _add(holder: dict[str, Any], path: list[str], value: Any) -> None:
    try:
        parent = _parent(holder, path)
        if is_object(parent):
            parent[path[-1]] = value
            return
        items = parent
        at = len(items) if path[-1] == "-" else _index(items, path[-1])
    except (KeyError, IndexError):
        raise rejected() from None
    if at > len(items):
        raise rejected()
    items.insert(at, value)


def _remove(holder: dict[str, Any], path: list[str]) -> None:
    try:
        parent = _parent(holder, path)
        if is_object(parent):
            del parent[path[-1]]
        else:
            del parent[_index(parent, path[-1])]
    except (KeyError, IndexError):
        raise rejected() from None


def _same(left: Any, right: Any) -> bool:
    """Equality of JSON values: a number is not a boolean."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if is_object(left) and is_object(right):
        ours, theirs = left, right
        return ours.keys() == theirs.keys() and all(_same(ours[name], theirs[name]) for name in ours)
    if is_list(left) and is_list(right):
        pairs = zip(left, right, strict=False)
        return len(left) == len(right) and all(_same(a, b) for a, b in pairs)
    return left == right


def _go_name(value: Any) -> str:
    if is_object(value):
        return "object"
    if isinstance(value, bool):
        return "bool"
    return "string" if isinstance(value, str) else "number"
