"""Writing: from what was sent and what is stored to what shall be stored, in the order of the real server.

For a create that is: reading, field managers, admission, metadata, the kind's own preparation, validation.
For an update: reading or patching, field managers, preparation, validation, and the object as it was if
nothing differs.

Promises: the live object is never changed, and is returned itself if a write changes nothing. Chance and
time come in with ``Write``.
Not here: resource versions of what is stored, storage, deletion, checks against other objects.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from trivyop.sandbox.apiserver.objects import fieldmanager, reading, scale, validation
from trivyop.sandbox.apiserver.objects.creating import finish_create
from trivyop.sandbox.apiserver.objects.decoding import APPLY, decode_strict, decode_yaml
from trivyop.sandbox.apiserver.objects.patching import json_patch, merge_patch
from trivyop.sandbox.apiserver.objects.plain import is_list, is_object
from trivyop.sandbox.apiserver.objects.refusals import FieldError, Refused, bad_request, conflict, invalid
from trivyop.sandbox.apiserver.objects.strategic import strategic_patch
from trivyop.sandbox.apiserver.objects.updating import update
from trivyop.sandbox.apiserver.objects.write import Validation, Write, Written

__all__ = ["Validation", "Write", "Written", "create", "patch", "replace"]

if TYPE_CHECKING:
    from trivyop.sandbox.apiserver.objects.kinds import Kind, Obj

JSON_PATCH: Final = "application/json-patch+json"
MERGE_PATCH: Final = "application/merge-patch+json"
STRATEGIC_PATCH: Final = "application/strategic-merge-patch+json"


def create(kind: Kind, body: bytes, media_type: str, write: Write) -> Written:
    """POST, and PUT of what is not there (``write.name`` is set then)."""
    obj, warnings = reading.read_body(kind, body, media_type, write.validation)
    _check_version(kind, obj, warnings)
    _check_place(kind, obj, write)
    if obj["metadata"].get("resourceVersion"):
        if write.name:
            key = f"/registry/{kind.plural}/{write.namespace}/{write.name}"
            why = (
                f"StorageError: invalid object, Code: 4, Key: {key}, ResourceVersion: 0,"
                " AdditionalErrorMsg: Precondition failed"
            )
            raise conflict(kind.plural, kind.group, write.name, why)
        raise Refused(500, "", "resourceVersion should not be set on objects to be created")
    obj = fieldmanager.track_update(kind, None, obj, manager=write.manager, now=write.now)
    return Written(finish_create(kind, obj, write), tuple(warnings))


def _storage_key(kind: Kind, obj: Obj) -> str:
    """Where the real server keeps an object; it shows in messages."""
    parts = [
        kind.group if kind.custom else "",
        kind.plural,
        obj["metadata"].get("namespace", ""),
        obj["metadata"]["name"],
    ]
    return "/registry/" + "/".join(filter(None, parts))


def replace(kind: Kind, live: Obj, body: bytes, media_type: str, write: Write) -> Written:
    """PUT, also of a subresource. Raises the 409 if the body's resourceVersion or uid is not the live one."""
    if write.subresource == "scale":
        return Written(update(kind, live, scale.replaced(kind, live, body), write, check_version=True))
    obj, warnings = reading.read_body(kind, body, media_type, write.validation)
    _check_version(kind, obj, warnings)
    _check_place(kind, obj, write)
    sent = obj["metadata"].get("uid")
    if sent and sent != live["metadata"]["uid"]:
        why = (
            f"StorageError: invalid object, Code: 4, Key: {_storage_key(kind, live)}, ResourceVersion: 0,"
            f" AdditionalErrorMsg: Precondition failed: UID in precondition: {sent},"
            f" UID in object meta: {live['metadata']['uid']}"
        )
        raise conflict(kind.plural, kind.group, write.name, why)
    return Written(update(kind, live, obj, write, check_version=True), tuple(warnings))


def patch(kind: Kind, live: Obj | None, body: bytes, media_type: str, write: Write) -> Written:
    """PATCH of all four media types, also of a subresource.

    ``live`` may be None only for server-side apply, which then creates (``write.uid`` becomes its uid).
    """
    if media_type == APPLY:
        return _apply(kind, live, body, write)
    if live is None:
        raise ValueError("only an apply creates what is not there")
    if kind.custom and media_type == STRATEGIC_PATCH:
        known = f"{JSON_PATCH}, {MERGE_PATCH}, {APPLY}"
        message = f"the body of the request was in an unknown format - accepted media types include: {known}"
        raise Refused(415, "UnsupportedMediaType", message)
    before = scale.scale_of(kind, live) if write.subresource == "scale" else live
    patched, doubles = _patched(kind, before, body, media_type)
    if write.subresource == "scale":
        return Written(update(kind, live, scale.scaled(kind, live, patched), write))
    try:
        obj, warnings = reading.read(kind, patched, doubles, write.validation)
    except reading.UnreadableError as error:
        message = f"Invalid value: {_shown(body)}: {error}"
        raise invalid("", "", "", [FieldError("FieldValueInvalid", "patch", message)]) from None
    _check_version(kind, obj, warnings)
    _check_place(kind, obj, write)
    return Written(update(kind, live, obj, write), tuple(warnings))


def _shown(body: bytes) -> str:
    return validation.quoted(body.decode(errors="replace"))


def _patched(kind: Kind, live: Obj, body: bytes, media_type: str) -> tuple[Obj, list[str]]:
    """The live object with the patch carried out, and the keys that came twice in the patch."""
    try:
        value, doubles = decode_strict(body)
    except ValueError as error:
        raise bad_request(f"error decoding patch: {error}") from None
    if media_type == JSON_PATCH:
        return cast("Obj", json_patch(live, value)), []
    if not is_object(value):
        name = "array" if is_list(value) else "string" if isinstance(value, str) else "number"
        raise bad_request(
            f"error decoding patch: json: cannot unmarshal {name} into Go value of type"
            " map[string]interface {}"
        )
    document = value
    if media_type == STRATEGIC_PATCH:
        return strategic_patch(kind.schema, live, document), doubles
    return cast("Obj", merge_patch(live, document)), doubles


def _apply(kind: Kind, live: Obj | None, body: bytes, write: Write) -> Written:
    try:
        value, doubles = decode_yaml(body)
    except ValueError as error:
        raise bad_request(f"error decoding YAML: {error}") from None
    if not is_object(value):
        raise bad_request("error decoding YAML: the body is not an object")
    applied: Obj = value
    if doubles and write.validation == Validation.STRICT:
        raise bad_request(f"error strict decoding YAML: key {doubles[0]!r} already set in map")
    version, said = applied.get("apiVersion") or "", applied.get("kind") or ""
    if not said or not version:
        group, _, number = version.rpartition("/")
        raise bad_request(f"invalid object type: {group}/{number}, Kind={said}")
    if (version, said) != (kind.api_version, kind.kind):
        raise bad_request(f"invalid object type: {version}, Kind={said}")
    metadata = applied.setdefault("metadata", {})
    if metadata.get("managedFields"):
        raise bad_request("metadata.managedFields must be nil")
    _check_place(kind, {**applied, "metadata": dict(metadata)}, write)
    merged = fieldmanager.apply(
        kind,
        live,
        applied,
        manager=write.manager,
        now=write.now,
        force=write.force,
        subresource=write.subresource,
    )
    try:
        obj, _ = reading.read(kind, merged, [], Validation.IGNORE, applied=True)
    except reading.UnreadableError as error:
        raise Refused(500, "", str(error)) from None
    if live is None:
        obj["metadata"].pop("resourceVersion", None)
        _check_place(kind, obj, write)
        return Written(finish_create(kind, obj, write))
    for part in ("resourceVersion", "uid"):
        if metadata.get(part):
            obj["metadata"][part] = metadata[part]
    _check_place(kind, obj, write)
    return Written(update(kind, live, obj, write, tracked=True))


def _check_version(kind: Kind, obj: Obj, warnings: list[str]) -> None:
    """Custom resources must say their version; whether the kind is right is a matter of validation."""
    if not kind.custom:
        return
    version = obj.get("apiVersion") or ""
    if version == kind.api_version:
        return
    refused = bad_request(
        f"the API version in the data ({version}) does not match the expected API version"
        f" ({kind.api_version})"
    )
    if version:
        others = [name for name in obj if name not in ("apiVersion", "kind", "metadata")]
        refused.warnings = (*warnings, *(f'unknown field "{name}"' for name in others))
    raise refused


def _check_place(kind: Kind, obj: Obj, write: Write) -> None:
    """The body must mean the object of the path; what it leaves out is filled in from there."""
    metadata = obj["metadata"]
    if write.name:
        name = metadata.get("name") or ""
        if not name:
            raise bad_request(
                f"the name of the object ({write.name} based on URL) was undeterminable:"
                " name must be provided"
            )
        if name != write.name:
            raise bad_request(
                f"the name of the object ({name}) does not match the name on the URL ({write.name})"
            )
    if not kind.namespaced:
        metadata.pop("namespace", None)
    elif metadata.setdefault("namespace", write.namespace) != write.namespace:
        raise bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )
