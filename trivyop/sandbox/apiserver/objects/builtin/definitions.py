"""CustomResourceDefinitions as objects: their defaults, and whether they are sound.

Promises: what ``kinds.Rules`` promises of each rule.
Not here: the kinds that they define (``crd``), rules in CEL.
"""

from __future__ import annotations

import copy
import re
from typing import TYPE_CHECKING, Any, Final

from trivyop.sandbox.apiserver.objects.kinds import Rules
from trivyop.sandbox.apiserver.objects.names import (
    dns_label,
    dns_subdomain,
    immutable_fields,
    invalid_value,
    not_supported,
    required,
)
from trivyop.sandbox.apiserver.objects.plain import fields_at, is_list, is_object, list_at
from trivyop.sandbox.apiserver.objects.refusals import FieldError
from trivyop.sandbox.apiserver.objects.validation import quoted

if TYPE_CHECKING:
    from trivyop.sandbox.apiserver.objects.kinds import Obj

_APPROVAL: Final = "api-approved.kubernetes.io"
_PROTECTED: Final = re.compile(r"(.*\.)?(k8s|kubernetes)\.io")
_TYPES: Final = ("array", "boolean", "integer", "number", "object", "string")


def _default(obj: Obj) -> None:
    names = obj["spec"]["names"]
    if names.get("kind"):
        names.setdefault("singular", names["kind"].lower())
        names.setdefault("listKind", f"{names['kind']}List")
    obj["spec"].setdefault("conversion", {"strategy": "None"})


def _prepare_create(obj: Obj) -> None:
    obj["status"] = {
        "conditions": None,
        "acceptedNames": {"plural": "", "kind": ""},
        "storedVersions": _storage_versions(obj),
    }


def _storage_versions(obj: Obj) -> list[str]:
    return [version["name"] for version in list_at(obj["spec"], "versions") if version.get("storage")][:1]


def _prepare_update(old: Obj, new: Obj) -> None:
    status = new["status"] = copy.deepcopy(old["status"])
    stored = status["storedVersions"] = list(list_at(status, "storedVersions"))
    stored += [version for version in _storage_versions(new) if version not in stored]


def _prepare_status(old: Obj, new: Obj) -> None:
    new["spec"] = old["spec"]
    managed = new["metadata"].get("managedFields")
    new["metadata"] = dict(old["metadata"])
    if managed is not None:
        new["metadata"]["managedFields"] = managed


def _validate(obj: Obj) -> list[FieldError]:
    spec, name = obj["spec"], obj["metadata"].get("name", "")
    names = spec["names"]
    errors: list[FieldError] = []
    if name != f"{names['plural']}.{spec['group']}":
        errors.append(invalid_value("metadata.name", name, 'must be spec.names.plural+"."+spec.group'))
    errors += _check_spec(spec)
    errors += _check_stored(obj)
    errors += _check_approval(obj)
    return errors


def _check_spec(spec: dict[str, Any]) -> list[FieldError]:
    errors: list[FieldError] = []
    group, versions = spec["group"], list_at(spec, "versions")
    if not group:
        errors.append(required("spec.group"))
    else:
        errors += [invalid_value("spec.group", group, message) for message in dns_subdomain(group)]
        if "." not in group:
            errors.append(invalid_value("spec.group", group, "should be a domain with at least one dot"))
    if spec["scope"] not in ("Cluster", "Namespaced"):
        errors.append(not_supported("spec.scope", spec["scope"], ("Cluster", "Namespaced")))
    if sum(bool(version.get("storage")) for version in versions) != 1:
        shown = quoted([_in_go(version) for version in versions], ordered=False)
        message = f"Invalid value: {shown}: must have exactly one version marked as storage version"
        errors.append(FieldError("FieldValueInvalid", "spec.versions", message))
    lone = len(versions) == 1
    for index, version in enumerate(versions):
        errors += _check_version(version, f"spec.versions[{index}]", lone=lone)
    if spec.get("preserveUnknownFields"):
        errors += _check_preserving(spec)
    names = spec["names"]
    for part in ("plural", "singular", "kind", "listKind"):
        value = names.get(part, "")
        if not value:
            errors.append(required(f"spec.names.{part}"))
        else:
            errors += [invalid_value(f"spec.names.{part}", value, m) for m in dns_label(value.lower())]
    return errors


def _in_go(version: dict[str, Any]) -> dict[str, Any]:
    """A version as the server shows it in messages: the fields of its struct, the large ones left out."""
    return {
        "Name": version["name"],
        "Served": version["served"],
        "Storage": version["storage"],
        "Deprecated": version.get("deprecated", False),
        "DeprecationWarning": version.get("deprecationWarning"),
        "Schema": None,
        "Subresources": None,
        "AdditionalPrinterColumns": None,
        "SelectableFields": None,
    }


def _check_version(version: dict[str, Any], field: str, *, lone: bool) -> list[FieldError]:
    errors = [
        invalid_value(f"{field}.name", version["name"], message) for message in dns_label(version["name"])
    ]
    schema = fields_at(version, "schema").get("openAPIV3Schema")
    if schema is None:
        return [*errors, required(f"{field}.schema.openAPIV3Schema")]
    place = "spec.validation.openAPIV3Schema" if lone else f"{field}.schema.openAPIV3Schema"
    errors += _check_types(schema, place, root=True)
    for index, column in enumerate(list_at(version, "additionalPrinterColumns")):
        if not column.get("jsonPath"):
            errors.append(required(f"{field}.additionalPrinterColumns[{index}].JSONPath"))
    return errors


def _check_types(schema: dict[str, Any], field: str, *, root: bool = False) -> list[FieldError]:
    """Structural schemas say the type of everything that they name."""
    errors: list[FieldError] = []
    for name, child in sorted(fields_at(schema, "properties").items()):
        errors += _check_types(child, f"{field}.properties[{name}]")
    if isinstance(schema.get("items"), dict):
        errors += _check_types(schema["items"], f"{field}.items")
    if isinstance(schema.get("additionalProperties"), dict):
        errors += _check_types(schema["additionalProperties"], f"{field}.additionalProperties")
    kind = schema.get("type", "")
    free = schema.get("x-kubernetes-preserve-unknown-fields") or schema.get("x-kubernetes-int-or-string")
    if kind and kind not in _TYPES:
        errors.append(not_supported(f"{field}.type", kind, _TYPES))
    elif root and kind != "object":
        message = "must not be empty at the root" if not kind else "must be object at the root"
        errors.append(
            required(f"{field}.type", message) if not kind else invalid_value(f"{field}.type", kind, message)
        )
    elif not kind and not free:
        what = "array items" if field.endswith(".items") else "object fields"
        errors.append(required(f"{field}.type", f"must not be empty for specified {what}"))
    return errors


def _check_preserving(spec: dict[str, Any]) -> list[FieldError]:
    field = "spec.preserveUnknownFields"
    errors: list[FieldError] = []
    if any(_has_defaults(fields_at(version, "schema")) for version in list_at(spec, "versions")):
        errors.append(invalid_value(field, True, "must be false in order to use defaults in the schema"))
    message = (
        "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema"
        " instead"
    )
    return [*errors, invalid_value(field, True, message)]


def _has_defaults(schema: Any) -> bool:
    if is_object(schema):
        return "default" in schema or any(map(_has_defaults, schema.values()))
    return is_list(schema) and any(map(_has_defaults, schema))


def _check_stored(obj: Obj) -> list[FieldError]:
    stored = list_at(obj, "status", "storedVersions")
    return [
        invalid_value("status.storedVersions", stored, f"must have the storage version {version['name']}")
        for version in list_at(obj["spec"], "versions")
        if version.get("storage") and version["name"] not in stored
    ]


def _check_approval(obj: Obj) -> list[FieldError]:
    approval = fields_at(obj["metadata"], "annotations").get(_APPROVAL)
    if approval or not _PROTECTED.fullmatch(obj["spec"]["group"]):
        return []
    message = (
        f'protected groups must have approval annotation "{_APPROVAL}",'
        " see https://github.com/kubernetes/enhancements/pull/1111"
    )
    return [required(f"metadata.annotations[{_APPROVAL}]", message)]


def _validate_update(old: Obj, new: Obj) -> list[FieldError]:
    before, after = old["spec"], new["spec"]
    names = (before["names"], after["names"])
    return immutable_fields(before, after, ("group", "scope"), "spec.") + immutable_fields(
        *names, ("plural", "kind"), "spec.names."
    )


DEFINITION: Final = Rules(
    default=_default,
    prepare_create=_prepare_create,
    prepare_update=_prepare_update,
    prepare_status=_prepare_status,
    validate=_validate,
    validate_update=_validate_update,
    generation=True,
    unconditional_update=False,
)
