"""Rows of all other built-in kinds.

Promises: an object that lacks all that is optional has a row, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from trivyop.sandbox.apiserver.objects import durations
from trivyop.sandbox.apiserver.objects.builtin.cells import (
    NONE,
    UNKNOWN,
    Obj,
    Printer,
    age_of,
    joined,
    name_of,
    pairs,
    spec_of,
    status_of,
)
from trivyop.sandbox.apiserver.objects.plain import fields_at, list_at
from trivyop.sandbox.apiserver.objects.selecting import shown

_MODES: Final = {
    "ReadWriteOnce": "RWO",
    "ReadOnlyMany": "ROX",
    "ReadWriteMany": "RWX",
    "ReadWriteOncePod": "RWOP",
}


def _port(port: Obj) -> str:
    node = f":{port['nodePort']}" if port.get("nodePort") else ""
    return f"{port.get('port')}{node}/{port.get('protocol', 'TCP')}"


def _service(obj: Obj, now: datetime) -> list[Any]:
    spec = spec_of(obj)
    ports = map(_port, list_at(spec, "ports"))
    kind = spec.get("type", "ClusterIP")
    points = list_at(status_of(obj), "loadBalancer", "ingress")
    outside = [
        *(point.get("ip") or point.get("hostname", "") for point in points),
        *list_at(spec, "externalIPs"),
    ]
    if kind == "ExternalName":
        outside = [spec.get("externalName", "")]
    waiting = "<pending>" if kind == "LoadBalancer" else NONE
    return [
        name_of(obj),
        kind,
        spec.get("clusterIP") or NONE,
        ",".join(outside) or waiting,
        joined(ports),
        age_of(obj, now),
        pairs(spec.get("selector")),
    ]


def _config_map(obj: Obj, now: datetime) -> list[Any]:
    return [name_of(obj), len(list_at(obj, "data")) + len(list_at(obj, "binaryData")), age_of(obj, now)]


def _secret(obj: Obj, now: datetime) -> list[Any]:
    return [name_of(obj), obj.get("type", ""), len(list_at(obj, "data")), age_of(obj, now)]


def _service_account(obj: Obj, now: datetime) -> list[Any]:
    return [name_of(obj), len(list_at(obj, "secrets")), age_of(obj, now)]


def _namespace(obj: Obj, now: datetime) -> list[Any]:
    return [name_of(obj), status_of(obj).get("phase", ""), age_of(obj, now)]


def _node(obj: Obj, now: datetime) -> list[Any]:
    spec, status = spec_of(obj), status_of(obj)
    ready = next((c for c in list_at(status, "conditions") if c.get("type") == "Ready"), None)
    state = "Unknown" if ready is None else "Ready" if ready.get("status") == "True" else "NotReady"
    labels: dict[str, str] = fields_at(obj["metadata"], "labels")
    prefix = "node-role.kubernetes.io/"
    roles = {key.removeprefix(prefix) for key in labels if key.startswith(prefix)}
    if labels.get("kubernetes.io/role"):
        roles.add(labels["kubernetes.io/role"])
    addresses = {a.get("type"): a.get("address") for a in reversed(list_at(status, "addresses"))}
    info = fields_at(status, "nodeInfo")
    return [
        name_of(obj),
        f"{state},SchedulingDisabled" if spec.get("unschedulable") else state,
        joined(sorted(roles)),
        age_of(obj, now),
        info.get("kubeletVersion", ""),
        addresses.get("InternalIP") or NONE,
        addresses.get("ExternalIP") or NONE,
        info.get("osImage") or UNKNOWN,
        info.get("kernelVersion") or UNKNOWN,
        info.get("containerRuntimeVersion") or UNKNOWN,
    ]


def _event(obj: Obj, now: datetime) -> list[Any]:
    series = fields_at(obj, "series")
    first = obj.get("firstTimestamp") or obj.get("eventTime")
    last = series.get("lastObservedTime") or obj.get("lastTimestamp") or first
    about, source = fields_at(obj, "involvedObject"), fields_at(obj, "source")
    place = about.get("kind", "").lower() + (f"/{about['name']}" if about.get("name") else "")
    component = source.get("component") or obj.get("reportingComponent", "")
    instance = source.get("host") or obj.get("reportingInstance", "")
    return [
        durations.age(last, now),
        obj.get("type", ""),
        obj.get("reason", ""),
        place,
        about.get("fieldPath", ""),
        ", ".join(filter(None, (component, instance))),
        obj.get("message", "").strip(),
        durations.age(first, now),
        series.get("count") or obj.get("count") or 1,
        name_of(obj),
    ]


def _lease(obj: Obj, now: datetime) -> list[Any]:
    return [name_of(obj), spec_of(obj).get("holderIdentity", ""), age_of(obj, now)]


def _binding(obj: Obj, now: datetime) -> list[Any]:
    role = fields_at(obj, "roleRef")
    people: dict[str, list[str]] = {"User": [], "Group": [], "ServiceAccount": []}
    for subject in list_at(obj, "subjects"):
        name, namespace = subject.get("name", ""), subject.get("namespace")
        people.setdefault(subject.get("kind", ""), []).append(f"{namespace}/{name}" if namespace else name)
    users, groups, accounts = (", ".join(people[kind]) for kind in ("User", "Group", "ServiceAccount"))
    return [name_of(obj), f"{role.get('kind')}/{role.get('name')}", age_of(obj, now), users, groups, accounts]


def _ingress(obj: Obj, now: datetime) -> list[Any]:
    spec = spec_of(obj)
    points = list_at(status_of(obj), "loadBalancer", "ingress")
    hosts = ",".join(rule["host"] for rule in list_at(spec, "rules") if rule.get("host"))
    address = ",".join(point.get("ip") or point.get("hostname", "") for point in points)
    ports = "80, 443" if spec.get("tls") else "80"
    return [
        name_of(obj),
        spec.get("ingressClassName") or NONE,
        hosts or "*",
        address,
        ports,
        age_of(obj, now),
    ]


def _network_policy(obj: Obj, now: datetime) -> list[Any]:
    return [name_of(obj), shown(spec_of(obj).get("podSelector")) or NONE, age_of(obj, now)]


def _budget(obj: Obj, now: datetime) -> list[Any]:
    spec = spec_of(obj)
    bounds = [str(spec.get(part, "N/A")) for part in ("minAvailable", "maxUnavailable")]
    return [name_of(obj), *bounds, status_of(obj).get("disruptionsAllowed", 0), age_of(obj, now)]


def _quota(obj: Obj, now: datetime) -> list[Any]:
    status = status_of(obj)
    hard, used = fields_at(status, "hard"), fields_at(status, "used")
    texts: dict[bool, list[str]] = {True: [], False: []}
    for name in sorted(hard):
        texts[name.startswith("limits")].append(f"{name}: {used.get(name, '0')}/{hard[name]}")
    return [name_of(obj), ", ".join(texts[False]), ", ".join(texts[True]), age_of(obj, now)]


def _endpoints(obj: Obj, now: datetime) -> list[Any]:
    pairs = [
        f"{address.get('ip')}:{port.get('port')}"
        for subset in list_at(obj, "subsets")
        for port in list_at(subset, "ports")
        for address in list_at(subset, "addresses")
    ]
    more = f" + {len(pairs) - 3} more..." if len(pairs) > 3 else ""
    return [name_of(obj), joined(pairs[:3]) + more, age_of(obj, now)]


def _endpoint_slice(obj: Obj, now: datetime) -> list[Any]:
    ports = joined(str(port.get("port", "*")) for port in list_at(obj, "ports"))
    addresses = joined(
        address for point in list_at(obj, "endpoints") for address in list_at(point, "addresses")
    )
    return [name_of(obj), obj.get("addressType", ""), ports, addresses, age_of(obj, now)]


def _modes(modes: Iterable[str] | None) -> str:
    return ",".join(_MODES.get(mode, mode) for mode in modes or ())


def _claim(obj: Obj, now: datetime) -> list[Any]:
    spec, status = spec_of(obj), status_of(obj)
    bound = bool(spec.get("volumeName"))
    return [
        name_of(obj),
        "Terminating" if obj["metadata"].get("deletionTimestamp") else status.get("phase", ""),
        spec.get("volumeName", ""),
        fields_at(status, "capacity").get("storage", "0") if bound else "",
        _modes(status.get("accessModes")) if bound else "",
        spec.get("storageClassName", ""),
        spec.get("volumeAttributesClassName") or "<unset>",
        age_of(obj, now),
        spec.get("volumeMode") or "<unset>",
    ]


def _volume(obj: Obj, now: datetime) -> list[Any]:
    spec, status = spec_of(obj), status_of(obj)
    claim = fields_at(spec, "claimRef")
    return [
        name_of(obj),
        fields_at(spec, "capacity").get("storage", "0"),
        _modes(spec.get("accessModes")),
        spec.get("persistentVolumeReclaimPolicy", ""),
        "Terminating" if obj["metadata"].get("deletionTimestamp") else status.get("phase", ""),
        f"{claim.get('namespace')}/{claim.get('name')}" if claim else "",
        spec.get("storageClassName", ""),
        spec.get("volumeAttributesClassName") or "<unset>",
        status.get("reason", ""),
        age_of(obj, now),
        spec.get("volumeMode") or "<unset>",
    ]


def _storage_class(obj: Obj, now: datetime) -> list[Any]:
    name = name_of(obj)
    annotations = fields_at(obj["metadata"], "annotations")
    if annotations.get("storageclass.kubernetes.io/is-default-class") == "true":
        name += " (default)"
    return [
        name,
        obj.get("provisioner", ""),
        obj.get("reclaimPolicy", "Delete"),
        obj.get("volumeBindingMode") or "<unset>",
        str(bool(obj.get("allowVolumeExpansion"))).lower(),
        age_of(obj, now),
    ]


def _priority_class(obj: Obj, now: datetime) -> list[Any]:
    policy = obj.get("preemptionPolicy", "")
    return [name_of(obj), obj.get("value", 0), bool(obj.get("globalDefault")), age_of(obj, now), policy]


def _ingress_class(obj: Obj, now: datetime) -> list[Any]:
    spec = spec_of(obj)
    parameters = fields_at(spec, "parameters")
    where = (
        f"{parameters.get('kind')}.{parameters.get('apiGroup', '')}/{parameters.get('name')}"
        if parameters
        else NONE
    )
    return [name_of(obj), spec.get("controller", ""), where, age_of(obj, now)]


def _webhooks(obj: Obj, now: datetime) -> list[Any]:
    return [name_of(obj), len(list_at(obj, "webhooks")), age_of(obj, now)]


OTHERS: Final[Mapping[str, Printer]] = {
    "services": _service,
    "configmaps": _config_map,
    "secrets": _secret,
    "serviceaccounts": _service_account,
    "namespaces": _namespace,
    "nodes": _node,
    "events": _event,
    "leases": _lease,
    "rolebindings": _binding,
    "clusterrolebindings": _binding,
    "ingresses": _ingress,
    "networkpolicies": _network_policy,
    "poddisruptionbudgets": _budget,
    "resourcequotas": _quota,
    "endpoints": _endpoints,
    "endpointslices": _endpoint_slice,
    "persistentvolumeclaims": _claim,
    "persistentvolumes": _volume,
    "storageclasses": _storage_class,
    "priorityclasses": _priority_class,
    "ingressclasses": _ingress_class,
    "mutatingwebhookconfigurations": _webhooks,
    "validatingwebhookconfigurations": _webhooks,
}
