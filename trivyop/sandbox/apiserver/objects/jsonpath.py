r"""JSONPath, as far as printer columns use it.

``.a.b``, ``.a['b.c']``, ``.a\.b``, ``.list[0]``, ``.list[-1]``, ``.list[*]``, ``.list[1:3]`` and
``.list[?(@.type=="Ready")]`` with ``==`` and ``!=``; in braces or not.

Promises: a path that finds nothing gives nothing, and so does one that can not be read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, Final

from trivyop.sandbox.apiserver.objects.plain import is_list, is_object

_Step = Callable[[Any], Iterable[Any]]

_TOKEN: Final = re.compile(
    r"\.?(?P<name>(?:[^.\[\]\\{}]|\\.)+)"
    r"|\['(?P<quoted>[^']*)'\]"
    r"|\[(?P<index>-?\d+)\]"
    r"|\[(?P<all>\*)\]"
    r"|\[(?P<start>-?\d*):(?P<end>-?\d*)\]"
    r"|\[\?\(\s*@(?P<path>[^=!)]*?)\s*(?P<operator>==|!=)\s*(?P<value>[^)]*?)\s*\)\]"
)


def find(path: str, value: Any) -> list[Any]:
    """All values at the path."""
    found = [value]
    for step in _steps(path):
        found = [item for one in found for item in step(one)]
    return found


@lru_cache(1024)
def _steps(path: str) -> tuple[_Step, ...]:
    text = path.strip().removeprefix("{").removesuffix("}").removeprefix("$")
    steps: list[_Step] = []
    at = 0
    while at < len(text) and text[at:] != ".":
        token = _TOKEN.match(text, at)
        if token is None:
            return (lambda _value: (),)
        steps.append(_step(token))
        at = token.end()
    return tuple(steps)


def _step(token: re.Match[str]) -> _Step:
    if (name := token["name"]) is not None:
        name = re.sub(r"\\(.)", r"\1", name)
        return _children if name == "*" else _field(name)
    if (name := token["quoted"]) is not None:
        return _field(name)
    if token["index"] is not None:
        index = int(token["index"])
        return lambda value: _slice(value, index, index + 1 if index != -1 else None)
    if token["all"] is not None:
        return _children
    if token["operator"] is not None:
        return _filter(token["path"], token["operator"], token["value"])
    start = int(token["start"]) if token["start"] else None
    end = int(token["end"]) if token["end"] else None
    return lambda value: _slice(value, start, end)


def _field(name: str) -> _Step:
    def step(value: Any) -> Iterable[Any]:
        if is_object(value) and name in value:
            yield value[name]

    return step


def _children(value: Any) -> Iterable[Any]:
    if is_object(value):
        return value.values()
    return value if is_list(value) else ()


def _slice(value: Any, start: int | None, end: int | None) -> Iterable[Any]:
    return value[start:end] if is_list(value) else ()


def _filter(path: str, operator: str, literal: str) -> _Step:
    try:
        wanted = json.loads(f'"{literal[1:-1]}"' if literal[:1] == "'" else literal)
    except ValueError:
        wanted = literal

    def step(value: Any) -> Iterable[Any]:
        for item in value if is_list(value) else ():
            if (wanted in find(path, item)) == (operator == "=="):
                yield item

    return step
