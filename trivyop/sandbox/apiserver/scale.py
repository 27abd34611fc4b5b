"""Scale: the number of replicas of whatever has one, in one shape for all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from trivyop.sandbox.apiserver import status
from trivyop.sandbox.apiserver.objects import fieldmanager, patching
from trivyop.sandbox.apiserver.request import Reply
from trivyop.sandbox.apiserver.writes import now

if TYPE_CHECKING:
    from trivyop.sandbox.apiserver.kinds import Served
    from trivyop.sandbox.apiserver.request import Request
    from trivyop.sandbox.apiserver.storage import Stored

Obj = dict[str, Any]

_STALE = "the object has been modified; please apply your changes to the latest version and try again"


class _Paths(NamedTuple):
    spec: list[str] = ["spec", "replicas"]
    status: list[str] = ["status", "replicas"]


def get(served: Served, stored: Stored) -> Reply:
    """GET of the scale."""
    return Reply.json(_scale_of(served, stored))


def change(request: Request, served: Served, stored: Stored) -> Reply:
    """PUT or PATCH of the scale."""
    is_patch = request.info.verb == "patch"
    wanted = _patched(_scale_of(served, stored), request) if is_patch else request.decoded()
    replicas = (wanted.get("spec") or {}).get("replicas", 0)
    if replicas < 0:
        message = f"Invalid value: {replicas}: must be greater than or equal to 0"
        error = status.FieldError("FieldValueInvalid", "spec.replicas", message)
        raise status.invalid("Scale", "autoscaling", stored.name, [error])
    rv = (wanted.get("metadata") or {}).get("resourceVersion")
    if rv and rv != str(stored.rv):
        raise status.conflict(served.kind.group, served.kind.plural, stored.name, _STALE)
    live, obj, paths = served.obj(stored), served.obj(stored), _paths(served)
    if _read(obj, paths.spec) != replicas:
        _write(obj, paths.spec, replicas)
        if generation := obj["metadata"].get("generation"):
            obj["metadata"]["generation"] = generation + 1
    obj = fieldmanager.track_update(
        served.kind, live, obj, manager=request.manager, now=now(), subresource="scale"
    )
    if obj != live:
        stored = served.preview(obj, stored.rv) if request.dry_run else served.put(obj)
    return Reply.json(_scale_of(served, stored))


def _paths(_: Served) -> _Paths:
    return _Paths()


def _scale_of(served: Served, stored: Stored) -> Obj:
    obj, paths = served.obj(stored), _paths(served)
    metadata = {
        key: obj["metadata"][key]
        for key in ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
        if key in obj["metadata"]
    }
    replicas = _read(obj, paths.spec)
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": metadata,
        "spec": {"replicas": replicas} if replicas else {},
        "status": {"replicas": _read(obj, paths.status)} | _selector(obj),
    }


def _selector(obj: Obj) -> Obj:
    selector = obj.get("spec", {}).get("selector") or {}
    labels: dict[str, str] = selector.get("matchLabels", selector)
    terms = [f"{key}={value}" for key, value in sorted(labels.items()) if isinstance(value, str)]
    return {"selector": ",".join(terms)} if terms else {}


def _read(obj: Obj, path: list[str]) -> int:
    value: Any = obj
    for part in path:
        value = (value or {}).get(part)
    return value or 0


def _write(obj: Obj, path: list[str], value: int) -> None:
    for part in path[:-1]:
        obj = obj.setdefault(part, {})
    obj[path[-1]] = value


def _patched(scale: Obj, request: Request) -> Obj:
    patch = request.decoded_patch()
    if request.media_type == "application/json-patch+json":
        return patching.json_patch(scale, patch)
    return patching.merge_patch(scale, patch)
