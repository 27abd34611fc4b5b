"""Reading: what a kind makes of the JSON or YAML that a client sent.

Built-in kinds are read into structs (``typed``), custom resources are pruned (``structural``); both get
their defaults. Unknown and duplicate fields are refused, warned of or ignored, as the client wishes.

Promises: the messages of the real server.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, cast

from trivyop.sandbox.apiserver.objects import structural, typed
from trivyop.sandbox.apiserver.objects.decoding import YAML, decode_strict, decode_yaml
from trivyop.sandbox.apiserver.objects.plain import is_object
from trivyop.sandbox.apiserver.objects.refusals import Refused, bad_request

if TYPE_CHECKING:
    from trivyop.sandbox.apiserver.objects.kinds import Kind, Obj
    from trivyop.sandbox.apiserver.objects.schema import Schema

_NO_KIND: Final = 'scheme "k8s.io/kubernetes/pkg/api/legacyscheme/scheme.go:30"'
_TYPE_STRUCT: Final = (
    'struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }'
)
_SHOWN: Final = 30


class UnreadableError(ValueError):
    """The value can not be an object of the kind; the message lacks who says so."""


def read_body(kind: Kind, body: bytes, media_type: str, validation: str) -> tuple[Obj, list[str]]:
    """The object in a body, and the warnings; raises ``Refused`` (400)."""
    try:
        value, doubles = decode_yaml(body) if media_type == YAML else decode_strict(body)
    except ValueError as error:
        raise _unrecognized(kind, body, str(error)) from None
    if not is_object(value):
        name = typed.json_name(value)
        raise _unrecognized(kind, body, f"json: cannot unmarshal {name} into Go value of type {_TYPE_STRUCT}")
    obj: Obj = value
    said = obj.get("kind") or kind.kind
    version = str(obj.get("apiVersion") or kind.api_version).rpartition("/")[2]
    try:
        return read(kind, obj, doubles, validation)
    except UnreadableError as error:
        raise bad_request(
            f'{said} in version "{version}" cannot be handled as a {kind.kind}: {error}'
        ) from None


def _unrecognized(kind: Kind, body: bytes, message: str) -> Refused:
    if not body:
        shown = "<empty>"
    else:
        head = body[:_SHOWN]
        shown = head.decode(errors="replace") if body[:1] == b"{" else head.hex()
        shown += " ..." if len(body) > _SHOWN else ""
    return bad_request(
        f"the object provided is unrecognized (must be of type {kind.kind}): couldn't get version/kind;"
        f" json parse error: {message} ({shown})"
    )


def read(
    kind: Kind, value: Obj, doubles: list[str], validation: str, *, applied: bool = False
) -> tuple[Obj, list[str]]:
    """The object in a JSON value, with defaults, and the warnings; raises ``UnreadableError``.

    ``applied``: the value is what a server-side apply came to, in which nulls of custom resources count.
    """
    unknown: list[str] = []
    if kind.custom:
        obj = _read_custom(kind, value, unknown, keep_nulls=applied)
    else:
        _check_kind(kind, value)
        try:
            obj = cast("Obj", typed.conform(kind.schema, value, unknown))
        except ValueError as error:
            raise UnreadableError(str(error)) from None
        obj["kind"], obj["apiVersion"] = kind.kind, kind.api_version
        if kind.rules.default is not None:
            kind.rules.default(obj)
    if not (doubles or unknown) or validation == "Ignore":
        return obj, []
    complaints = [f'duplicate field "{path}"' for path in doubles] + [
        f'unknown field "{path}"' for path in unknown
    ]
    if validation == "Strict":
        raise UnreadableError(f"strict decoding error: {', '.join(complaints)}")
    return obj, complaints


def _check_kind(kind: Kind, value: Obj) -> None:
    said, version = value.get("kind") or kind.kind, value.get("apiVersion") or kind.api_version
    if said == kind.kind and version == kind.api_version:
        return
    if not kind.registered(version, said):
        number = str(version).rpartition("/")[2] if "/" not in str(version) else version
        raise UnreadableError(f'no kind "{said}" is registered for version "{number}" in {_NO_KIND}')
    if said != kind.kind:
        ours, theirs = _package(kind.group), _package(str(version).rpartition("/")[0])
        number = str(version).rpartition("/")[2]
        del theirs
        raise UnreadableError(f"converting ({number}.{said}) to ({ours}.{kind.kind}): unknown conversion")


def _package(group: str) -> str:
    return group.partition(".")[0] or "core"


def _read_custom(kind: Kind, value: Obj, unknown: list[str], *, keep_nulls: bool) -> Obj:
    metadata: Any = value.get("metadata")
    rest = {name: item for name, item in value.items() if name != "metadata"}
    obj = cast("Obj", structural.prune(kind.schema, rest, unknown))
    found: list[str] = []
    try:
        held = typed.conform(kind.schema.properties["metadata"], metadata or {}, found)
    except typed.MismatchError as mismatch:
        mismatch.path.append("metadata")
        raise UnreadableError(str(mismatch)) from None
    except ValueError as error:
        raise UnreadableError(str(error)) from None
    unknown += [f"metadata.{path}" for path in found]
    unknown.sort()
    obj["metadata"] = held
    structural.default_in_place(kind.schema, obj, keep_nulls=keep_nulls)
    return obj


@lru_cache(1024)
def _empty(schema: Schema) -> str:
    return json.dumps(typed.zero(schema))


def empty(schema: Schema) -> Any:
    """A fresh empty value of a built-in kind's field, as the server writes it."""
    return json.loads(_empty(schema))
