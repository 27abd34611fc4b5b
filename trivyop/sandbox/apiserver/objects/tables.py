"""Tables: what ``kubectl get`` prints, as the server computes it for ``as=Table``.

Promises: a kind without columns of its own has a name and an age (custom resources) or a name and a time.
Not here: which cells a built-in kind has (``builtin.printing_*``), when a client gets a table.
"""

from __future__ import annotations

import json
import re
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from trivyop.sandbox.apiserver.objects import durations, jsonpath
from trivyop.sandbox.apiserver.objects.builtin.columns import COLUMNS
from trivyop.sandbox.apiserver.objects.builtin.printing_others import OTHERS
from trivyop.sandbox.apiserver.objects.builtin.printing_workloads import WORKLOADS
from trivyop.sandbox.apiserver.objects.kinds import Column
from trivyop.sandbox.apiserver.objects.plain import fields_at

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trivyop.sandbox.apiserver.objects.kinds import Kind, Obj

_NAME: Final = Column(
    "Name",
    "string",
    "Name must be unique within a namespace. Is required when creating resources, although some resources"
    " may allow a client to request the generation of an appropriate name automatically. Name is primarily"
    " intended for creation idempotence and configuration definition. Cannot be updated. More info:"
    " https://kubernetes.io/docs/concepts/overview/working-with-objects/names#names",
    format="name",
)
_CREATED: Final = (
    "CreationTimestamp is a timestamp representing the server time when this object was created. It is not"
    " guaranteed to be set in happens-before order across separate operations. Clients may not set this"
    " value. It is represented in RFC3339 form and is in UTC.\n\nPopulated by the system. Read-only. Null for"
    " lists. More info:"
    " https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata"
)
_AGE: Final = Column("Age", "string", _CREATED)
_AGE_DATE: Final = Column("Age", "date", _CREATED, json_path=".metadata.creationTimestamp")
_CREATED_AT: Final = Column("Created At", "date", _CREATED)
_COMPLETED: Final = {
    phase: {"type": "Completed", "status": "True", "reason": phase, "message": message}
    for phase, message in (
        ("Succeeded", "The pod has completed successfully."),
        ("Failed", "The pod failed."),
    )
}
_LINE: Final = re.compile(
    r"(?P<name>[^:+]+?)(?P<wide>\+?)(?: \((?P<type>integer|boolean)\))?(?:: (?P<text>.*))?"
)


def _read_columns() -> dict[str, tuple[Column, ...]]:
    tables: dict[str, list[Column]] = {}
    plural = ""
    for line in COLUMNS.replace("\n    ", " ").splitlines():
        if line.startswith("# "):
            plural = line[2:]
            tables[plural] = []
            continue
        found = _LINE.fullmatch(line)
        if found is None:
            raise ValueError(f"{plural}: {line!r} is not a column")
        tables[plural].append(_column(found))
    return {plural: tuple(columns) for plural, columns in tables.items()}


def _column(found: re.Match[str]) -> Column:
    priority = 1 if found["wide"] else 0
    if found["name"] == "Name":
        return Column("Name", "string", _NAME.description, priority, "name")
    if found["name"] == "Age":
        return _AGE
    return Column(found["name"], found["type"] or "string", found["text"], priority)


_COLUMNS: Final = _read_columns() | {"clusterrolebindings": _read_columns()["rolebindings"]}


@lru_cache(1024)
def _columns(kind: Kind) -> tuple[Column, ...]:
    if kind.custom:
        return (_NAME, *(kind.columns or (_AGE_DATE,)))
    return _COLUMNS.get(kind.plural) or (_NAME, _CREATED_AT)


def column_definitions(kind: Kind) -> list[dict[str, Any]]:
    """``columnDefinitions`` of the Table."""
    return [
        {
            "name": column.name,
            "type": column.type,
            "format": column.format,
            "description": column.description
            or f"Custom resource definition column (in JSONPath format): {column.json_path}",
            "priority": column.priority,
        }
        for column in _columns(kind)
    ]


def row(kind: Kind, obj: Obj, now: datetime, include: str = "Metadata") -> dict[str, Any]:
    """One row; ``include`` is None, Metadata or Object (``?includeObject=``)."""
    shown = {"None": None, "Object": obj}[include] if include in ("None", "Object") else partial(obj)
    out: dict[str, Any] = {"cells": _cells(kind, obj, now)}
    if (
        kind.plural == "pods"
        and not kind.group
        and (conditions := _COMPLETED.get(fields_at(obj, "status").get("phase", "")))
    ):
        out["conditions"] = [dict(conditions)]
    return {**out, "object": shown}


def _cells(kind: Kind, obj: Obj, now: datetime) -> list[Any]:
    if kind.custom:
        columns = _columns(kind)[1:]
        return [obj["metadata"]["name"], *(_custom_cell(column, obj, now) for column in columns)]
    printer = WORKLOADS.get(kind.plural) or OTHERS.get(kind.plural)
    if printer is None:
        return [obj["metadata"]["name"], obj["metadata"].get("creationTimestamp")]
    return printer(kind.read_from_core(obj), now)


def _custom_cell(column: Column, obj: Obj, now: datetime) -> Any:
    """The first value at the column's path, as a value of the column's type; null if there is none."""
    found = jsonpath.find(column.json_path, obj)
    if not found:
        return None
    value = found[0]
    match column.type:
        case "string":
            return value if isinstance(value, str) else _text(value)
        case "date":
            return _age_of(value, now)
        case "integer":
            return int(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None
        case "number":
            return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None
        case "boolean":
            return value if isinstance(value, bool) else None
        case _:
            return None


def _text(value: Any) -> str | None:
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return str(value).lower()
    return json.dumps(value, separators=(",", ":")) if isinstance(value, (dict, list)) else f"{value}"


def _age_of(value: Any, now: datetime) -> str | None:
    if not isinstance(value, str):
        return None
    try:
        return durations.age(value, now)
    except ValueError:
        return "<invalid>"


def table(
    kind: Kind,
    objects: Sequence[Obj],
    now: datetime,
    *,
    metadata: dict[str, Any],
    include: str = "Metadata",
    columns: bool = True,
) -> dict[str, Any]:
    """The Table; ``columns=False`` leaves the definitions out, as watches do after their first event."""
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata,
        "columnDefinitions": column_definitions(kind) if columns else None,
        "rows": [row(kind, obj, now, include) for obj in objects],
    }


def partial(obj: Obj) -> Obj:
    """The object as PartialObjectMetadata (meta.k8s.io/v1)."""
    return {
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": obj["metadata"],
    }
