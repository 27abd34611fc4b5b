"""Field managers: who set which field, and server-side apply, which is decided by that.

``metadata.managedFields`` says for each manager which fields it applied, or set in other ways ("Update").
An update takes the fields it changes away from everybody else. An apply may only change what others hold if
it is forced to, and what a manager applied once and does not apply any more goes, unless others hold it.

Promises: arguments are not changed; an entry's time moves only when the manager did something.
Not here: the shape of sets (``fieldset``), how values merge (``merging``).
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from trivyop.sandbox.apiserver.objects import fieldset, merging, scale, typed
from trivyop.sandbox.apiserver.objects.applying import check_applied
from trivyop.sandbox.apiserver.objects.plain import fields_at
from trivyop.sandbox.apiserver.objects.refusals import FieldError, Refused

if TYPE_CHECKING:
    from trivyop.sandbox.apiserver.objects.fieldset import FieldSet
    from trivyop.sandbox.apiserver.objects.kinds import Kind, Obj
    from trivyop.sandbox.apiserver.objects.schema import Schema

# Fields that nobody owns: the server sets them, or they say which object it is.
_UNOWNED_METADATA: Final = frozenset(
    {
        "name",
        "namespace",
        "creationTimestamp",
        "selfLink",
        "uid",
        "generation",
        "managedFields",
        "resourceVersion",
    }
)
_EMPTY_ENTRY: Final[list[Any]] = [{}]


class Manager(NamedTuple):
    """What tells one entry of managedFields from another."""

    name: str
    operation: str  # "Apply" or "Update"
    api_version: str
    subresource: str

    def __str__(self) -> str:
        shown = f'"{self.name}"'
        if self.subresource:
            shown += f' with subresource "{self.subresource}"'
        return shown if self.operation == "Apply" else f"{shown} using {self.api_version}"


class Managed:
    """The decoded managedFields of one object."""

    def __init__(self, obj: Obj | None) -> None:
        self.sets: dict[Manager, FieldSet] = {}
        self.times: dict[Manager, str] = {}
        entries: list[dict[str, Any]] = (obj or {}).get("metadata", {}).get("managedFields") or []
        for entry in entries:
            manager = Manager(
                entry.get("manager", ""),
                entry.get("operation", ""),
                entry.get("apiVersion", ""),
                entry.get("subresource", ""),
            )
            self.sets[manager] = fields_at(entry, "fieldsV1")
            if entry.get("time"):
                self.times[manager] = entry["time"]

    def take(self, changed: FieldSet, removed: FieldSet, *, keep: Manager | None = None) -> None:
        """Take changed and removed fields from all managers, changed ones not from ``keep``."""
        for manager, held in list(self.sets.items()):
            left = held if manager == keep else fieldset.difference(held, changed)
            left = fieldset.difference(left, removed)
            if left:
                self.sets[manager] = left
            else:
                del self.sets[manager]

    def entries(self) -> list[dict[str, Any]]:
        """As written into metadata: applies first, then by time."""
        out: list[dict[str, Any]] = []
        for manager, held in self.sets.items():
            entry: dict[str, Any] = {
                "manager": manager.name,
                "operation": manager.operation,
                "apiVersion": manager.api_version,
            }
            if manager in self.times:
                entry["time"] = self.times[manager]
            entry["fieldsType"] = "FieldsV1"
            entry["fieldsV1"] = held
            if manager.subresource:
                entry["subresource"] = manager.subresource
            out.append(entry)
        if len(out) > 1:
            out.sort(key=lambda e: (e["operation"], e.get("time", ""), e["manager"], e["apiVersion"]))
        return out


def track_update(
    kind: Kind, live: Obj | None, new: Obj, *, manager: str, now: str, subresource: str = ""
) -> Obj:
    """The new object with managedFields brought up to date for a create, update or patch by ``manager``.

    An object that came without managedFields, or with a client's, is judged by the live object's, unless the
    client sent a list of its own (``[{}]`` clears them).
    """
    sent: list[Any] | None = new["metadata"].get("managedFields")
    managed = Managed(live)
    if sent == _EMPTY_ENTRY:
        managed = Managed(None)
    elif sent and (live is None or sent != live["metadata"].get("managedFields")):
        managed = Managed(new)
    if live is not None and not managed.sets:
        return _with_entries(new, [])  # never tracked, so it stays so until something is applied
    before = _owned(kind, live, subresource) if live is not None else _nothing(kind.schema)
    difference = merging.compare(kind.schema, before, _owned(kind, new, subresource))
    taken = fieldset.union(difference.added, difference.modified)
    if subresource == "scale":
        taken = fieldset.union(taken, scale.owned(kind))  # who scales owns the replicas, even if they stay
    managed.take(taken, difference.removed)
    taken = _stripped(taken)
    if taken:
        me = Manager(manager, "Update", kind.api_version, subresource)
        managed.sets[me] = fieldset.union(managed.sets.get(me, {}), taken)
        managed.times[me] = now
    return _with_entries(new, managed.entries())


def apply(
    kind: Kind,
    live: Obj | None,
    applied: Obj,
    *,
    manager: str,
    now: str,
    force: bool = False,
    subresource: str = "",
) -> Obj:
    """Merge what ``manager`` applies into the live object; raises ``Refused``, 409 with the conflicts."""
    schema = kind.schema
    check_applied(kind, applied)
    managed = Managed(live)
    base = live if live is not None else _bare(applied)
    if live is not None and not managed.sets:
        _track_before_first_apply(kind, live, managed, now)
    wanted = _owned(kind, applied, subresource)
    me = Manager(manager, "Apply", kind.api_version, subresource)
    last = managed.sets.get(me, {})
    mine = _stripped(merging.field_set(schema, wanted))
    merged = cast("Obj", merging.merge(schema, base, wanted))
    managed.sets[me] = mine
    if last:
        owned: FieldSet = {}
        for held in managed.sets.values():
            owned = fieldset.union(owned, held)
        merged = cast("Obj", merging.without(schema, merged, last, owned))
    difference = merging.compare(schema, base, merged)
    changed = fieldset.union(difference.added, difference.modified)
    if not force:
        _refuse_conflicts(managed, me, changed)
    managed.take(changed, difference.removed, keep=me)
    if mine:
        managed.sets[me] = mine
        if changed or difference.removed or mine != last or me not in managed.times:
            managed.times[me] = now
    return _with_entries(merged, managed.entries())


def _bare(applied: Obj) -> Obj:
    """The object that an apply creates, before anything is applied to it."""
    names = {name: applied["metadata"][name] for name in ("name", "namespace") if name in applied["metadata"]}
    return {"apiVersion": applied["apiVersion"], "kind": applied["kind"], "metadata": names}


def _track_before_first_apply(kind: Kind, live: Obj, managed: Managed, now: str) -> None:
    """What an untracked object has was set by somebody; from the first apply on that counts."""
    difference = merging.compare(kind.schema, _nothing(kind.schema), _owned(kind, live, ""))
    held = _stripped(difference.added)
    if held:
        manager = Manager("before-first-apply", "Update", kind.api_version, "")
        managed.sets[manager] = held
        managed.times[manager] = now


def _refuse_conflicts(managed: Managed, me: Manager, changed: FieldSet) -> None:
    conflicts: list[tuple[Manager, str]] = []
    for manager, held in sorted(managed.sets.items()):
        if manager != me:
            conflicts += [(manager, path) for path in fieldset.paths(fieldset.intersection(held, changed))]
    if not conflicts:
        return
    causes = [
        FieldError("FieldManagerConflict", path, f"conflict with {manager}").cause()
        for manager, path in conflicts
    ]
    if len(conflicts) == 1:
        words = f"1 conflict: conflict with {conflicts[0][0]}: {conflicts[0][1]}"
    else:
        lines: list[str] = []
        for manager in dict.fromkeys(manager for manager, _ in conflicts):
            lines.append(f"conflicts with {manager}:")
            lines += [f"- {path}" for holder, path in conflicts if holder == manager]
        words = f"{len(conflicts)} conflicts: " + "\n".join(lines)
    raise Refused(409, "Conflict", f"Apply failed with {words}", {"causes": causes})


def _owned(kind: Kind, obj: Obj, subresource: str) -> Obj:
    """The object as far as this request may change it, without what nobody owns."""
    if subresource == "status":
        out = {"metadata": obj["metadata"]} if not kind.custom else {}
        if "status" in obj:
            out["status"] = obj["status"]
    else:
        out = {name: value for name, value in obj.items() if name not in ("apiVersion", "kind")}
        if kind.has_status:
            out.pop("status", None)
    metadata: dict[str, Any] = fields_at(out, "metadata")
    if metadata:
        out["metadata"] = {name: value for name, value in metadata.items() if name not in _UNOWNED_METADATA}
    return out


def _stripped(held: FieldSet) -> FieldSet:
    """Without what nobody owns: metadata as such."""
    metadata = held.get("f:metadata")
    if metadata is None:
        return held
    rest = {element: node for element, node in metadata.items() if element != fieldset.SELF}
    out = dict(held)
    if rest:
        out["f:metadata"] = rest
    else:
        del out["f:metadata"]
    return out


@lru_cache(1024)
def _nothing(schema: Schema) -> Obj:
    """The empty object that a new one is compared with: structs that are always there belong to nobody."""
    return {**(typed.zero(schema) or {}), "metadata": {}}


def _with_entries(obj: Obj, entries: list[dict[str, Any]]) -> Obj:
    metadata = {name: value for name, value in obj["metadata"].items() if name != "managedFields"}
    if entries:
        metadata["managedFields"] = entries
    return {**obj, "metadata": metadata}
