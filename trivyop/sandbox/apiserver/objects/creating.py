"""Creating: what becomes of a new object on its way into storage.

Admission, metadata, the kind's own preparation, validation; in this order, as in the real server.

Promises: the object is changed in place and returned; ``Refused`` (422) lists all that is wrong with it.
Not here: reading the object and its field managers (``writing``), whether it exists already.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from trivyop.sandbox.apiserver.objects import names, reading, validation
from trivyop.sandbox.apiserver.objects.refusals import FieldError, invalid

if TYPE_CHECKING:
    from trivyop.sandbox.apiserver.objects.kinds import Kind, Obj
    from trivyop.sandbox.apiserver.objects.write import Write

_MAX_GENERATED: Final = 58  # 63, less five random characters


def finish_create(kind: Kind, obj: Obj, write: Write) -> Obj:
    """The object as it is to be stored for the first time."""
    rules, metadata = kind.rules, obj["metadata"]
    if rules.admit is not None:
        rules.admit(obj, write)
    prefix = metadata.get("generateName")
    if prefix and not metadata.get("name"):
        metadata["name"] = prefix[:_MAX_GENERATED] + write.token()
    for part in ("deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "generation"):
        metadata.pop(part, None)
    metadata["uid"] = write.uid
    metadata["creationTimestamp"] = write.now
    if kind.has_status and kind.kind != "Node":
        _clear_status(kind, obj)
    if rules.generation:
        metadata["generation"] = 1
    if rules.prepare_create is not None:
        rules.prepare_create(obj)
    errors = wrong_kind(kind, obj) + names.check_metadata(kind, obj)
    for check in (rules.validate, rules.validate_create):
        errors += check(obj) if check is not None else []
    if kind.custom:
        errors += validation.validate(kind.schema, obj, "")
    if errors:
        raise invalid(obj["kind"], kind.group_of_errors, metadata.get("name", ""), errors)
    if rules.default is not None:
        rules.default(obj)  # once more, as for anything read from storage: preparation may have made room
    return obj


def _clear_status(kind: Kind, obj: Obj) -> None:
    if kind.custom:
        obj.pop("status", None)
    else:
        obj["status"] = reading.empty(kind.schema.properties["status"])


def wrong_kind(kind: Kind, obj: Obj) -> list[FieldError]:
    """The error of a custom resource that says it is of another kind."""
    said = obj.get("kind") or ""
    return [] if said == kind.kind else [names.invalid_value("kind", said, f"must be {kind.kind}")]
