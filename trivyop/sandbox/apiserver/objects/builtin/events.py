"""Events: one kind in two groups, stored as that of the core group.

Promises: ``to_core`` and ``from_core`` are each other's inverse on what the server stores.
Not here: the time after which events go.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from trivyop.sandbox.apiserver.objects.kinds import Rules
from trivyop.sandbox.apiserver.objects.names import immutable_fields, invalid_value, required
from trivyop.sandbox.apiserver.objects.plain import fields_at

if TYPE_CHECKING:
    from trivyop.sandbox.apiserver.objects.kinds import Obj
    from trivyop.sandbox.apiserver.objects.refusals import FieldError

_NEW_TO_CORE: Final = {
    "note": "message",
    "regarding": "involvedObject",
    "reportingController": "reportingComponent",
    "deprecatedSource": "source",
    "deprecatedFirstTimestamp": "firstTimestamp",
    "deprecatedLastTimestamp": "lastTimestamp",
    "deprecatedCount": "count",
}
_CORE_TO_NEW: Final = {core: new for new, core in _NEW_TO_CORE.items()}
_FIXED: Final = (
    "regarding",
    "reason",
    "note",
    "reportingController",
    "reportingInstance",
    "action",
    "type",
    "eventTime",
)
# In the core group these are written even when empty; in events.k8s.io they are not.
_WRITTEN_IN_CORE: Final = ("reportingComponent", "reportingInstance")


def to_core(event: Obj) -> Obj:
    """An Event of events.k8s.io as the core group has it."""
    out: dict[str, Any] = {_NEW_TO_CORE.get(name, name): value for name, value in event.items()}
    out["apiVersion"] = "v1"
    out.setdefault("involvedObject", {})
    for part in _WRITTEN_IN_CORE:
        out.setdefault(part, "")
    return out


def from_core(event: Obj) -> Obj:
    """An Event of the core group as events.k8s.io has it."""
    out: dict[str, Any] = {_CORE_TO_NEW.get(name, name): value for name, value in event.items()}
    out["apiVersion"] = "events.k8s.io/v1"
    for part in ("reportingController", "reportingInstance"):
        if not out.get(part):
            out.pop(part, None)
    if not out.get("regarding"):
        out.pop("regarding", None)
    return out


def _validate_core(event: Obj) -> list[FieldError]:
    about: dict[str, Any] = fields_at(event, "involvedObject")
    namespace, wanted = event["metadata"].get("namespace", ""), about.get("namespace", "")
    if (wanted or "default") == namespace or (wanted and wanted == namespace):
        return []
    return [invalid_value("involvedObject.namespace", wanted, "does not match event.namespace")]


def _validate_new(event: Obj) -> list[FieldError]:
    if not event.get("eventTime"):
        return [required("eventTime")]
    errors = _validate_core({**event, "involvedObject": event.get("regarding")})
    errors += [
        required(part)
        for part in ("reportingController", "reportingInstance", "action", "reason")
        if not event.get(part)
    ]
    kind = event.get("type", "")
    if kind not in ("Normal", "Warning"):
        errors.append(invalid_value("type", "", f"has invalid value: {kind}"))
    if len(event.get("note", "")) > 1024:
        errors.append(invalid_value("message", "", "can have at most 1024 characters"))
    return errors


def _validate_new_update(old: Obj, new: Obj) -> list[FieldError]:
    """Of an Event with a time of its own only the series may change."""
    names = [_NEW_TO_CORE.get(part, part) for part in _FIXED]
    return immutable_fields(to_core(old), to_core(new), names)


EVENT: Final = Rules(validate=_validate_core)
NEW_EVENT: Final = Rules(validate_create=_validate_new, validate_update=_validate_new_update)
