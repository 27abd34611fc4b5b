"""Decoding: bytes of a body into a JSON value, noticing what Go's strict decoders notice.

Promises: duplicate keys are found and named by their path; errors are said in Go's words.
Not here: what a kind makes of the value (``reading``).
"""

from __future__ import annotations

import json
import re
from typing import Any, Final, NoReturn

import yaml

from trivyop.sandbox.apiserver.objects.plain import is_list, is_object

JSON: Final = "application/json"
YAML: Final = "application/yaml"
APPLY: Final = "application/apply-patch+yaml"

_WHITE: Final = " \t\n\r"


class _Doubled(dict[str, Any]):
    """An object in which a key came twice."""

    keys_twice: list[str]


def decode_strict(body: bytes) -> tuple[Any, list[str]]:
    """A JSON value (the last of several equal keys counts), and the paths of keys that came twice.

    Raises ``ValueError`` with the message of Go's decoder.
    """
    found: list[_Doubled] = []

    def collect(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        obj = dict(pairs)
        if len(obj) == len(pairs):
            return obj
        doubled = _Doubled(obj)
        seen: set[str] = set()
        doubled.keys_twice = [key for key, _ in pairs if key in seen or seen.add(key)]
        found.append(doubled)
        return doubled

    try:
        text = body.decode()
    except UnicodeDecodeError:
        text = body.decode(errors="replace")
    try:
        value = json.loads(text, object_pairs_hook=collect, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise ValueError(_in_go(error)) from None
    except RecursionError:
        raise ValueError("exceeded max depth") from None
    return (json.loads(text), _paths_of_doubles(value)) if found else (value, [])


def _no_constant(name: str) -> NoReturn:
    raise json.JSONDecodeError("Expecting value", name, 0)


def _paths_of_doubles(value: Any, path: str = "") -> list[str]:
    out: list[str] = []
    if is_object(value):
        entries = value
        if isinstance(value, _Doubled):
            out += [f"{path}.{key}".lstrip(".") for key in value.keys_twice]
        for key, item in entries.items():
            out += _paths_of_doubles(item, f"{path}.{key}".lstrip("."))
    elif is_list(value):
        for index, item in enumerate(value):
            out += _paths_of_doubles(item, f"{path}[{index}]")
    return out


def _in_go(error: json.JSONDecodeError) -> str:
    """Python's complaint about JSON as Go would have made it."""
    text, at = error.doc, error.pos
    while at < len(text) and text[at] in _WHITE:
        at += 1
    if at >= len(text) or error.msg.startswith("Unterminated string"):
        return "unexpected end of JSON input"
    char = {"'": "'\\''", "\n": "'\\n'"}.get(text[at], f"'{text[at]}'")
    if error.msg.startswith("Expecting value"):
        return f"invalid character {char} looking for beginning of value"
    if error.msg.startswith("Expecting property name"):
        return f"invalid character {char} looking for beginning of object key string"
    if error.msg.startswith("Expecting ':'"):
        return f"invalid character {char} after object key"
    if error.msg.startswith("Expecting ','"):
        what = "object key:value pair" if _inside_object(text[: error.pos]) else "array element"
        return f"invalid character {char} after {what}"
    if error.msg.startswith("Extra data"):
        return f"invalid character {char} after top-level value"
    if error.msg.startswith("Invalid control character"):
        return f"invalid character {char} in string literal"
    return f"invalid character {char} in string escape code"


def _inside_object(text: str) -> bool:
    """Whether the innermost thing still open at the end of ``text`` is an object."""
    opened: list[str] = []
    for word in re.findall(r'"(?:\\.|[^"\\])*"|[{}\[\]]', text):
        if word in "{[":
            opened.append(word)
        elif word in "}]" and opened:
            opened.pop()
    return bool(opened) and opened[-1] == "{"


class _Loader(yaml.CSafeLoader):
    """YAML as JSON sees it: no dates, no sexagesimal numbers, and keys are strings."""

    doubles: list[str]


_RESOLVERS: Final = {
    char: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for char, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}
_Loader.yaml_implicit_resolvers = _RESOLVERS


def _construct_map(loader: _Loader, node: yaml.MappingNode) -> dict[str, Any]:
    loader.flatten_mapping(node)
    out: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key: Any = loader.construct_object(key_node, deep=True)  # pyright: ignore[reportUnknownMemberType]  # untyped stub
        name = key if isinstance(key, str) else json.dumps(key)
        if name in out:
            loader.doubles.append(name)
        out[name] = loader.construct_object(value_node, deep=True)  # pyright: ignore[reportUnknownMemberType]
    return out


def _construct_int(loader: _Loader, node: yaml.ScalarNode) -> Any:
    text = loader.construct_scalar(node)
    return text if ":" in text else yaml.CSafeLoader.construct_yaml_int(loader, node)


def _construct_float(loader: _Loader, node: yaml.ScalarNode) -> Any:
    text = loader.construct_scalar(node)
    return text if ":" in text else yaml.CSafeLoader.construct_yaml_float(loader, node)


_Loader.add_constructor("tag:yaml.org,2002:map", _construct_map)
_Loader.add_constructor("tag:yaml.org,2002:int", _construct_int)
_Loader.add_constructor("tag:yaml.org,2002:float", _construct_float)


def decode_yaml(body: bytes) -> tuple[Any, list[str]]:
    """The value of a YAML document (JSON is YAML too), and keys that came twice.

    Raises ``ValueError`` in the words of the server's YAML reader.
    """
    if body[:1] == b"{":
        try:
            return decode_strict(body)
        except ValueError:
            pass  # flow style YAML that is not JSON
    loader = _Loader(body)
    loader.doubles = []
    try:
        value = loader.get_single_data()
    except yaml.YAMLError as error:
        raise ValueError(_yaml_error(error)) from None
    finally:
        loader.dispose()
    return value, loader.doubles


def _yaml_error(error: yaml.YAMLError) -> str:
    problem = getattr(error, "problem", None) or str(error)
    mark = getattr(error, "problem_mark", None)
    line = max(1, mark.line) if mark is not None else 1
    return f"error converting YAML to JSON: yaml: line {line}: {problem}"
