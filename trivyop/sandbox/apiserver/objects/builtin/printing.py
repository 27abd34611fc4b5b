"""Cells: what the tables of built-in kinds say of an object, in the order of ``columns``.

Promises: an object that lacks all that is optional has a row, too.
Not here: the states of pods (``pod_states``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from trivyop.sandbox.apiserver.objects import durations
from trivyop.sandbox.apiserver.objects.builtin import pod_states
from trivyop.sandbox.apiserver.objects.plain import fields_at, list_at
from trivyop.sandbox.apiserver.objects.selecting import shown

Obj = dict[str, Any]
Printer = Callable[[Obj, datetime], list[Any]]

_NONE: Final = "<none>"
_UNKNOWN: Final = "<unknown>"
_MODES: Final = {
    "ReadWriteOnce": "RWO",
    "ReadOnlyMany": "ROX",
    "ReadWriteMany": "RWX",
    "ReadWriteOncePod": "RWOP",
}


def _name(obj: Obj) -> str:
    return obj["metadata"]["name"]


def _age(obj: Obj, now: datetime) -> str:
    return durations.age(obj["metadata"].get("creationTimestamp"), now)


def _spec(obj: Obj) -> Obj:
    return fields_at(obj, "spec")


def _status(obj: Obj) -> Obj:
    return fields_at(obj, "status")


def _list(values: Iterable[str]) -> str:
    return ",".join(values) or _NONE


def _map(labels: Mapping[str, str] | None) -> str:
    return _list(f"{key}={value}" for key, value in sorted((labels or {}).items()))


def _containers(template: Obj | None) -> list[str]:
    containers = list_at(template or {}, "spec", "containers")
    return [",".join(c.get(part, "") for c in containers) for part in ("name", "image")]


def _selector(spec: Obj) -> str:
    selector = spec.get("selector")
    return "<unset>" if selector is None else shown(selector) or _NONE


def _pod(obj: Obj, now: datetime) -> list[Any]:
    state = pod_states.state_of(obj, now)
    spec, status = _spec(obj), _status(obj)
    ips = list_at(status, "podIPs")
    return [
        _name(obj),
        f"{state.ready}/{state.total}",
        state.reason,
        state.restarts,
        _age(obj, now),
        (ips[0]["ip"] if ips else status.get("podIP")) or _NONE,
        spec.get("nodeName") or _NONE,
        status.get("nominatedNodeName") or _NONE,
        state.gates,
    ]


def _deployment(obj: Obj, now: datetime) -> list[Any]:
    spec, status = _spec(obj), _status(obj)
    return [
        _name(obj),
        f"{status.get('readyReplicas', 0)}/{spec.get('replicas', 0)}",
        status.get("updatedReplicas", 0),
        status.get("availableReplicas", 0),
        _age(obj, now),
        *_containers(spec.get("template")),
        _selector(spec),
    ]


def _replica_set(obj: Obj, now: datetime) -> list[Any]:
    spec, status = _spec(obj), _status(obj)
    counts = [spec.get("replicas", 0), status.get("replicas", 0), status.get("readyReplicas", 0)]
    return [_name(obj), *counts, _age(obj, now), *_containers(spec.get("template")), _selector(spec)]


def _replication_controller(obj: Obj, now: datetime) -> list[Any]:
    cells = _replica_set(obj, now)
    cells[-1] = _map(_spec(obj).get("selector"))
    return cells


def _stateful_set(obj: Obj, now: datetime) -> list[Any]:
    spec = _spec(obj)
    ready = f"{_status(obj).get('readyReplicas', 0)}/{spec.get('replicas', 0)}"
    return [_name(obj), ready, _age(obj, now), *_containers(spec.get("template"))]


def _daemon_set(obj: Obj, now: datetime) -> list[Any]:
    spec, status = _spec(obj), _status(obj)
    counts = ("desiredNumberScheduled", "currentNumberScheduled", "numberReady", "updatedNumberScheduled")
    return [
        _name(obj),
        *(status.get(count, 0) for count in counts),
        status.get("numberAvailable", 0),
        _map(fields_at(spec, "template", "spec").get("nodeSelector")),
        _age(obj, now),
        *_containers(spec.get("template")),
        _selector(spec),
    ]


def _job(obj: Obj, now: datetime) -> list[Any]:
    spec, status = _spec(obj), _status(obj)
    done, wanted = status.get("succeeded", 0), spec.get("completions")
    parallel = spec.get("parallelism", 1)
    completions = (
        f"{done}/{wanted}"
        if wanted is not None
        else f"{done}/1 of {parallel}"
        if parallel > 1
        else f"{done}/1"
    )
    start, end = status.get("startTime"), status.get("completionTime")
    duration = "" if not start else durations.between(start, end) if end else durations.age(start, now)
    return [
        _name(obj),
        _job_state(obj),
        completions,
        duration,
        _age(obj, now),
        *_containers(spec.get("template")),
        _selector(spec),
    ]


def _job_state(obj: Obj) -> str:
    true = {c.get("type") for c in _status(obj).get("conditions") or () if c.get("status") == "True"}
    if "Complete" in true:
        return "Complete"
    if "Failed" in true:
        return "Failed"
    if obj["metadata"].get("deletionTimestamp"):
        return "Terminating"
    return next((s for s in ("Suspended", "FailureTarget", "SuccessCriteriaMet") if s in true), "Running")


def _cron_job(obj: Obj, now: datetime) -> list[Any]:
    spec, status = _spec(obj), _status(obj)
    job = fields_at(spec, "jobTemplate", "spec")
    last = status.get("lastScheduleTime")
    return [
        _name(obj),
        spec.get("schedule", ""),
        spec.get("timeZone") or _NONE,
        str(bool(spec.get("suspend"))),
        len(list_at(status, "active")),
        durations.age(last, now) if last else _NONE,
        _age(obj, now),
        *_containers(job.get("template")),
        shown(job.get("selector")) or _NONE,
    ]


def _service(obj: Obj, now: datetime) -> list[Any]:
    spec = _spec(obj)
    ports = (
        f"{port.get('port')}{':' + str(port['nodePort']) if port.get('nodePort') else ''}/{port.get('protocol', 'TCP')}"
        for port in list_at(spec, "ports")
    )
    kind = spec.get("type", "ClusterIP")
    points = list_at(_status(obj), "loadBalancer", "ingress")
    outside = [
        *(point.get("ip") or point.get("hostname", "") for point in points),
        *list_at(spec, "externalIPs"),
    ]
    if kind == "ExternalName":
        outside = [spec.get("externalName", "")]
    waiting = "<pending>" if kind == "LoadBalancer" else _NONE
    return [
        _name(obj),
        kind,
        spec.get("clusterIP") or _NONE,
        ",".join(outside) or waiting,
        _list(ports),
        _age(obj, now),
        _map(spec.get("selector")),
    ]


def _config_map(obj: Obj, now: datetime) -> list[Any]:
    return [_name(obj), len(list_at(obj, "data")) + len(list_at(obj, "binaryData")), _age(obj, now)]


def _secret(obj: Obj, now: datetime) -> list[Any]:
    return [_name(obj), obj.get("type", ""), len(list_at(obj, "data")), _age(obj, now)]


def _service_account(obj: Obj, now: datetime) -> list[Any]:
    return [_name(obj), len(list_at(obj, "secrets")), _age(obj, now)]


def _namespace(obj: Obj, now: datetime) -> list[Any]:
    return [_name(obj), _status(obj).get("phase", ""), _age(obj, now)]


def _node(obj: Obj, now: datetime) -> list[Any]:
    spec, status = _spec(obj), _status(obj)
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
        _name(obj),
        f"{state},SchedulingDisabled" if spec.get("unschedulable") else state,
        _list(sorted(roles)),
        _age(obj, now),
        info.get("kubeletVersion", ""),
        addresses.get("InternalIP") or _NONE,
        addresses.get("ExternalIP") or _NONE,
        info.get("osImage") or _UNKNOWN,
        info.get("kernelVersion") or _UNKNOWN,
        info.get("containerRuntimeVersion") or _UNKNOWN,
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
        _name(obj),
    ]


def _lease(obj: Obj, now: datetime) -> list[Any]:
    return [_name(obj), _spec(obj).get("holderIdentity", ""), _age(obj, now)]


def _binding(obj: Obj, now: datetime) -> list[Any]:
    role = fields_at(obj, "roleRef")
    people: dict[str, list[str]] = {"User": [], "Group": [], "ServiceAccount": []}
    for subject in list_at(obj, "subjects"):
        name, namespace = subject.get("name", ""), subject.get("namespace")
        people.setdefault(subject.get("kind", ""), []).append(f"{namespace}/{name}" if namespace else name)
    users, groups, accounts = (", ".join(people[kind]) for kind in ("User", "Group", "ServiceAccount"))
    return [_name(obj), f"{role.get('kind')}/{role.get('name')}", _age(obj, now), users, groups, accounts]


def _ingress(obj: Obj, now: datetime) -> list[Any]:
    spec = _spec(obj)
    points = list_at(_status(obj), "loadBalancer", "ingress")
    hosts = ",".join(rule["host"] for rule in list_at(spec, "rules") if rule.get("host"))
    address = ",".join(point.get("ip") or point.get("hostname", "") for point in points)
    ports = "80, 443" if spec.get("tls") else "80"
    return [_name(obj), spec.get("ingressClassName") or _NONE, hosts or "*", address, ports, _age(obj, now)]


def _network_policy(obj: Obj, now: datetime) -> list[Any]:
    return [_name(obj), shown(_spec(obj).get("podSelector")) or _NONE, _age(obj, now)]


def _budget(obj: Obj, now: datetime) -> list[Any]:
    spec = _spec(obj)
    bounds = [str(spec.get(part, "N/A")) for part in ("minAvailable", "maxUnavailable")]
    return [_name(obj), *bounds, _status(obj).get("disruptionsAllowed", 0), _age(obj, now)]


def _quota(obj: Obj, now: datetime) -> list[Any]:
    status = _status(obj)
    hard, used = fields_at(status, "hard"), fields_at(status, "used")
    texts: dict[bool, list[str]] = {True: [], False: []}
    for name in sorted(hard):
        texts[name.startswith("limits")].append(f"{name}: {used.get(name, '0')}/{hard[name]}")
    return [_name(obj), ", ".join(texts[False]), ", ".join(texts[True]), _age(obj, now)]


def _endpoints(obj: Obj, now: datetime) -> list[Any]:
    pairs = [
        f"{address.get('ip')}:{port.get('port')}"
        for subset in list_at(obj, "subsets")
        for port in list_at(subset, "ports")
        for address in list_at(subset, "addresses")
    ]
    more = f" + {len(pairs) - 3} more..." if len(pairs) > 3 else ""
    return [_name(obj), _list(pairs[:3]) + more, _age(obj, now)]


def _endpoint_slice(obj: Obj, now: datetime) -> list[Any]:
    ports = _list(str(port.get("port", "*")) for port in list_at(obj, "ports"))
    addresses = _list(
        address for point in list_at(obj, "endpoints") for address in list_at(point, "addresses")
    )
    return [_name(obj), obj.get("addressType", ""), ports, addresses, _age(obj, now)]


def _modes(modes: Iterable[str] | None) -> str:
    return ",".join(_MODES.get(mode, mode) for mode in modes or ())


def _claim(obj: Obj, now: datetime) -> list[Any]:
    spec, status = _spec(obj), _status(obj)
    bound = bool(spec.get("volumeName"))
    return [
        _name(obj),
        "Terminating" if obj["metadata"].get("deletionTimestamp") else status.get("phase", ""),
        spec.get("volumeName", ""),
        fields_at(status, "capacity").get("storage", "0") if bound else "",
        _modes(status.get("accessModes")) if bound else "",
        spec.get("storageClassName", ""),
        spec.get("volumeAttributesClassName") or "<unset>",
        _age(obj, now),
        spec.get("volumeMode") or "<unset>",
    ]


def _volume(obj: Obj, now: datetime) -> list[Any]:
    spec, status = _spec(obj), _status(obj)
    claim = fields_at(spec, "claimRef")
    return [
        _name(obj),
        fields_at(spec, "capacity").get("storage", "0"),
        _modes(spec.get("accessModes")),
        spec.get("persistentVolumeReclaimPolicy", ""),
        "Terminating" if obj["metadata"].get("deletionTimestamp") else status.get("phase", ""),
        f"{claim.get('namespace')}/{claim.get('name')}" if claim else "",
        spec.get("storageClassName", ""),
        spec.get("volumeAttributesClassName") or "<unset>",
        status.get("reason", ""),
        _age(obj, now),
        spec.get("volumeMode") or "<unset>",
    ]


def _storage_class(obj: Obj, now: datetime) -> list[Any]:
    name = _name(obj)
    annotations = fields_at(obj["metadata"], "annotations")
    if annotations.get("storageclass.kubernetes.io/is-default-class") == "true":
        name += " (default)"
    return [
        name,
        obj.get("provisioner", ""),
        obj.get("reclaimPolicy", "Delete"),
        obj.get("volumeBindingMode") or "<unset>",
        str(bool(obj.get("allowVolumeExpansion"))).lower(),
        _age(obj, now),
    ]


def _priority_class(obj: Obj, now: datetime) -> list[Any]:
    policy = obj.get("preemptionPolicy", "")
    return [_name(obj), obj.get("value", 0), bool(obj.get("globalDefault")), _age(obj, now), policy]


def _ingress_class(obj: Obj, now: datetime) -> list[Any]:
    spec = _spec(obj)
    parameters = fields_at(spec, "parameters")
    where = (
        f"{parameters.get('kind')}.{parameters.get('apiGroup', '')}/{parameters.get('name')}"
        if parameters
        else _NONE
    )
    return [_name(obj), spec.get("controller", ""), where, _age(obj, now)]


def _autoscaler(obj: Obj, now: datetime) -> list[Any]:
    spec, status = _spec(obj), _status(obj)
    target = fields_at(spec, "scaleTargetRef")
    current = status.get("currentCPUUtilizationPercentage", _UNKNOWN)
    aim = f"{current}/{spec.get('targetCPUUtilizationPercentage', '<auto>')}%"
    counts = [
        spec.get("minReplicas", "<unset>"),
        spec.get("maxReplicas", 0),
        status.get("currentReplicas", 0),
    ]
    return [_name(obj), f"{target.get('kind')}/{target.get('name')}", aim, *map(str, counts), _age(obj, now)]


def _pod_template(obj: Obj, _now: datetime) -> list[Any]:
    template = fields_at(obj, "template")
    return [_name(obj), *_containers(template), _map(fields_at(template, "metadata").get("labels"))]


def _revision(obj: Obj, now: datetime) -> list[Any]:
    owner = next((o for o in list_at(obj["metadata"], "ownerReferences") if o.get("controller")), None)
    of = (
        f"{owner['kind'].lower()}.{owner['apiVersion'].partition('/')[0]}/{owner['name']}" if owner else _NONE
    )
    return [_name(obj), of, str(obj.get("revision", 0)), _age(obj, now)]


def _webhooks(obj: Obj, now: datetime) -> list[Any]:
    return [_name(obj), len(list_at(obj, "webhooks")), _age(obj, now)]


PRINTERS: Final[Mapping[str, Printer]] = {
    "pods": _pod,
    "deployments": _deployment,
    "replicasets": _replica_set,
    "replicationcontrollers": _replication_controller,
    "statefulsets": _stateful_set,
    "daemonsets": _daemon_set,
    "jobs": _job,
    "cronjobs": _cron_job,
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
    "horizontalpodautoscalers": _autoscaler,
    "podtemplates": _pod_template,
    "controllerrevisions": _revision,
    "mutatingwebhookconfigurations": _webhooks,
    "validatingwebhookconfigurations": _webhooks,
}
