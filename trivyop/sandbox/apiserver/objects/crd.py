"""Custom resources' kinds: read from their CustomResourceDefinitions, and the status these get.

Promises: arguments are not changed. A kind's schema is compiled here, once for each state of a definition.
Not here: whether a definition is sound (``builtin.definitions``), when its status changes.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, cast

from trivyop.sandbox.apiserver.objects.builtin import METADATA
from trivyop.sandbox.apiserver.objects.kinds import Column, Kind, Rules
from trivyop.sandbox.apiserver.objects.schema import definition_schema

if TYPE_CHECKING:
    from trivyop.sandbox.apiserver.objects.kinds import Obj

_RULES = Rules(generation=True, unconditional_update=False)


def kinds_of(definition: Obj) -> list[Kind]:
    """The kinds of all served versions, in the order of the definition."""
    spec = definition["spec"]
    return [_kind(spec, version) for version in spec.get("versions") or () if version.get("served")]


def _kind(spec: dict[str, Any], version: dict[str, Any]) -> Kind:
    names = spec["names"]
    document = cast("dict[str, Any]", (version.get("schema") or {}).get("openAPIV3Schema") or {})
    subresources: dict[str, Any] = version.get("subresources") or {}
    return Kind(
        spec["group"],
        version["name"],
        names["kind"],
        names["plural"],
        names.get("singular") or names["kind"].lower(),
        spec["scope"] == "Namespaced",
        definition_schema(document, METADATA),
        list_kind=names.get("listKind") or f"{names['kind']}List",
        short_names=tuple(names.get("shortNames") or ()),
        categories=tuple(names.get("categories") or ()),
        subresources=tuple(name for name in ("status", "scale") if name in subresources),
        custom=True,
        columns=tuple(map(_column, version.get("additionalPrinterColumns") or ())),
        rules=_RULES,
        scale_paths=_scale_paths(subresources.get("scale")),
    )


def _column(column: dict[str, Any]) -> Column:
    return Column(
        column["name"],
        column["type"],
        column.get("description", ""),
        column.get("priority", 0),
        column.get("format", ""),
        column["jsonPath"],
    )


def _scale_paths(scale: dict[str, Any] | None) -> tuple[str, str, str] | None:
    if scale is None:
        return None
    return (scale["specReplicasPath"], scale["statusReplicasPath"], scale.get("labelSelectorPath", ""))


def established(definition: Obj, now: str) -> Obj:
    """The definition with acceptedNames and the conditions NamesAccepted and Established in its status."""
    out = copy.deepcopy(definition)
    status: dict[str, Any] = out.setdefault("status", {})
    status["acceptedNames"] = copy.deepcopy(out["spec"]["names"])
    conditions = status["conditions"] = list(status.get("conditions") or ())
    _set(conditions, "NamesAccepted", "NoConflicts", "no conflicts found", now)
    _set(conditions, "Established", "InitialNamesAccepted", "the initial names have been accepted", now)
    return out


def terminating(definition: Obj, now: str) -> Obj:
    """The definition with the condition Terminating, as deletion leaves it while its objects go."""
    out = copy.deepcopy(definition)
    status: dict[str, Any] = out.setdefault("status", {})
    conditions = status["conditions"] = list(status.get("conditions") or ())
    message = "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon"
    _set(conditions, "Terminating", "InstanceDeletionPending", message, now)
    return out


def _set(conditions: list[dict[str, Any]], kind: str, reason: str, message: str, now: str) -> None:
    """Set a condition to True; it keeps its time if it was so already."""
    condition = {
        "type": kind,
        "status": "True",
        "lastTransitionTime": now,
        "reason": reason,
        "message": message,
    }
    for index, known in enumerate(conditions):
        if known.get("type") == kind:
            if known.get("status") != "True":
                conditions[index] = condition
            return
    conditions.append(condition)
