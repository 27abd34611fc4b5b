"""Custom resources' kinds: read from their CustomResourceDefinitions, and the status these get.

Promises: arguments are not changed. A kind's schema is compiled here, once for each state of a definition.
Not here: whether a definition is sound (``builtin.definitions``), when its status changes.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Final

from trivyop.sandbox.apiserver.objects.builtin import METADATA
from trivyop.sandbox.apiserver.objects.kinds import Column, Kind, Rules
from trivyop.sandbox.apiserver.objects.plain import fields_at, list_at
from trivyop.sandbox.apiserver.objects.schema import definition_schema

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trivyop.sandbox.apiserver.objects.kinds import Obj

_RULES = Rules(generation=True, unconditional_update=False)


def kinds_of(definition: Obj) -> list[Kind]:
    """The kinds of all served versions, in the order of the definition."""
    spec = definition["spec"]
    return [_kind(spec, version) for version in list_at(spec, "versions") if version.get("served")]


def _kind(spec: dict[str, Any], version: dict[str, Any]) -> Kind:
    names = spec["names"]
    document = fields_at(version, "schema", "openAPIV3Schema")
    subresources: dict[str, Any] = fields_at(version, "subresources")
    return Kind(
        spec["group"],
        version["name"],
        names["kind"],
        names["plural"],
        names.get("singular") or names["kind"].lower(),
        spec["scope"] == "Namespaced",
        definition_schema(document, METADATA),
        list_kind=names.get("listKind") or f"{names['kind']}List",
        short_names=tuple(list_at(names, "shortNames")),
        categories=tuple(list_at(names, "categories")),
        subresources=tuple(name for name in ("status", "scale") if name in subresources),
        custom=True,
        selectable=tuple(one["jsonPath"].removeprefix(".") for one in list_at(version, "selectableFields")),
        columns=tuple(map(_column, list_at(version, "additionalPrinterColumns"))),
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


def established(definition: Obj, now: str, others: Iterable[Obj] = ()) -> Obj:
    """The definition with acceptedNames and the conditions NamesAccepted and Established in its status.

    Names that the ``others`` of its group use already are not accepted, and then it is not established.
    """
    out = copy.deepcopy(definition)
    status: dict[str, Any] = out.setdefault("status", {})
    conditions = status["conditions"] = list(list_at(status, "conditions"))
    taken = _taken(definition, others)
    if not taken:
        status["acceptedNames"] = copy.deepcopy(out["spec"]["names"])
        _set(conditions, "NamesAccepted", "NoConflicts", "no conflicts found", now)
        _set(conditions, "Established", "InitialNamesAccepted", "the initial names have been accepted", now)
        return out
    status["acceptedNames"] = {"plural": "", "kind": ""} | {
        part: name for part, name in out["spec"]["names"].items() if part not in taken
    }
    reason, name = taken[_conflicting(taken)]
    _set(conditions, "NamesAccepted", reason, f'"{name}" is already in use', now, "False")
    _set(conditions, "Established", "NotAccepted", "not all names are accepted", now, "False")
    return out


_REASONS: Final = {
    "plural": "PluralConflict",
    "singular": "SingularConflict",
    "shortNames": "ShortNamesConflict",
    "kind": "KindConflict",
    "listKind": "ListKindConflict",
}


def _conflicting(taken: dict[str, tuple[str, str]]) -> str:
    """The conflict that the condition names: the last one in the server's order."""
    return next(part for part in reversed(_REASONS) if part in taken)


def _taken(definition: Obj, others: Iterable[Obj]) -> dict[str, tuple[str, str]]:
    """By name part: the reason and the name, where another definition of the group has it."""
    spec = definition["spec"]
    resources: set[str] = set()
    kinds: set[str] = set()
    for other in others:
        if (
            other["spec"]["group"] != spec["group"]
            or other["metadata"]["name"] == definition["metadata"]["name"]
        ):
            continue
        accepted: dict[str, Any] = fields_at(other, "status", "acceptedNames")
        resources.update(filter(None, (accepted.get("plural"), accepted.get("singular"))))
        resources.update(list_at(accepted, "shortNames"))
        kinds.update(filter(None, (accepted.get("kind"), accepted.get("listKind"))))
    found: dict[str, tuple[str, str]] = {}
    for part, reason in _REASONS.items():
        value: Any = spec["names"].get(part)
        used = kinds if part.lower().endswith("kind") else resources
        clash = next(
            (name for name in ([value] if isinstance(value, str) else value or ()) if name in used), None
        )
        if clash is not None:
            found[part] = (reason, clash)
    return found


def terminating(definition: Obj, now: str, *, in_progress: bool = False) -> Obj:
    """The definition with the condition Terminating: marked for deletion, then while its objects go."""
    out = copy.deepcopy(definition)
    status: dict[str, Any] = out.setdefault("status", {})
    conditions = status["conditions"] = list(list_at(status, "conditions"))
    if in_progress:
        message = "CustomResource deletion is in progress"
        _set(conditions, "Terminating", "InstanceDeletionInProgress", message, now)
    else:
        message = "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon"
        _set(conditions, "Terminating", "InstanceDeletionPending", message, now)
    return out


def _set(
    conditions: list[dict[str, Any]], kind: str, reason: str, message: str, now: str, status: str = "True"
) -> None:
    """Set a condition; it keeps its time if its status stays."""
    condition = {
        "type": kind,
        "status": status,
        "lastTransitionTime": now,
        "reason": reason,
        "message": message,
    }
    for index, known in enumerate(conditions):
        if known.get("type") == kind:
            if known.get("status") == status:
                condition["lastTransitionTime"] = known.get("lastTransitionTime", now)
            conditions[index] = condition
            return
    conditions.append(condition)
