"""Applied objects: whether what a client applies fits the schema, as server-side apply checks it.

Other writes drop fields that a kind does not have; an apply refuses them, because a field that nobody can
own can not be applied. The server answers with 500 then, and so do we.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trivyop.sandbox.apiserver.objects.fieldset import key_element, paths, value_element
from trivyop.sandbox.apiserver.objects.plain import fields_at, is_list, is_object
from trivyop.sandbox.apiserver.objects.refusals import internal_error

if TYPE_CHECKING:
    from trivyop.sandbox.apiserver.objects.kinds import Kind, Obj
    from trivyop.sandbox.apiserver.objects.schema import Schema


def check_applied(kind: Kind, applied: Obj) -> None:
    """Raise ``Refused`` (500) if it has fields, types or list items that the schema does not allow."""
    errors: list[str] = []
    _check(kind.schema, applied, "", errors)
    if not errors:
        return
    metadata = fields_at(applied, "metadata")
    words = errors[0] if len(errors) == 1 else "errors:\n" + "\n".join(f"  {error}" for error in errors)
    place = f"{metadata.get('namespace', '')}/{metadata.get('name', '')}"
    which = f"{kind.group}/{kind.version}, Kind={kind.kind}"
    raise internal_error(f"failed to create typed patch object ({place}; {which}): {words}")


def _check(schema: Schema, value: Any, path: str, errors: list[str]) -> None:
    if value is None:
        return
    if schema.properties or schema.additional is not None or schema.type == "object":
        _check_map(schema, value, path, errors)
    elif schema.type == "array":
        _check_list(schema, value, path, errors)
    elif not schema.int_or_string and not schema.preserve_unknown:
        _check_scalar(schema, value, path, errors)


def _check_map(schema: Schema, value: Any, path: str, errors: list[str]) -> None:
    if not is_object(value):
        errors.append(f"{path}: expected map, got {_go_value(value)}")
        return
    for name, item in value.items():
        child = schema.properties.get(name, schema.additional)
        if child is not None:
            _check(child, item, f"{path}.{name}", errors)
        elif not schema.preserve_unknown:
            errors.append(f"{path}.{name}: field not declared in schema")


def _check_list(schema: Schema, value: Any, path: str, errors: list[str]) -> None:
    if not is_list(value):
        errors.append(f"{path}: expected list, got {_go_value(value)}")
        return
    seen: set[str] = set()
    for index, item in enumerate(value):
        place = f"{path}[{index}]"
        if schema.list_type != "atomic":
            element = _element(schema, item, f"{path}: element {index}", errors)
            if element is None:
                continue
            place = f"{path}{paths({element: {}})[0]}"
            if element in seen:
                errors.append(f"{path}: duplicate entries for key {paths({element: {}})[0]}")
            seen.add(element)
        if schema.items is not None:
            _check(schema.items, item, place, errors)


def _element(schema: Schema, item: Any, where: str, errors: list[str]) -> str | None:
    if schema.list_type == "set":
        return value_element(item)
    if not is_object(item):
        errors.append(f"{where}: associative list with keys may not have non-map elements")
        return None
    entry = item
    if not any(key in entry or key in schema.key_defaults for key in schema.list_keys):
        missing = schema.list_keys[0] if schema.list_keys else ""
        errors.append(
            f"{where}: associative list with keys has an element that omits key field {_quote(missing)}"
            " (and doesn't have default value)"
        )
        return None
    return key_element(schema.list_keys, entry, schema.key_defaults)


def _check_scalar(schema: Schema, value: Any, path: str, errors: list[str]) -> None:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if schema.type == "string":
        fits, wanted = isinstance(value, str) or (schema.format == "quantity" and number), "string"
    elif schema.type == "boolean":
        fits, wanted = isinstance(value, bool), "boolean"
    elif schema.type in ("integer", "number"):
        fits, wanted = number, "numeric (int or float)"
    else:
        return
    if not fits:
        errors.append(f"{path}: expected {wanted}, got {_go_value(value)}")


def _go_value(value: Any) -> str:
    """The value as Go's formatting shows the wrapper around it."""
    if isinstance(value, bool):
        shown = str(value).lower()
    elif isinstance(value, str):
        shown = _quote(value)
    elif is_object(value):
        shown = "map[string]interface {}{...}"
    elif is_list(value):
        shown = "[]interface {}{...}"
    else:
        shown = str(value)
    return f"&value.valueUnstructured{{Value:{shown}}}"


def _quote(text: str) -> str:
    return f'"{text}"'
