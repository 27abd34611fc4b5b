"""Namespaces, nodes, ConfigMaps, Secrets, Services and the smaller kinds of the core group.

Promises: what ``kinds.Rules`` promises of each rule.
Not here: events (``events``), pods (``pods``), what deletion does.
"""

from __future__ import annotations

import base64
import copy
import hashlib
import json
import re
from typing import TYPE_CHECKING, Any, Final

from trivyop.sandbox.apiserver.objects.kinds import Rules
from trivyop.sandbox.apiserver.objects.names import (
    dns_label,
    forbidden,
    immutable,
    invalid_value,
    not_supported,
    required,
)
from trivyop.sandbox.apiserver.objects.plain import fields_at, list_at
from trivyop.sandbox.apiserver.objects.refusals import FieldError

if TYPE_CHECKING:
    from trivyop.sandbox.apiserver.objects.kinds import Obj
    from trivyop.sandbox.apiserver.objects.write import Write

_CONFIG_KEY: Final = re.compile(r"[-._a-zA-Z0-9]+")
_CONFIG_KEY_RULE: Final = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',"
    "  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
)
_MAX_SECRET: Final = 1024 * 1024
_NAME_LABEL: Final = "kubernetes.io/metadata.name"
_NOT_READY: Final = "node.kubernetes.io/not-ready"
_FROZEN: Final = "field is immutable when `immutable` is set"


def check_keys(data: dict[str, str], field: str) -> list[FieldError]:
    """The errors of the keys of a ConfigMap's or Secret's data."""
    errors: list[FieldError] = []
    for key in data:
        place = f"{field}[{key}]"
        if len(key) > 253:
            errors.append(invalid_value(place, key, "must be no more than 253 characters"))
        if not _CONFIG_KEY.fullmatch(key):
            errors.append(invalid_value(place, key, _CONFIG_KEY_RULE))
        elif key in (".", "..") or key.startswith(".."):
            errors.append(invalid_value(place, key, "must not be '.' or start with '..'"))
    return errors


def _validate_config_map(obj: Obj) -> list[FieldError]:
    data, binary = fields_at(obj, "data"), fields_at(obj, "binaryData")
    errors = check_keys(data, "data")
    errors += [
        invalid_value(f"data[{key}]", key, "duplicate of key present in binaryData")
        for key in data
        if key in binary
    ]
    errors += check_keys(binary, "binaryData")
    size = sum(map(len, data.values())) + sum(len(value) * 3 // 4 for value in binary.values())
    return errors + _too_long("[]", size)


def _too_long(field: str, size: int) -> list[FieldError]:
    if size <= _MAX_SECRET:
        return []
    return [FieldError("FieldValueTooLong", field, f"Too long: may not be more than {_MAX_SECRET} bytes")]


def _validate_frozen(old: Obj, new: Obj) -> list[FieldError]:
    if not old.get("immutable"):
        return []
    errors: list[FieldError] = []
    if not new.get("immutable"):
        errors.append(forbidden("immutable", _FROZEN))
    errors += [forbidden(part, _FROZEN) for part in ("data", "binaryData") if old.get(part) != new.get(part)]
    return errors


def _default_secret(obj: Obj) -> None:
    if text := obj.pop("stringData", None):
        data = obj.setdefault("data", {})
        for key, value in text.items():
            data[key] = base64.b64encode(value.encode()).decode()
    obj.setdefault("type", "Opaque")


_NEEDED: Final = {
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
}


def _validate_secret(obj: Obj) -> list[FieldError]:
    data: dict[str, str] = fields_at(obj, "data")
    errors = check_keys(data, "data") + _too_long("data", sum(len(value) * 3 // 4 for value in data.values()))
    kind = obj.get("type", "")
    for key in _NEEDED.get(kind, ()):
        if key not in data:
            errors.append(required(f"data[{key}]"))
        elif key.startswith(".docker"):
            errors += _check_json(f"data[{key}]", data[key])
    if kind == "kubernetes.io/basic-auth" and not ({"username", "password"} & set(data)):
        errors += [required("data[username]"), required("data[password]")]
    if kind == "kubernetes.io/service-account-token":
        annotation = "kubernetes.io/service-account.name"
        if not fields_at(obj["metadata"], "annotations").get(annotation):
            errors.append(required(f"metadata.annotations[{annotation}]"))
    return errors


def _check_json(field: str, encoded: str) -> list[FieldError]:
    try:
        json.loads(base64.b64decode(encoded))
    except ValueError:
        hidden = "<secret contents redacted>"
        return [FieldError("FieldValueInvalid", field, f'Invalid value: "{hidden}": invalid character')]
    return []


def _validate_secret_update(old: Obj, new: Obj) -> list[FieldError]:
    errors = [] if old.get("type") == new.get("type") else [immutable("type", new.get("type"))]
    return errors + _validate_frozen(old, new)


def _default_namespace(obj: Obj) -> None:
    name = obj["metadata"].get("name")
    if name:
        labels = obj["metadata"].setdefault("labels", {})
        labels[_NAME_LABEL] = name
    obj["status"].setdefault("phase", "Active")


def _prepare_namespace(obj: Obj) -> None:
    obj["metadata"].setdefault("labels", {})[_NAME_LABEL] = obj["metadata"]["name"]
    obj["status"] = {"phase": "Active"}
    finalizers = obj["spec"].setdefault("finalizers", [])
    if "kubernetes" not in finalizers:
        finalizers.append("kubernetes")


def _keep_namespace(old: Obj, new: Obj) -> None:
    new["spec"] = copy.deepcopy(old["spec"])
    new["status"] = copy.deepcopy(old["status"])


def _default_node(obj: Obj) -> None:
    status, spec = obj["status"], obj["spec"]
    if "capacity" in status and not status.get("allocatable"):
        status["allocatable"] = dict(status["capacity"])
    if spec.get("podCIDR") and spec["podCIDR"] not in list_at(spec, "podCIDRs")[:1]:
        spec["podCIDRs"] = [spec["podCIDR"]]


def _admit_node(obj: Obj, _write: Write) -> None:
    taints = obj["spec"].setdefault("taints", [])
    if not any(taint.get("key") == _NOT_READY for taint in taints):
        taints.append({"key": _NOT_READY, "effect": "NoSchedule"})


def _validate_node_update(old: Obj, new: Obj) -> list[FieldError]:
    before, after = list_at(old["spec"], "podCIDRs"), list_at(new["spec"], "podCIDRs")
    errors: list[FieldError] = []
    if before and before != after:
        message = 'node updates may not change podCIDR except from "" to valid'
        errors.append(forbidden("spec.podCIDRs", message))
    before, after = old["spec"].get("providerID"), new["spec"].get("providerID")
    if before and before != after:
        message = 'node updates may not change providerID except from "" to valid'
        errors.append(forbidden("spec.providerID", message))
    return errors


def _default_service(obj: Obj) -> None:
    spec = obj["spec"]
    kind = spec.setdefault("type", "ClusterIP")
    spec.setdefault("sessionAffinity", "None")
    if spec["sessionAffinity"] == "ClientIP":
        spec.setdefault("sessionAffinityConfig", {"clientIP": {"timeoutSeconds": 10800}})
    for port in list_at(spec, "ports"):
        port.setdefault("protocol", "TCP")
        if not port.get("targetPort"):
            port["targetPort"] = port.get("port", 0)
    if kind in ("NodePort", "LoadBalancer"):
        spec.setdefault("externalTrafficPolicy", "Cluster")
    if kind == "LoadBalancer":
        spec.setdefault("allocateLoadBalancerNodePorts", True)
    if kind != "ExternalName":
        spec.setdefault("internalTrafficPolicy", "Cluster")


def _allocate_service(obj: Obj) -> None:
    """An address from the service range; it follows from the uid, so two may be equal, though hardly."""
    spec = obj["spec"]
    obj["status"] = {"loadBalancer": {}}
    if spec["type"] == "ExternalName":
        return
    if not spec.get("clusterIP"):
        digest = hashlib.sha256(obj["metadata"]["uid"].encode()).digest()
        spec["clusterIP"] = f"10.96.{digest[0]}.{digest[1] % 254 + 1}"
    spec.setdefault("clusterIPs", [spec["clusterIP"]])
    spec.setdefault("ipFamilies", ["IPv4"])
    spec.setdefault("ipFamilyPolicy", "SingleStack")


def _keep_addresses(old: Obj, new: Obj) -> None:
    new["status"] = copy.deepcopy(old["status"])
    if new["spec"].get("type") != "ExternalName":
        for part in ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"):
            if part in old["spec"]:
                new["spec"].setdefault(part, copy.deepcopy(old["spec"][part]))


def _validate_service(obj: Obj) -> list[FieldError]:
    spec = obj["spec"]
    errors: list[FieldError] = []
    if not spec.get("ports") and spec.get("clusterIP") != "None" and spec.get("type") != "ExternalName":
        errors.append(required("spec.ports"))
    for index, port in enumerate(list_at(spec, "ports")):
        if not 1 <= port.get("port", 0) <= 65535:
            message = "must be between 1 and 65535, inclusive"
            errors.append(invalid_value(f"spec.ports[{index}].port", port.get("port", 0), message))
        if len(spec["ports"]) > 1 and not port.get("name"):
            errors.append(required(f"spec.ports[{index}].name"))
    kinds = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
    if spec.get("type") not in kinds:
        errors.append(not_supported("spec.type", spec.get("type"), kinds))
    return errors


def _validate_service_update(old: Obj, new: Obj) -> list[FieldError]:
    before, after = old["spec"].get("clusterIP"), new["spec"].get("clusterIP")
    if before and before != after and new["spec"].get("type") != "ExternalName":
        return [invalid_value("spec.clusterIPs[0]", [after], "may not change once set")]
    return []


def _default_limit_range(obj: Obj) -> None:
    for limit in list_at(obj["spec"], "limits"):
        if limit.get("type") != "Container":
            continue
        default: dict[str, Any] = limit.setdefault("default", {})
        request: dict[str, Any] = limit.setdefault("defaultRequest", {})
        for name, value in fields_at(limit, "max").items():
            default.setdefault(name, value)
        for source in (default, fields_at(limit, "min")):
            for name, value in source.items():
                request.setdefault(name, value)


def _default_volume(obj: Obj) -> None:
    obj["spec"].setdefault("persistentVolumeReclaimPolicy", "Retain")
    obj["spec"].setdefault("volumeMode", "Filesystem")
    obj["status"].setdefault("phase", "Pending")


def _default_claim(obj: Obj) -> None:
    obj["spec"].setdefault("volumeMode", "Filesystem")
    obj["status"].setdefault("phase", "Pending")


CONFIG_MAP: Final = Rules(validate=_validate_config_map, validate_update=_validate_frozen)
SECRET: Final = Rules(
    default=_default_secret, validate=_validate_secret, validate_update=_validate_secret_update
)
NAMESPACE: Final = Rules(
    default=_default_namespace,
    prepare_create=_prepare_namespace,
    prepare_update=_keep_namespace,
    validate_name=dns_label,
)
NODE: Final = Rules(default=_default_node, admit=_admit_node, validate_update=_validate_node_update)
SERVICE: Final = Rules(
    default=_default_service,
    prepare_create=_allocate_service,
    prepare_update=_keep_addresses,
    validate=_validate_service,
    validate_update=_validate_service_update,
    validate_name=dns_label,
)
LIMIT_RANGE: Final = Rules(default=_default_limit_range)
PERSISTENT_VOLUME: Final = Rules(default=_default_volume)
PERSISTENT_VOLUME_CLAIM: Final = Rules(default=_default_claim)
