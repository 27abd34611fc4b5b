"""Fields: what a container may learn of its own Pod (``fieldRef``, ``resourceFieldRef``). Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Any, cast

from trivyop.sandbox.changes import Json, part

_MAP_FIELD = re.compile(r"metadata\.(labels|annotations)(?:\['(?P<key>.+)'\])?$")
_SUFFIXES = {
    "m": Fraction(1, 1000),
    "k": 10**3,
    "M": 10**6,
    "G": 10**9,
    "T": 10**12,
    "Ki": 2**10,
    "Mi": 2**20,
    "Gi": 2**30,
    "Ti": 2**40,
}


def field_value(pod: Mapping[str, Any], path: str) -> str:
    """The value of a ``fieldPath``; empty if it is not there or not known here."""
    if found := _MAP_FIELD.match(path):
        values = part(part(pod, "metadata"), found.group(1))
        if key := found.group("key"):
            return str(values.get(key, ""))
        return "\n".join(f'{name}="{_escape(value)}"' for name, value in sorted(values.items()))
    value: Any = pod
    for name in path.split("."):
        if not isinstance(value, dict):
            return ""
        value = cast("Json", value).get("podIP" if name == "podIPs" else name)
    return "" if value is None else str(value)


def resource_value(container: Mapping[str, Any], reference: Mapping[str, Any]) -> str:
    """The value of a ``resourceFieldRef``, in its divisor, rounded up; "0" for what is not set."""
    kind, _, name = str(reference["resource"]).partition(".")
    resources = part(container, "resources")
    text = part(resources, kind).get(name) or part(resources, "limits").get(name) or "0"
    divisor = quantity(str(reference.get("divisor") or "1")) or Fraction(1)
    return str(math.ceil(quantity(str(text)) / divisor))


def quantity(text: str) -> Fraction:
    """Read a Kubernetes quantity: "500m", "1Gi", "2"."""
    for suffix in sorted(_SUFFIXES, key=len, reverse=True):
        if text.endswith(suffix):
            return Fraction(text.removesuffix(suffix)) * _SUFFIXES[suffix]
    return Fraction(text)


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
