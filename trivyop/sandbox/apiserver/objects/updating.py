"""Updating: what becomes of a changed object on its way into storage.

Field managers, precondition, preparation, validation; and the live object itself if nothing differs.

Promises: the live object is never changed. ``Refused`` is 409 if the client's view was stale, 422 with all
that is wrong otherwise.
Not here: reading or patching (``writing``).
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Final

from trivyop.sandbox.apiserver.objects import fieldmanager, names, validation
from trivyop.sandbox.apiserver.objects.creating import wrong_kind
from trivyop.sandbox.apiserver.objects.plain import list_at
from trivyop.sandbox.apiserver.objects.refusals import FieldError, conflict, invalid

if TYPE_CHECKING:
    from trivyop.sandbox.apiserver.objects.kinds import Kind, Obj
    from trivyop.sandbox.apiserver.objects.write import Write

EPHEMERAL: Final = "ephemeralcontainers"
_MODIFIED: Final = (
    "the object has been modified; please apply your changes to the latest version and try again"
)


def update(
    kind: Kind, live: Obj, new: Obj, write: Write, *, check_version: bool = False, tracked: bool = False
) -> Obj:
    """What an update stores; ``tracked`` if its field managers are known already."""
    rules = kind.rules
    if not tracked:
        new = fieldmanager.track_update(
            kind, live, new, manager=write.manager, now=write.now, subresource=write.subresource
        )
    before, after = live["metadata"], new["metadata"]
    sent = after.get("resourceVersion")
    if sent and sent != before.get("resourceVersion"):
        raise conflict(kind.plural, kind.group, before["name"], _MODIFIED)
    if not sent and check_version and not rules.unconditional_update:
        error = names.invalid_value("metadata.resourceVersion", 0, "must be specified for an update")
        raise invalid(kind.plural, kind.group, before["name"], [error])
    _restore_metadata(before, after)
    if write.subresource == "status":
        _prepare_status(kind, live, new)
    elif write.subresource == EPHEMERAL:
        _prepare_ephemeral(live, new)
    else:
        _prepare(kind, live, new)
    errors = names.check_metadata_update(kind, live, new)
    errors += [*errors, *wrong_kind(kind, new)]  # the server checks metadata twice, and counts causes twice
    errors += _validate(kind, live, new, write.subresource)
    if errors:
        raise invalid(new["kind"], kind.group_of_errors, before["name"], errors)
    return live if _unchanged(live, new) else new


def _restore_metadata(before: dict[str, Any], after: dict[str, Any]) -> None:
    """Put back what belongs to the server."""
    for part in ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"):
        if part in before and not after.get(part):
            after[part] = before[part]
    if before.get("deletionTimestamp") and "deletionGracePeriodSeconds" in before:
        after["deletionGracePeriodSeconds"] = before["deletionGracePeriodSeconds"]
    after.pop("selfLink", None)
    after.pop("generation", None)
    if "generation" in before:
        after["generation"] = before["generation"]
    after["resourceVersion"] = before.get("resourceVersion", "")


def _prepare(kind: Kind, live: Obj, new: Obj) -> None:
    if kind.has_status:
        new.pop("status", None)
        if "status" in live:
            new["status"] = copy.deepcopy(live["status"])
    if kind.rules.prepare_update is not None:
        kind.rules.prepare_update(live, new)
    if kind.rules.generation and _counts(kind, live, new):
        new["metadata"]["generation"] = live["metadata"].get("generation", 0) + 1


def _counts(kind: Kind, live: Obj, new: Obj) -> bool:
    """Whether the difference makes a new generation."""
    ignored = {"apiVersion", "kind", "metadata"} | ({"status"} if kind.has_status else set[str]())
    for name in {*live, *new} - ignored:
        if live.get(name) != new.get(name):
            return True
    annotations = [obj["metadata"].get("annotations") for obj in (live, new)]
    return kind.kind == "Deployment" and annotations[0] != annotations[1]


def _prepare_status(kind: Kind, live: Obj, new: Obj) -> None:
    if kind.rules.prepare_status is not None:
        kind.rules.prepare_status(live, new)
    elif kind.custom:
        status, managed = new.get("status"), new["metadata"].get("managedFields")
        new.clear()
        new.update({**copy.deepcopy(live), "status": status})
        if status is None:
            del new["status"]
        new["metadata"].pop("managedFields", None)
        if managed is not None:
            new["metadata"]["managedFields"] = managed
    else:
        for name in [name for name in new if name not in live and name != "status"]:
            del new[name]
        new.update({name: value for name, value in live.items() if name not in ("metadata", "status")})


def _prepare_ephemeral(live: Obj, new: Obj) -> None:
    """Take over the ephemeral containers, and nothing else."""
    added = new.get("spec", {}).get("ephemeralContainers")
    new["spec"] = {name: value for name, value in live["spec"].items() if name != "ephemeralContainers"}
    if added:
        new["spec"]["ephemeralContainers"] = added
    new["status"] = copy.deepcopy(live.get("status", {}))


def _check_ephemeral(live: Obj, new: Obj) -> list[FieldError]:
    """They can be added, but neither changed nor taken away."""
    now = {container["name"]: container for container in list_at(new["spec"], "ephemeralContainers")}
    for container in list_at(live["spec"], "ephemeralContainers"):
        if now.get(container["name"]) != container:
            message = "existing ephemeral containers may not be changed or removed"
            return [names.forbidden("spec.ephemeralContainers", message)]
    return []


def _validate(kind: Kind, live: Obj, new: Obj, subresource: str) -> list[FieldError]:
    rules = kind.rules
    if subresource == "status":
        errors = rules.validate_status(live, new) if rules.validate_status is not None else []
        schema = kind.schema.properties.get("status")
        if kind.custom and schema is not None and "status" in new:
            for error in validation.validate(schema, new["status"], "", ""):
                place = f"status.{error.field}" if error.field else "status"
                errors.append(
                    FieldError(error.reason, error.field if error.field == "<nil>" else place, error.message)
                )
        return errors
    errors = rules.validate(new) if rules.validate is not None else []
    if subresource == EPHEMERAL:
        errors += _check_ephemeral(live, new)
    elif rules.validate_update is not None:
        errors += rules.validate_update(live, new)
    if kind.custom:
        errors += validation.validate(kind.schema, new, "")
    return errors


def _unchanged(live: Obj, new: Obj) -> bool:
    """Equal but for the times in managedFields, which nobody would write an object for."""
    if live == new:
        return True
    if live["metadata"].get("managedFields") == new["metadata"].get("managedFields"):
        return False
    return _without_times(live) == _without_times(new)


def _without_times(obj: Obj) -> Obj:
    entries = list_at(obj["metadata"], "managedFields")
    timeless = [{name: value for name, value in entry.items() if name != "time"} for entry in entries]
    timeless.sort(key=lambda e: (e["manager"], e["operation"], e["apiVersion"], e.get("subresource", "")))
    return {**obj, "metadata": {**obj["metadata"], "managedFields": timeless}}
