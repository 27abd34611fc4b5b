"""Writing: from what a client sent and what is stored to what shall be stored; in the order of the real server.

For a create that is: reading, field managers, admission, metadata, the kind's own preparation, validation.
For an update: reading or patching, field managers, preparation, validation, and the object as it was if
nothing differs.

Promises: the live object is never changed, and is returned itself if a write changes nothing. Chance and
time come in with ``Write``.
Not here: resource versions of what is stored, storage, deletion, checks against other objects.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, cast

from trivyop.sandbox.apiserver.objects import fieldmanager, names, reading, scale, validation
from trivyop.sandbox.apiserver.objects.decoding import APPLY, decode_strict, decode_yaml
from trivyop.sandbox.apiserver.objects.patching import json_patch, merge_patch
from trivyop.sandbox.apiserver.objects.plain import is_list, is_object, list_at
from trivyop.sandbox.apiserver.objects.refusals import FieldError, Refused, bad_request, conflict, invalid
from trivyop.sandbox.apiserver.objects.strategic import strategic_patch

if TYPE_CHECKING:
    from trivyop.sandbox.apiserver.objects.kinds import Kind, Obj

JSON_PATCH: Final = "application/json-patch+json"
MERGE_PATCH: Final = "application/merge-patch+json"
STRATEGIC_PATCH: Final = "application/strategic-merge-patch+json"
_MODIFIED: Final = (
    "the object has been modified; please apply your changes to the latest version and try again"
)
_MAX_GENERATED: Final = 58  # 63, less five random characters


class Validation(StrEnum):
    """The query parameter ``fieldValidation``."""

    IGNORE = "Ignore"
    WARN = "Warn"
    STRICT = "Strict"


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """One write request, as far as the object is concerned."""

    manager: str  # ?fieldManager=, else what precedes the slash in User-Agent; max. 128 bytes
    now: str  # "2006-01-02T15:04:05Z"
    uid: str  # for a new object
    token: Callable[[], str]  # five fresh characters [a-z0-9] at each call (generateName)
    namespace: str = ""  # of the path; "" for a cluster-wide kind
    name: str = ""  # of the path; "" for POST
    subresource: str = ""
    validation: Validation = Validation.WARN
    force: bool = False  # of server-side apply
    service_account: bool = True  # admission: whether Pods get a service account
    automount: bool = True  # ... and its token, if they do not say otherwise


@dataclass(frozen=True, slots=True)
class Written:
    """The answer to a write. ``obj is live`` (identity) when the write changes nothing."""

    obj: Obj
    warnings: tuple[str, ...] = ()  # texts for the header: Warning: 299 - "..."


def create(kind: Kind, body: bytes, media_type: str, write: Write) -> Written:
    """POST, and PUT of what is not there (``write.name`` is set then)."""
    obj, warnings = reading.read_body(kind, body, media_type, write.validation)
    _check_version(kind, obj, warnings)
    _check_place(kind, obj, write)
    if obj["metadata"].get("resourceVersion"):
        if write.name:
            key = f"/registry/{kind.plural}/{write.namespace}/{write.name}"
            why = f"StorageError: invalid object, Code: 4, Key: {key}, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed"
            raise conflict(kind.plural, kind.group, write.name, why)
        raise Refused(500, "", "resourceVersion should not be set on objects to be created")
    obj = fieldmanager.track_update(kind, None, obj, manager=write.manager, now=write.now)
    return Written(_finish_create(kind, obj, write), tuple(warnings))


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
    """PUT, also of a subresource. Raises the 409 if the body's resourceVersion (or uid) is not the live one."""
    if write.subresource == "scale":
        return Written(_update(kind, live, scale.replaced(kind, live, body), write, check_version=True))
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
    return Written(_update(kind, live, obj, write, check_version=True), tuple(warnings))


def patch(kind: Kind, live: Obj | None, body: bytes, media_type: str, write: Write) -> Written:
    """PATCH of all four media types, also of a subresource.

    ``live`` may be None only for server-side apply, which then creates (``write.uid`` becomes its uid).
    """
    if media_type == APPLY:
        return _apply(kind, live, body, write)
    if live is None:
        raise ValueError("only an apply creates what is not there")
    if kind.custom and media_type == STRATEGIC_PATCH:
        known = ", ".join((JSON_PATCH, MERGE_PATCH, APPLY))
        message = f"the body of the request was in an unknown format - accepted media types include: {known}"
        raise Refused(415, "UnsupportedMediaType", message)
    before = scale.scale_of(kind, live) if write.subresource == "scale" else live
    patched, doubles = _patched(kind, before, body, media_type)
    if write.subresource == "scale":
        return Written(_update(kind, live, scale.scaled(kind, live, patched), write))
    try:
        obj, warnings = reading.read(kind, patched, doubles, write.validation)
    except reading.Unreadable as error:
        message = f"Invalid value: {_shown(body)}: {error}"
        raise invalid("", "", "", [FieldError("FieldValueInvalid", "patch", message)]) from None
    _check_version(kind, obj, warnings)
    _check_place(kind, obj, write)
    return Written(_update(kind, live, obj, write), tuple(warnings))


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
            f"error decoding patch: json: cannot unmarshal {name} into Go value of type map[string]interface {{}}"
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
        obj, _ = reading.read(kind, merged, [], Validation.IGNORE)
    except reading.Unreadable as error:
        raise Refused(500, "", str(error)) from None
    if live is None:
        obj["metadata"].pop("resourceVersion", None)
        _check_place(kind, obj, write)
        return Written(_finish_create(kind, obj, write))
    for part in ("resourceVersion", "uid"):
        if metadata.get(part):
            obj["metadata"][part] = metadata[part]
    _check_place(kind, obj, write)
    return Written(_update(kind, live, obj, write, tracked=True))


def _check_version(kind: Kind, obj: Obj, warnings: list[str]) -> None:
    """Custom resources are only converted from versions that they have; their kind is a matter of validation."""
    if not kind.custom:
        return
    version = obj.get("apiVersion") or ""
    if version == kind.api_version:
        return
    refused = bad_request(
        f"the API version in the data ({version}) does not match the expected API version ({kind.api_version})"
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
                f"the name of the object ({write.name} based on URL) was undeterminable: name must be provided"
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


def _finish_create(kind: Kind, obj: Obj, write: Write) -> Obj:
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
    errors = _wrong_kind(kind, obj) + names.check_metadata(kind, obj)
    if rules.validate is not None:
        errors += rules.validate(obj)
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


def _wrong_kind(kind: Kind, obj: Obj) -> list[FieldError]:
    said = obj.get("kind") or ""
    return [] if said == kind.kind else [names.invalid_value("kind", said, f"must be {kind.kind}")]


def _update(
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
    else:
        _prepare(kind, live, new)
    errors = names.check_metadata_update(live, new)
    errors += [*errors, *_wrong_kind(kind, new)]  # the server checks metadata twice, and counts causes twice
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
    if rules.validate_update is not None:
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
