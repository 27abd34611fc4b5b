"""Matching an answer against a recorded one that holds placeholders.

``Bindings`` remembers what numbered placeholders stand for; ``differences`` says where two JSON values part.
The rules are those of ``transcripts/README.md``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

_PLACEHOLDER = re.compile(r"\$\{(\w+)(?::(\d+))?\}")
_TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d"
_PATTERNS = {
    "uid": r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
    "rv": r"[1-9]\d*",
    "lrv": r"[1-9]\d*",
    "time": _TIME + "Z",
    "ctime": _TIME + "Z",
    "microtime": _TIME + r"\.\d{6}Z",
    "suffix": r"[a-z0-9]{5}",
    "hash": r"[a-z0-9]{5,10}",
    "continue": r"\S+",
    "token": r"\S+",
    "age": r"(?:\d+[smhdy])+",
    "int": r"\d+",
    "any": r"(?s:.*)",
}
_DISTINCT = ("uid", "suffix")
_AROUND_NOW = timedelta(hours=1)


class Bindings:
    """What the numbered placeholders of one scenario stand for."""

    def __init__(self) -> None:
        self._values: dict[tuple[str, int], str] = {}

    def fill(self, text: str) -> str:
        """Put values in place of placeholders; each must be bound."""

        def value(match: re.Match[str]) -> str:
            name, number = match[1], int(match[2] or 0)
            return "x" * number if name == "fill" else self._values[name, number]

        return _PLACEHOLDER.sub(value, text)

    def fill_in(self, value: Any) -> Any:
        """Fill every string (and key) of a JSON value."""
        match value:
            case str():
                return self.fill(value)
            case list():
                return [self.fill_in(item) for item in value]
            case dict():
                return {self.fill(key): self.fill_in(item) for key, item in value.items()}
            case _:
                return value

    def matches(self, template: str, text: str) -> bool:
        """Return whether ``text`` fits; binds what it binds if so."""
        pattern, groups = "", dict[str, tuple[str, int]]()
        at = 0
        for placeholder in _PLACEHOLDER.finditer(template):
            pattern += re.escape(template[at : placeholder.start()])
            at = placeholder.end()
            name, number = placeholder[1], placeholder[2]
            bound = self._values.get((name, int(number))) if number else None
            if bound is not None:
                pattern += re.escape(bound)
            else:
                group = f"g{len(groups)}"
                groups[group] = (name, int(number) if number else -1)
                pattern += f"(?P<{group}>{_PATTERNS[name]})"
        found = re.fullmatch(pattern + re.escape(template[at:]), text)
        if found is None:
            return False
        return all(self._take(name, number, found[group]) for group, (name, number) in groups.items())

    def _take(self, name: str, number: int, value: str) -> bool:
        if name in ("time", "ctime") and not _is_around_now(value):
            return False
        if number < 0:
            return True
        others = {n: v for (kind, n), v in self._values.items() if kind == name and n != number}
        if name in _DISTINCT and value in others.values():
            return False
        if name == "rv" and not all((n < number) == (int(v) < int(value)) for n, v in others.items()):
            return False
        self._values[name, number] = value
        return True


def _is_around_now(value: str) -> bool:
    return abs(datetime.strptime(value, "%Y-%m-%dT%H:%M:%S%z") - datetime.now(UTC)) < _AROUND_NOW


def differences(
    expected: Any, actual: Any, bindings: Bindings, contains: Mapping[str, str] | None = None
) -> list[str]:
    """Return where ``actual`` departs from ``expected``; ``contains`` as a step has it."""
    found: list[str] = []
    _compare(expected, actual, bindings, contains or {}, "$", found)
    return found


def _compare(
    expected: Any, actual: Any, bindings: Bindings, contains: Mapping[str, str], path: str, found: list[str]
) -> None:
    match expected:
        case dict():
            if not isinstance(actual, dict):
                found.append(f"{path}: expected an object, got {actual!r}")
                return
            _compare_objects(expected, actual, bindings, contains, path, found)
        case list():
            if not isinstance(actual, list):
                found.append(f"{path}: expected an array, got {actual!r}")
            elif key := contains.get(re.sub(r"\[\d+\]", "[*]", path)):
                _compare_some(expected, actual, bindings, contains, path, key, found)
            elif len(expected) != len(actual):
                found.append(f"{path}: {len(actual)} elements, not {len(expected)}: {actual!r}"[:2000])
            else:
                for n, (left, right) in enumerate(zip(expected, actual, strict=True)):
                    _compare(left, right, bindings, contains, f"{path}[{n}]", found)
        case "${any}":
            pass
        case str():
            if not isinstance(actual, str) or not bindings.matches(expected, actual):
                found.append(f"{path}: expected {expected!r}, got {actual!r}")
        case _:
            same_kind = isinstance(expected, bool) == isinstance(actual, bool)
            if not same_kind or expected != actual:
                found.append(f"{path}: expected {expected!r}, got {actual!r}")


def _compare_objects(
    expected: dict[str, Any],
    actual: dict[str, Any],
    bindings: Bindings,
    contains: Mapping[str, str],
    path: str,
    found: list[str],
) -> None:
    left = dict(actual)
    for key, value in expected.items():
        actual_key = key
        if "${" in key:
            actual_key = next((k for k in left if k not in expected and bindings.matches(key, k)), key)
        if actual_key not in left:
            found.append(f"{path}.{key}: missing, expected {value!r}"[:500])
        else:
            _compare(value, left.pop(actual_key), bindings, contains, f"{path}.{key}", found)
    found.extend(f"{path}.{key}: not expected: {value!r}"[:500] for key, value in left.items())


def _compare_some(
    expected: list[Any],
    actual: list[Any],
    bindings: Bindings,
    contains: Mapping[str, str],
    path: str,
    key: str,
    found: list[str],
) -> None:
    for n, item in enumerate(expected):
        wanted = values_at(item, key)
        same = [other for other in actual if values_at(other, key) == wanted]
        if len(same) != 1:
            found.append(f"{path}: {len(same)} elements with {key} = {wanted}")
        else:
            _compare(item, same[0], bindings, contains, f"{path}[{n}]", found)


def _steps(path: str) -> list[str]:
    """Split ``$.a['b c'][*][2]`` into a, b c, [*], [2]."""
    parts = re.findall(r"\.([^.\[]+)|\['([^']*)'\]|(\[(?:\d+|\*)\])", path)
    return [name or quoted or index for name, quoted, index in parts]


def values_at(value: Any, path: str) -> list[Any]:
    """Return what lies at a path; several values if it has ``[*]``, none if it leads nowhere."""
    values = [value]
    for step in _steps(path):
        following: list[Any] = []
        for item in values:
            if step == "[*]":
                following.extend(item if isinstance(item, list) else [])
            elif step.startswith("["):
                index = int(step[1:-1])
                following.extend(item[index : index + 1] if isinstance(item, list) else [])
            elif isinstance(item, dict) and step in item:
                following.append(item[step])
        values = following
    return values


def remove_at(value: Any, path: str) -> None:
    """Remove what lies at a path; an element named by its index becomes null."""
    *parents, last = _steps(path)
    for parent in values_at(value, "$" + "".join(_spelled(step) for step in parents)):
        if last == "[*]" and isinstance(parent, list):
            parent.clear()
        elif last.startswith("[") and isinstance(parent, list) and int(last[1:-1]) < len(parent):
            parent[int(last[1:-1])] = None
        elif isinstance(parent, dict):
            parent.pop(last, None)


def _spelled(step: str) -> str:
    return step if step.startswith("[") else f"['{step}']"


def sort_at(value: Any, path: str, by: str) -> None:
    """Sort the arrays at ``path`` by the string at ``by`` of each element."""
    for array in values_at(value, path):
        if isinstance(array, list):
            array.sort(key=lambda item: str(next(iter(values_at(item, by)), "")))


def treat_managed_fields(value: Any, *, keep: bool) -> None:
    """Drop ``managedFields`` from every metadata, or sort them."""
    if isinstance(value, list):
        for item in value:
            treat_managed_fields(item, keep=keep)
    elif isinstance(value, dict):
        metadata = value.get("metadata")
        if isinstance(metadata, dict) and "managedFields" in metadata:
            if keep:
                parts = ("manager", "operation", "subresource", "apiVersion")
                metadata["managedFields"].sort(key=lambda entry: [entry.get(part, "") for part in parts])
            else:
                del metadata["managedFields"]
        for item in value.values():
            treat_managed_fields(item, keep=keep)
