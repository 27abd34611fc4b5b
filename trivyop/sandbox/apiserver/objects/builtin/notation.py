r"""Notation: the tables of fields of the built-in kinds, and how they become schemas.

A table is text. A line ``# apps`` opens a section, a paragraph ``Name: field, field`` declares a struct:

    Container: name!, image, ports [ContainerPort] map(containerPort protocol) patch(containerPort),
        livenessProbe *Probe, stdin bool, env {string}

``name`` alone is a string. ``[T]`` is a list, ``{T}`` a map from strings. A field is left out when it is
empty, except: ``name!`` is always written, ``*T`` is written whenever it was set (it is a pointer in the
server), and a struct without a star is always there, unless it is marked ``name?``. How lists merge:
``map(keys)`` and ``set`` in server-side apply, ``patch(key)`` and ``merge`` in strategic merge patches,
``retainKeys`` there too. ``default(x)`` is what a key counts as where an item leaves it out. ``atomic`` after
a map, or after a struct's own name, gives it one owner.

Names are looked up in the section, then in ``core`` and ``meta``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from trivyop.sandbox.apiserver.objects.schema import Schema, defaults_of_keys

if TYPE_CHECKING:
    from collections.abc import Iterable

_SCALARS: Final = {
    "string": ("string", ""),
    "bool": ("boolean", ""),
    "int32": ("integer", "int32"),
    "int64": ("integer", "int64"),
    "float": ("number", "double"),
    "bytes": ("string", "byte"),
    "Time": ("string", "date-time"),
    "MicroTime": ("string", "micro-time"),
    "Quantity": ("string", "quantity"),
    "IntOrString": ("", "int-or-string"),
    "any": ("", "any"),
    # In definitions of custom resources; written by hand there, so a schema's own words stay as they are.
    "JSONSchemaPropsOrArray": ("", "any"),
    "JSONSchemaPropsOrBool": ("", "any"),
    "JSONSchemaPropsOrStringArray": ("", "any"),
}
# Structs as far as Go is concerned: written even when empty.
_STRUCT_FORMATS: Final = frozenset({"date-time", "micro-time", "quantity", "int-or-string"})
_ELSEWHERE: Final = ("core", "meta", "autoscaling")
_FIELD: Final = re.compile(r"(?P<name>[\w$-]+)(?P<mark>[!?]?)(?: (?P<type>\*?[\[{]*\w+[\]}]*))?(?P<marks>.*)")


class Tables:
    """All tables together; ``struct`` makes each schema once, so recursive structs work."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._texts: dict[tuple[str, str], tuple[bool, str]] = {}
        self._made: dict[tuple[str, str], Schema] = {}
        for text in texts:
            self._index(text)

    def struct(self, section: str, name: str) -> Schema:
        """The schema of a struct; ``KeyError`` if no table has it."""
        key = next(
            (place, name) for place in (section, *_ELSEWHERE, "") if not place or (place, name) in self._texts
        )
        if key not in self._made:
            atomic, fields = self._texts[key]
            schema = self._made[key] = Schema(type="object", go=name, section=key[0], atomic=atomic)
            self._fill(schema, key[0], fields)
        return self._made[key]

    def structs(self) -> list[tuple[str, str]]:
        """(section, name) of every struct."""
        return list(self._texts)

    def _index(self, text: str) -> None:
        section = ""
        for line in text.replace("\n    ", " ").splitlines():
            if line.startswith("# "):
                section = line[2:]
            elif line:
                head, _, fields = line.partition(":")
                name, _, word = head.partition(" ")
                self._texts[section, name] = (word == "atomic", fields.strip())

    def _fill(self, schema: Schema, section: str, fields: str) -> None:
        always: set[str] = set()
        pointers: set[str] = set()
        required: list[str] = []
        for text in filter(None, fields.split(", ")):
            found = _FIELD.fullmatch(text)
            if found is None:
                raise ValueError(f"{schema.go}: {text!r} is not a field")
            name, mark, kind = found["name"], found["mark"], found["type"] or "string"
            child = _with_marks(self._type(section, kind.lstrip("*")), found["marks"])
            schema.properties[name] = child
            if mark == "!":
                required.append(name)
            struct = (bool(child.go) or child.format in _STRUCT_FORMATS) and not kind.startswith("*")
            if mark == "!" or (struct and mark != "?"):
                always.add(name)
            if kind.startswith("*") or kind == "any":
                pointers.add(name)
        schema.always = frozenset(always)
        schema.pointers = frozenset(pointers)
        schema.required = tuple(required)

    def _type(self, section: str, kind: str) -> Schema:
        if kind.startswith("["):
            return Schema(type="array", items=self._type(section, kind[1:-1]))
        if kind.startswith("{"):
            return Schema(type="object", additional=self._type(section, kind[1:-1]))
        if kind in _SCALARS:
            type_, format_ = _SCALARS[kind]
            return Schema(
                type=type_,
                format=format_,
                int_or_string=format_ == "int-or-string",
                preserve_unknown=format_ == "any",
            )
        return self.struct(section, kind)


def _with_marks(child: Schema, marks: str) -> Schema:
    """Lists and maps have a schema for each field, so their marks can go there."""
    if keys := re.search(r"map\(([^)]*)\)", marks):
        child.list_type, child.list_keys = "map", tuple(keys[1].split())
    if key := re.search(r"patch\((\w+)\)", marks):
        child.merges, child.merge_key = True, key[1]
    if default := re.search(r"default\((\w+)\)", marks):
        child.default = default[1]
    child.key_defaults = defaults_of_keys(child)
    words = re.sub(r"\w+\([^)]*\)", "", marks).split()
    if "set" in words:
        child.list_type = "set"
    if "merge" in words:
        child.merges = True
    if "retainKeys" in words:
        child.retain_keys = True
    if "atomic" in words and not child.go:
        child.atomic = True
    return child
