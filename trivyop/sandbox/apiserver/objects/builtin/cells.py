"""Cells: what the rows of all tables are made of.

Promises: an object that lacks all that is optional has cells, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from trivyop.sandbox.apiserver.objects import durations
from trivyop.sandbox.apiserver.objects.plain import fields_at, list_at
from trivyop.sandbox.apiserver.objects.selecting import shown

Obj = dict[str, Any]
Printer = Callable[[Obj, datetime], list[Any]]

NONE: Final = "<none>"
UNKNOWN: Final = "<unknown>"


def name_of(obj: Obj) -> str:
    return obj["metadata"]["name"]


def age_of(obj: Obj, now: datetime) -> str:
    """How long ago the object was created."""
    return durations.age(obj["metadata"].get("creationTimestamp"), now)


def spec_of(obj: Obj) -> Obj:
    return fields_at(obj, "spec")


def status_of(obj: Obj) -> Obj:
    return fields_at(obj, "status")


def joined(values: Iterable[str]) -> str:
    """Values with commas, or that there is none."""
    return ",".join(values) or NONE


def pairs(labels: Mapping[str, str] | None) -> str:
    """Labels as text, sorted."""
    return joined(f"{key}={value}" for key, value in sorted((labels or {}).items()))


def containers(template: Obj | None) -> list[str]:
    """The names and the images of a template's containers."""
    containers = list_at(template or {}, "spec", "containers")
    return [",".join(c.get(part, "") for c in containers) for part in ("name", "image")]


def selector(spec: Obj) -> str:
    """An object's selector as text."""
    selector = spec.get("selector")
    return "<unset>" if selector is None else shown(selector) or NONE
