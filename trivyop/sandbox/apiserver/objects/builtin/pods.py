"""Pods: defaults beyond those of every pod spec, admission, quality of service, what may change.

Promises: arguments are only changed where a rule says so (``kinds.Rules``).
Not here: pod specs (``podspec``), deletion and eviction.
"""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any, Final

from trivyop.sandbox.apiserver.objects.builtin.podspec import (
    check_pod_spec,
    containers_of,
    default_pod_spec,
)
from trivyop.sandbox.apiserver.objects.kinds import Rules
from trivyop.sandbox.apiserver.objects.names import forbidden
from trivyop.sandbox.apiserver.objects.plain import fields_at, list_at

if TYPE_CHECKING:
    from trivyop.sandbox.apiserver.objects.kinds import Obj
    from trivyop.sandbox.apiserver.objects.refusals import FieldError
    from trivyop.sandbox.apiserver.objects.write import Write

_TOKEN_PATH: Final = "/var/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105  # a path
_TOKEN_SECONDS: Final = 3607  # an hour, and a few seconds so that clients can tell it from one they asked for
_NOT_READY: Final = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
_MAY_CHANGE: Final = (
    "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)


def _default(pod: Obj) -> None:
    spec = pod["spec"]
    default_pod_spec(spec)
    spec.setdefault("enableServiceLinks", True)
    for container in containers_of(spec):
        limits = fields_at(container, "resources").get("limits")
        if limits:
            requests = container["resources"].setdefault("requests", {})
            for name, limit in limits.items():
                requests.setdefault(name, limit)


def _admit(pod: Obj, write: Write) -> None:
    spec = pod["spec"]
    if write.service_account:
        account = spec.get("serviceAccountName") or "default"
        spec["serviceAccountName"] = spec["serviceAccount"] = account
        if spec.get("automountServiceAccountToken") is not False:
            _mount_token(spec, write)
    tolerations = spec.setdefault("tolerations", [])
    for key in _NOT_READY:
        if not any(_tolerates(toleration, key) for toleration in tolerations):
            tolerations.append(
                {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}
            )


def _tolerates(toleration: dict[str, Any], key: str) -> bool:
    return toleration.get("key", key) == key and toleration.get("effect", "NoExecute") == "NoExecute"


def _mount_token(spec: dict[str, Any], write: Write) -> None:
    """The volume with the service account's token, for all containers that have nothing else at its place."""
    mounting = [
        container
        for container in containers_of(spec)
        if not any(mount.get("mountPath") == _TOKEN_PATH for mount in list_at(container, "volumeMounts"))
    ]
    if not mounting:
        return
    name = f"kube-api-access-{write.token()}"
    namespace_item = {
        "path": "namespace",
        "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"},
    }
    sources = [
        {"serviceAccountToken": {"expirationSeconds": _TOKEN_SECONDS, "path": "token"}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [namespace_item]}},
    ]
    volume = {"name": name, "projected": {"sources": sources, "defaultMode": 0o644}}
    spec.setdefault("volumes", []).append(volume)
    for container in mounting:
        mount = {"name": name, "readOnly": True, "mountPath": _TOKEN_PATH}
        container.setdefault("volumeMounts", []).append(mount)


def _prepare_create(pod: Obj) -> None:
    pod["status"] = {"phase": "Pending", "qosClass": _quality(pod["spec"])}


def _quality(spec: dict[str, Any]) -> str:
    """Guaranteed: limits on both resources, and requests equal to them, in every container."""
    guaranteed, best_effort = True, True
    for container in containers_of(spec):
        resources = fields_at(container, "resources")
        limits, requests = fields_at(resources, "limits"), fields_at(resources, "requests")
        counted = [name for name in ("cpu", "memory") if name in limits or name in requests]
        best_effort = best_effort and not counted
        guaranteed = guaranteed and all(
            name in limits and requests.get(name, limits[name]) == limits[name] for name in ("cpu", "memory")
        )
    return "BestEffort" if best_effort else "Guaranteed" if guaranteed else "Burstable"


def _prepare_update(old: Obj, new: Obj) -> None:
    new["status"] = copy.deepcopy(fields_at(old, "status"))


def _prepare_status(old: Obj, new: Obj) -> None:
    new["spec"] = old["spec"]
    quality = fields_at(old, "status").get("qosClass")
    if quality:
        new.setdefault("status", {}).setdefault("qosClass", quality)
    for part in ("deletionTimestamp", "deletionGracePeriodSeconds", "ownerReferences"):
        if part in old["metadata"]:
            new["metadata"][part] = old["metadata"][part]


def _validate(pod: Obj) -> list[FieldError]:
    return check_pod_spec(pod["spec"], "spec")


def _validate_update(old: Obj, new: Obj) -> list[FieldError]:
    before, after = copy.deepcopy(old["spec"]), copy.deepcopy(new["spec"])
    for spec in (before, after):
        for container in [*list_at(spec, "containers"), *list_at(spec, "initContainers")]:
            container.pop("image", None)
        spec.pop("activeDeadlineSeconds", None)
    kept, tolerations = list_at(before, "tolerations"), list_at(after, "tolerations")
    before.pop("tolerations", None)
    after.pop("tolerations", None)
    if before.get("schedulingGates"):
        for part in ("nodeSelector", "affinity", "schedulingGates"):
            before.pop(part, None)
            after.pop(part, None)
    if before == after and all(toleration in tolerations for toleration in kept):
        return []
    shown = json.dumps(after, indent=2, sort_keys=True)
    return [forbidden("spec", f"{_MAY_CHANGE}\n{shown}")]


POD: Final = Rules(
    default=_default,
    admit=_admit,
    prepare_create=_prepare_create,
    prepare_update=_prepare_update,
    prepare_status=_prepare_status,
    validate=_validate,
    validate_update=_validate_update,
    generation=True,
)
