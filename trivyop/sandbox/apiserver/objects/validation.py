"""Validation of values by a schema: the errors of the real server, in its words.

Promises: all errors of a value are found, in the order of the schema's own rules; nothing is changed.
Not here: rules that no schema can say (``builtin``, ``crd``), rules in CEL (they are not evaluated).
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from trivyop.sandbox.apiserver.objects.plain import is_list, is_object
from trivyop.sandbox.apiserver.objects.refusals import FieldError

if TYPE_CHECKING:
    from trivyop.sandbox.apiserver.objects.schema import Schema

_DATE_TIME: Final = re.compile(
    r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])[Tt ]"
    r"([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)"
)
_FORMATS: Final = {
    "date-time": _DATE_TIME,
    "datetime": _DATE_TIME,
    "date": re.compile(r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])"),
    "uuid": re.compile(r"[0-9a-fA-F]{8}-?([0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}"),
    "ipv4": re.compile(r"((25[0-5]|2[0-4]\d|1?\d?\d)(\.(?!$)|$)){4}"),
    "email": re.compile(r"[^@\s]+@[^@\s]+"),
    "uri": re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:\S*"),
    "byte": re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?"),
}


def validate(schema: Schema, value: Any, name: str, field: str | None = None) -> list[FieldError]:
    """The errors of ``value``. ``name`` is its path in messages, ``field`` that in causes."""
    errors: list[FieldError] = []
    _check(schema, value, name, name if field is None else field, errors)
    return errors


def quoted(value: Any, *, ordered: bool = True) -> str:
    """A value as messages show it: JSON, with sorted keys (of maps; those of structs are as they come)."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=ordered)


def _check(schema: Schema, value: Any, name: str, field: str, errors: list[FieldError]) -> None:
    if value is None and schema.nullable:
        return
    if not _check_type(schema, value, name, field, errors):
        return
    if schema.enum and value not in schema.enum:
        known = ", ".join(map(quoted, schema.enum))
        message = f"Unsupported value: {quoted(value)}: supported values: {known}"
        errors.append(FieldError("FieldValueNotSupported", field, message))
    if is_object(value):
        _check_object(schema, value, name, field, errors)
    elif is_list(value):
        _check_list(schema, value, name, field, errors)
    elif isinstance(value, str):
        _check_string(schema, value, name, field, errors)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        _check_number(schema, value, name, field, errors)
    if schema.all_of or schema.any_of or schema.one_of or schema.not_:
        _check_combinations(schema, value, name, field, errors)


def _check_type(schema: Schema, value: Any, name: str, field: str, errors: list[FieldError]) -> bool:
    wanted, got = schema.type, _json_type(value)
    if schema.int_or_string:
        if got in ("integer", "string"):
            return True
        wanted = "integer,string"
    elif not wanted or got == wanted or (wanted == "number" and got == "integer"):
        return True
    if wanted == "integer" and got == "number":
        shown = f"Checked value must be of type integer (default format) in {name}"
        errors.append(FieldError("FieldValueInvalid", "<nil>", f'Invalid value: "": {shown}'))
    body = f'{name} in body must be of type {wanted}: "{got}"'
    errors.append(FieldError("FieldValueTypeInvalid", field, f'Invalid value: "{got}": {body}'))
    return False


def _json_type(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, str):
        return "string"
    if isinstance(value, int) or (isinstance(value, float) and value.is_integer()):
        return "integer"
    if isinstance(value, float):
        return "number"
    return "array" if is_list(value) else "object"


def _check_object(
    schema: Schema, value: dict[str, Any], name: str, field: str, errors: list[FieldError]
) -> None:
    count = len(value)
    if schema.max_properties is not None and count > schema.max_properties:
        message = f"Too many: {count}: must have at most {schema.max_properties} items"
        errors.append(FieldError("FieldValueTooMany", field, message))
    if schema.min_properties is not None and count < schema.min_properties:
        message = f"{name} in body should have at least {schema.min_properties} properties"
        errors.append(FieldError("FieldValueInvalid", field, f"Invalid value: {count}: {message}"))
    errors += [
        FieldError("FieldValueRequired", _join(field, required), "Required value")
        for required in schema.required
        if required not in value
    ]
    properties, additional = schema.properties, schema.additional
    for key, item in value.items():
        child = properties.get(key, additional)
        if child is None or child.simple is type(item) or child.go:
            continue  # metadata is a Go struct: it was checked when it was read
        _check(child, item, _join(name, key), _join(field, key), errors)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _check_list(schema: Schema, value: list[Any], name: str, field: str, errors: list[FieldError]) -> None:
    count = len(value)
    if schema.max_items is not None and count > schema.max_items:
        message = f"Too many: {count}: must have at most {schema.max_items} items"
        errors.append(FieldError("FieldValueTooMany", field, message))
    if schema.min_items is not None and count < schema.min_items:
        message = f"{name} in body should have at least {schema.min_items} items"
        errors.append(FieldError("FieldValueInvalid", field, f"Invalid value: {count}: {message}"))
    if schema.unique_items and len({quoted(item) for item in value}) < count:
        message = f"{name} in body shouldn't contain duplicates"
        errors.append(FieldError("FieldValueInvalid", field, f"Invalid value: {quoted(value)}: {message}"))
    if schema.items is not None:
        for index, item in enumerate(value):
            _check(schema.items, item, f"{name}[{index}]", f"{field}[{index}]", errors)
    if schema.list_type != "atomic":
        _check_distinct(schema, value, field, errors)


def _check_distinct(schema: Schema, value: list[Any], field: str, errors: list[FieldError]) -> None:
    seen: set[str] = set()
    for index, item in enumerate(value):
        shown = item
        if schema.list_type == "map" and is_object(item):
            entry = item
            shown = {key: entry[key] for key in schema.list_keys if key in entry}
        mark = quoted(shown)
        if mark in seen:
            errors.append(FieldError("FieldValueDuplicate", f"{field}[{index}]", f"Duplicate value: {mark}"))
        seen.add(mark)


def _check_string(schema: Schema, value: str, name: str, field: str, errors: list[FieldError]) -> None:
    if schema.max_length is not None and len(value) > schema.max_length:
        message = f"Too long: may not be more than {schema.max_length} bytes"
        errors.append(FieldError("FieldValueTooLong", field, message))
    if schema.min_length is not None and len(value) < schema.min_length:
        message = f"{name} in body should be at least {schema.min_length} chars long"
        errors.append(FieldError("FieldValueInvalid", field, f"Invalid value: {quoted(value)}: {message}"))
    if schema.pattern is not None and not schema.pattern.search(value):
        message = f"{name} in body should match '{schema.pattern_text}'"
        errors.append(FieldError("FieldValueInvalid", field, f"Invalid value: {quoted(value)}: {message}"))
    form = _FORMATS.get(schema.format)
    if form is not None and not form.fullmatch(value):
        body = f"{name} in body must be of type {schema.format}: {quoted(value)}"
        errors.append(FieldError("FieldValueTypeInvalid", field, f"Invalid value: {quoted(value)}: {body}"))


def _check_number(schema: Schema, value: float, name: str, field: str, errors: list[FieldError]) -> None:
    low, high, step = schema.minimum, schema.maximum, schema.multiple_of
    wrong: list[str] = []
    if high is not None and (value >= high if schema.exclusive_maximum else value > high):
        wrong.append(f"should be less than {'' if schema.exclusive_maximum else 'or equal to '}{high:g}")
    if low is not None and (value <= low if schema.exclusive_minimum else value < low):
        wrong.append(f"should be greater than {'' if schema.exclusive_minimum else 'or equal to '}{low:g}")
    if step and value % step:
        wrong.append(f"should be a multiple of {step:g}")
    for words in wrong:
        message = f"Invalid value: {quoted(value)}: {name} in body {words}"
        errors.append(FieldError("FieldValueInvalid", field, message))


def _check_combinations(schema: Schema, value: Any, name: str, field: str, errors: list[FieldError]) -> None:
    for part in schema.all_of:
        _check(part, value, name, field, errors)
    wrong: list[str] = []
    if schema.any_of and all(validate(part, value, name) for part in schema.any_of):
        wrong.append("must validate at least one schema (anyOf)")
    if schema.one_of:
        fitting = sum(not validate(part, value, name) for part in schema.one_of)
        if fitting != 1:
            found = "Found none valid" if not fitting else f"Found {fitting} valid alternatives"
            wrong.append(f"must validate one and only one schema (oneOf). {found}")
    if schema.not_ is not None and not validate(schema.not_, value, name):
        wrong.append("must not validate the schema (not)")
    for words in wrong:
        message = f'Invalid value: {quoted(value)}: "{name}" {words}'
        errors.append(FieldError("FieldValueInvalid", field, message))
