"""Names: which names, labels, annotations and references the server accepts, and what it says of the others.

``check_metadata`` and ``check_metadata_update`` are what every write of every kind goes through.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from trivyop.sandbox.apiserver.objects.plain import list_at
from trivyop.sandbox.apiserver.objects.refusals import FieldError
from trivyop.sandbox.apiserver.objects.validation import quoted

if TYPE_CHECKING:
    from trivyop.sandbox.apiserver.objects.kinds import Kind, Obj

NameCheck = Callable[[str], list[str]]

_LABEL: Final = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN: Final = rf"{_LABEL}(\.{_LABEL})*"
_QUALIFIED: Final = r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_LABEL_VALUE: Final = rf"({_QUALIFIED})?"
_label: Final = re.compile(_LABEL).fullmatch
_subdomain: Final = re.compile(_SUBDOMAIN).fullmatch
_qualified: Final = re.compile(_QUALIFIED).fullmatch
_label_value: Final = re.compile(_LABEL_VALUE).fullmatch

_SUBDOMAIN_RULE: Final = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must"
    " start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is"
    f" '{_SUBDOMAIN}')"
)
_LABEL_RULE: Final = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and"
    " end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is"
    f" '{_LABEL}')"
)
_QUALIFIED_RULE: Final = (
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric"
    " character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is"
    f" '{_QUALIFIED}')"
)
_PREFIX_RULE: Final = "with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
_LABEL_VALUE_RULE: Final = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must"
    " start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used"
    f" for validation is '{_LABEL_VALUE}')"
)
_IMMUTABLE: Final = (
    "name",
    "namespace",
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
)
_OWNER: Final = ("apiVersion", "kind", "name", "uid", "controller", "blockOwnerDeletion")
_MAX_ANNOTATIONS: Final = 256 * 1024
_STANDARD_FINALIZERS: Final = ("orphan", "foregroundDeletion", "kubernetes")


def invalid_value(field: str, value: Any, message: str) -> FieldError:
    return FieldError("FieldValueInvalid", field, f"Invalid value: {quoted(value)}: {message}")


def required(field: str, message: str = "") -> FieldError:
    return FieldError(
        "FieldValueRequired", field, f"Required value: {message}" if message else "Required value"
    )


def forbidden(field: str, message: str) -> FieldError:
    return FieldError("FieldValueForbidden", field, f"Forbidden: {message}")


def immutable(field: str, value: Any) -> FieldError:
    return invalid_value(field, value, "field is immutable")


def immutable_fields(before: Obj, after: Obj, fields: Iterable[str], prefix: str = "") -> list[FieldError]:
    """An error for each of the fields that changed."""
    return [
        immutable(f"{prefix}{field}", after.get(field))
        for field in fields
        if before.get(field) != after.get(field)
    ]


def not_negative(spec: Obj, fields: Iterable[str], prefix: str) -> list[FieldError]:
    """An error for each of the fields that is below zero."""
    return [
        invalid_value(f"{prefix}{field}", spec[field], "must be greater than or equal to 0")
        for field in fields
        if (spec.get(field) or 0) < 0
    ]


def not_supported(field: str, value: Any, known: tuple[str, ...]) -> FieldError:
    names = ", ".join(map(quoted, known))
    return FieldError(
        "FieldValueNotSupported", field, f"Unsupported value: {quoted(value)}: supported values: {names}"
    )


def dns_subdomain(name: str) -> list[str]:
    errors = ["must be no more than 253 characters"] if len(name) > 253 else []
    return errors if _subdomain(name) else [*errors, _SUBDOMAIN_RULE]


def dns_label(name: str) -> list[str]:
    errors = ["must be no more than 63 characters"] if len(name) > 63 else []
    return errors if _label(name) else [*errors, _LABEL_RULE]


def path_segment(name: str) -> list[str]:
    """For RBAC: anything that can stand between two slashes."""
    if name in (".", ".."):
        return [f"may not be '{name}'"]
    return [f"may not contain '{char}'" for char in "/%" if char in name]


@lru_cache(4096)
def label_key(key: str) -> tuple[str, ...]:
    """What is wrong with the key of a label."""
    if key.count("/") > 1:
        return (f"a valid label key {_QUALIFIED_RULE} {_PREFIX_RULE}",)
    return qualified_name(key)


@lru_cache(4096)
def qualified_name(key: str) -> tuple[str, ...]:
    """What is wrong with a name that may have a DNS subdomain and a slash before it."""
    prefix, slash, name = key.rpartition("/")
    if "/" in prefix:
        return (f"a qualified name {_QUALIFIED_RULE} {_PREFIX_RULE}",)
    errors: list[str] = []
    if slash and not prefix:
        errors.append("prefix part must be non-empty")
    elif slash:
        errors += [f"prefix part {message}" for message in dns_subdomain(prefix)]
    if not name:
        errors.append("name part must be non-empty")
    elif len(name) > 63:
        errors.append("name part must be no more than 63 bytes")
    if not _qualified(name):
        errors.append(f"name part {_QUALIFIED_RULE}")
    return tuple(errors)


@lru_cache(4096)
def label_value(value: str) -> tuple[str, ...]:
    """What is wrong with the value of a label."""
    if len(value) > 63:
        return ("must be no more than 63 bytes",)
    return () if _label_value(value) else (_LABEL_VALUE_RULE,)


def check_labels(labels: dict[str, str], field: str) -> list[FieldError]:
    errors: list[FieldError] = []
    for key, value in labels.items():
        errors += [invalid_value(field, key, message) for message in label_key(key)]
        errors += [invalid_value(field, value, message) for message in label_value(value)]
    return errors


def check_annotations(annotations: dict[str, str], field: str) -> list[FieldError]:
    errors: list[FieldError] = []
    for key in annotations:
        errors += [invalid_value(field, key, message) for message in qualified_name(key.lower())]
    if sum(len(key) + len(value) for key, value in annotations.items()) > _MAX_ANNOTATIONS:
        message = f"Too long: may not be more than {_MAX_ANNOTATIONS} bytes"
        errors.append(FieldError("FieldValueTooLong", field, message))
    return errors


def check_metadata(kind: Kind, obj: Obj) -> list[FieldError]:
    """The errors of an object's metadata, as on create."""
    metadata: dict[str, Any] = obj["metadata"]
    check = kind.rules.validate_name or dns_subdomain
    errors: list[FieldError] = []
    if prefix := metadata.get("generateName"):
        masked = f"{prefix[:-1]}a" if prefix.endswith("-") else prefix
        errors += [invalid_value("metadata.generateName", prefix, message) for message in check(masked)]
    name = metadata.get("name", "")
    if not name:
        errors.append(required("metadata.name", "name or generateName is required"))
    else:
        errors += [invalid_value("metadata.name", name, message) for message in check(name)]
    namespace = metadata.get("namespace", "")
    if kind.namespaced:
        if not namespace:
            errors.append(required("metadata.namespace"))
        else:
            errors += [invalid_value("metadata.namespace", namespace, m) for m in dns_label(namespace)]
    elif namespace:
        errors.append(forbidden("metadata.namespace", "not allowed on this type"))
    return errors + _check_rest(kind, metadata)


def _check_rest(kind: Kind, metadata: dict[str, Any]) -> list[FieldError]:
    errors: list[FieldError] = []
    if labels := metadata.get("labels"):
        errors += check_labels(labels, "metadata.labels")
    if annotations := metadata.get("annotations"):
        errors += check_annotations(annotations, "metadata.annotations")
    if owners := metadata.get("ownerReferences"):
        errors += _check_owners(owners)
    for index, finalizer in enumerate(list_at(metadata, "finalizers")):
        field = f"metadata.finalizers[{index}]"
        wrong = [invalid_value(field, finalizer, message) for message in qualified_name(finalizer)]
        plain = "/" not in finalizer and finalizer not in _STANDARD_FINALIZERS
        if not wrong and plain and not kind.custom and kind.group != "apiextensions.k8s.io":
            message = "name is neither a standard finalizer name nor is it fully qualified"
            wrong.append(invalid_value(field, finalizer, message))
        errors += wrong
    return errors


def _check_owners(owners: list[dict[str, Any]]) -> list[FieldError]:
    errors: list[FieldError] = []
    field = "metadata.ownerReferences"
    controllers: list[str] = []
    for owner in owners:
        if not owner.get("apiVersion"):
            errors.append(invalid_value(f"{field}.apiVersion", "", "version must not be empty"))
        errors += [
            invalid_value(f"{field}.{part}", "", "must not be empty")
            for part in ("kind", "name", "uid")
            if not owner.get(part)
        ]
        if owner.get("controller"):
            controllers.append(f"{owner.get('kind')}/{owner.get('name')}")
    if len(controllers) > 1:
        message = (
            'Only one reference can have Controller set to true. Found "true" in references for'
            f" {controllers[0]} and {controllers[1]}"
        )
        shown = quoted(
            [{part: owner[part] for part in _OWNER if part in owner} for owner in owners], ordered=False
        )
        errors.append(FieldError("FieldValueInvalid", field, f"Invalid value: {shown}: {message}"))
    return errors


def check_metadata_update(kind: Kind, old: Obj, new: Obj) -> list[FieldError]:
    """The errors of a change of metadata. What the client left out was filled in before."""
    before, after = old["metadata"], new["metadata"]
    errors = _check_rest(kind, after)
    if before.get("deletionTimestamp"):
        fresh = [f for f in list_at(after, "finalizers") if f not in list_at(before, "finalizers")]
        if fresh:
            shown = "{" + ", ".join(map(quoted, fresh)) + "}"
            message = (
                "no new finalizers can be added if the object is being deleted,"
                f" found new finalizers []string{shown}"
            )
            errors.append(forbidden("metadata.finalizers", message))
    return errors + immutable_fields(before, after, _IMMUTABLE, "metadata.")
