"""Fields that objects can be selected by: ``metadata.name`` and ``metadata.namespace``, and some kinds' own.

Promises: the fields of Kubernetes 1.36 for the kinds listed; a kind not listed has the two that all have, and
a custom one also what its definition names under ``selectableFields``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

Obj = dict[str, Any]

_NO_MAP: dict[str, Any] = {}


def _pod(obj: Obj) -> dict[str, str]:
    spec, status = obj.get("spec", _NO_MAP), obj.get("status", _NO_MAP)
    return {
        "spec.nodeName": spec.get("nodeName", ""),
        "spec.restartPolicy": spec.get("restartPolicy", ""),
        "spec.schedulerName": spec.get("schedulerName", ""),
        "spec.serviceAccountName": spec.get("serviceAccountName", ""),
        "spec.hostNetwork": "true" if spec.get("hostNetwork") else "false",
        "status.phase": status.get("phase", ""),
        "status.podIP": status.get("podIP", ""),
        "status.nominatedNodeName": status.get("nominatedNodeName", ""),
    }


def _event(obj: Obj) -> dict[str, str]:
    involved = obj.get("involvedObject", _NO_MAP)
    parts = ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
    source = obj.get("source", _NO_MAP)
    reporter = obj.get("reportingComponent", "")
    return {f"involvedObject.{part}": involved.get(part, "") for part in parts} | {
        "reason": obj.get("reason", ""),
        "reportingComponent": reporter,
        "source": source.get("component", "") or reporter,
        "type": obj.get("type", ""),
    }


def _job(obj: Obj) -> dict[str, str]:
    return {"status.successful": str(obj.get("status", _NO_MAP).get("succeeded", 0))}


def _node(obj: Obj) -> dict[str, str]:
    return {"spec.unschedulable": "true" if obj.get("spec", _NO_MAP).get("unschedulable") else "false"}


def _namespace(obj: Obj) -> dict[str, str]:
    return {"status.phase": obj.get("status", _NO_MAP).get("phase", "")}


def _secret(obj: Obj) -> dict[str, str]:
    return {"type": obj.get("type", "")}


def _scaled(obj: Obj) -> dict[str, str]:
    return {"status.replicas": str(obj.get("status", _NO_MAP).get("replicas", 0))}


_OWN: Mapping[tuple[str, str], Callable[[Obj], dict[str, str]]] = {
    ("", "pods"): _pod,
    ("", "events"): _event,
    ("", "nodes"): _node,
    ("", "namespaces"): _namespace,
    ("", "secrets"): _secret,
    ("", "replicationcontrollers"): _scaled,
    ("apps", "replicasets"): _scaled,
    ("batch", "jobs"): _job,
}

# events.k8s.io names the same fields of the same objects in its own way.
ALIASES: Mapping[tuple[str, str], Mapping[str, str]] = {
    ("events.k8s.io", "events"): {
        "regarding.kind": "involvedObject.kind",
        "regarding.namespace": "involvedObject.namespace",
        "regarding.name": "involvedObject.name",
        "regarding.uid": "involvedObject.uid",
        "regarding.apiVersion": "involvedObject.apiVersion",
        "regarding.resourceVersion": "involvedObject.resourceVersion",
        "regarding.fieldPath": "involvedObject.fieldPath",
        "reportingController": "reportingComponent",
    }
}


def fields_of(group: str, plural: str, selectable: Iterable[str] = ()) -> Callable[[Obj], dict[str, str]]:
    """Return what reads the fields off an object; ``selectable`` are paths of a custom kind's definition."""
    paths = [(path, path.split(".")) for path in selectable]
    own = _OWN.get((group, plural))

    def read(obj: Obj) -> dict[str, str]:
        metadata = obj["metadata"]
        fields = own(obj) if own else {}
        fields["metadata.name"] = metadata["name"]
        if namespace := metadata.get("namespace"):
            fields["metadata.namespace"] = namespace
        for path, keys in paths:
            fields[path] = _text(obj, keys)
        return fields

    return read


def _text(obj: Any, keys: Iterable[str]) -> str:
    """A string, boolean or integer of the object as selectors write it; "" if it is not there."""
    for key in keys:
        obj = obj.get(key, _NO_MAP)
    if isinstance(obj, bool):
        return "true" if obj else "false"
    return "" if obj == _NO_MAP else str(obj)


def supported(group: str, plural: str, *, namespaced: bool, selectable: Iterable[str] = ()) -> frozenset[str]:
    """Return the names of the fields a resource can be selected by."""
    own = _OWN.get((group, plural))
    names = {"metadata.name", *(own({}) if own else ()), *selectable}
    names.update(ALIASES.get((group, plural), ()))
    return frozenset(names | {"metadata.namespace"} if namespaced else names)
