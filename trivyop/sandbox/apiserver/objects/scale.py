"""Scales: the subresource that shows and sets only the number of replicas.

Promises: ``scale_of`` of the object that ``scaled`` returns has the replicas that were asked for.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Final

from trivyop.sandbox.apiserver.objects import selecting
from trivyop.sandbox.apiserver.objects.decoding import decode_strict
from trivyop.sandbox.apiserver.objects.names import invalid_value
from trivyop.sandbox.apiserver.objects.plain import fields_at, is_object
from trivyop.sandbox.apiserver.objects.refusals import bad_request, invalid

if TYPE_CHECKING:
    from trivyop.sandbox.apiserver.objects.kinds import Kind, Obj

_GROUP: Final = "autoscaling"
_METADATA: Final = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")


def _paths(kind: Kind) -> tuple[list[str], list[str], list[str]]:
    spec, status, selector = kind.scale_paths or (".spec.replicas", ".status.replicas", "")
    return (spec.split(".")[1:], status.split(".")[1:], selector.split(".")[1:])


def owned(kind: Kind) -> dict[str, Any]:
    """The field that a scale sets, as a field set."""
    out: dict[str, Any] = {}
    for name in reversed(_paths(kind)[0]):
        out = {f"f:{name}": out}
    return out


def _find(obj: Any, path: list[str]) -> Any:
    for part in path:
        obj = obj.get(part) if is_object(obj) else None
    return obj


def scale_of(kind: Kind, obj: Obj) -> Obj:
    """The Scale (autoscaling/v1) of an object."""
    spec, status, selector = _paths(kind)
    shown = _find(obj, selector) if selector else _selector(obj)
    replicas = _find(obj, spec)
    out: Obj = {
        "kind": "Scale",
        "apiVersion": f"{_GROUP}/v1",
        "metadata": {part: obj["metadata"][part] for part in _METADATA if part in obj["metadata"]},
        "spec": {"replicas": replicas} if replicas else {},
        "status": {"replicas": _find(obj, status) or 0},
    }
    if shown:
        out["status"]["selector"] = shown
    return out


def _selector(obj: Obj) -> str:
    selector = fields_at(obj["spec"], "selector")
    if obj.get("kind") == "ReplicationController":
        selector = {"matchLabels": selector}
    return selecting.shown(selector)


def scaled(kind: Kind, live: Obj, wanted: Obj) -> Obj:
    """The live object with the replicas of a Scale; raises ``Refused``."""
    replicas = fields_at(wanted, "spec").get("replicas") or 0
    name = live["metadata"]["name"]
    if not isinstance(replicas, int) or isinstance(replicas, bool):
        message = (
            'Scale in version "v1" cannot be handled as a Scale: json: cannot unmarshal string into Go struct'
        )
        raise bad_request(f"{message} field ScaleSpec.spec.replicas of type int32")
    if replicas < 0:
        error = invalid_value("spec.replicas", replicas, "must be greater than or equal to 0")
        raise invalid("Scale", _GROUP, name, [error])
    out = copy.deepcopy(live)
    path, _, _ = _paths(kind)
    place: Any = out
    for part in path[:-1]:
        place = place.setdefault(part, {})
    place[path[-1]] = replicas
    sent = fields_at(wanted, "metadata").get("resourceVersion")
    if sent:
        out["metadata"]["resourceVersion"] = sent
    return out


def replaced(kind: Kind, live: Obj, body: bytes) -> Obj:
    """The live object with the replicas of the Scale in a body; raises ``Refused``."""
    try:
        value, _ = decode_strict(body)
    except ValueError as error:
        raise bad_request(f"couldn't get version/kind; json parse error: {error}") from None
    if not is_object(value):
        raise bad_request("the object provided is unrecognized (must be of type Scale)")
    return scaled(kind, live, value)
