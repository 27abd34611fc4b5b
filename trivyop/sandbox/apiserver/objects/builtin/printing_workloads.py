"""Rows of workloads: pods, what makes pods, and what is about them.

Promises: an object that lacks all that is optional has a row, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from trivyop.sandbox.apiserver.objects import durations
from trivyop.sandbox.apiserver.objects.builtin import pod_states
from trivyop.sandbox.apiserver.objects.builtin.cells import (
    NONE,
    UNKNOWN,
    Obj,
    Printer,
    age_of,
    containers,
    name_of,
    pairs,
    selector,
    spec_of,
    status_of,
)
from trivyop.sandbox.apiserver.objects.plain import fields_at, list_at
from trivyop.sandbox.apiserver.objects.selecting import shown


def _pod(obj: Obj, now: datetime) -> list[Any]:
    state = pod_states.state_of(obj, now)
    spec, status = spec_of(obj), status_of(obj)
    ips = list_at(status, "podIPs")
    return [
        name_of(obj),
        f"{state.ready}/{state.total}",
        state.reason,
        state.restarts,
        age_of(obj, now),
        (ips[0]["ip"] if ips else status.get("podIP")) or NONE,
        spec.get("nodeName") or NONE,
        status.get("nominatedNodeName") or NONE,
        state.gates,
    ]


def _deployment(obj: Obj, now: datetime) -> list[Any]:
    spec, status = spec_of(obj), status_of(obj)
    return [
        name_of(obj),
        f"{status.get('readyReplicas', 0)}/{spec.get('replicas', 0)}",
        status.get("updatedReplicas", 0),
        status.get("availableReplicas", 0),
        age_of(obj, now),
        *containers(spec.get("template")),
        selector(spec),
    ]


def _replica_set(obj: Obj, now: datetime) -> list[Any]:
    spec, status = spec_of(obj), status_of(obj)
    counts = [spec.get("replicas", 0), status.get("replicas", 0), status.get("readyReplicas", 0)]
    return [name_of(obj), *counts, age_of(obj, now), *containers(spec.get("template")), selector(spec)]


def _replication_controller(obj: Obj, now: datetime) -> list[Any]:
    cells = _replica_set(obj, now)
    cells[-1] = pairs(spec_of(obj).get("selector"))
    return cells


def _stateful_set(obj: Obj, now: datetime) -> list[Any]:
    spec = spec_of(obj)
    ready = f"{status_of(obj).get('readyReplicas', 0)}/{spec.get('replicas', 0)}"
    return [name_of(obj), ready, age_of(obj, now), *containers(spec.get("template"))]


def _daemon_set(obj: Obj, now: datetime) -> list[Any]:
    spec, status = spec_of(obj), status_of(obj)
    counts = ("desiredNumberScheduled", "currentNumberScheduled", "numberReady", "updatedNumberScheduled")
    return [
        name_of(obj),
        *(status.get(count, 0) for count in counts),
        status.get("numberAvailable", 0),
        pairs(fields_at(spec, "template", "spec").get("nodeSelector")),
        age_of(obj, now),
        *containers(spec.get("template")),
        selector(spec),
    ]


def _job(obj: Obj, now: datetime) -> list[Any]:
    spec, status = spec_of(obj), status_of(obj)
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
        name_of(obj),
        _job_state(obj),
        completions,
        duration,
        age_of(obj, now),
        *containers(spec.get("template")),
        selector(spec),
    ]


def _job_state(obj: Obj) -> str:
    true = {c.get("type") for c in status_of(obj).get("conditions") or () if c.get("status") == "True"}
    if "Complete" in true:
        return "Complete"
    if "Failed" in true:
        return "Failed"
    if obj["metadata"].get("deletionTimestamp"):
        return "Terminating"
    return next((s for s in ("Suspended", "FailureTarget", "SuccessCriteriaMet") if s in true), "Running")


def _cron_job(obj: Obj, now: datetime) -> list[Any]:
    spec, status = spec_of(obj), status_of(obj)
    job = fields_at(spec, "jobTemplate", "spec")
    last = status.get("lastScheduleTime")
    return [
        name_of(obj),
        spec.get("schedule", ""),
        spec.get("timeZone") or NONE,
        str(bool(spec.get("suspend"))),
        len(list_at(status, "active")),
        durations.age(last, now) if last else NONE,
        age_of(obj, now),
        *containers(job.get("template")),
        shown(job.get("selector")) or NONE,
    ]


def _pod_template(obj: Obj, _now: datetime) -> list[Any]:
    template = fields_at(obj, "template")
    return [name_of(obj), *containers(template), pairs(fields_at(template, "metadata").get("labels"))]


def _revision(obj: Obj, now: datetime) -> list[Any]:
    owner = next((o for o in list_at(obj["metadata"], "ownerReferences") if o.get("controller")), None)
    of = f"{owner['kind'].lower()}.{owner['apiVersion'].partition('/')[0]}/{owner['name']}" if owner else NONE
    return [name_of(obj), of, str(obj.get("revision", 0)), age_of(obj, now)]


def _autoscaler(obj: Obj, now: datetime) -> list[Any]:
    spec, status = spec_of(obj), status_of(obj)
    target = fields_at(spec, "scaleTargetRef")
    current = status.get("currentCPUUtilizationPercentage", UNKNOWN)
    aim = f"{current}/{spec.get('targetCPUUtilizationPercentage', '<auto>')}%"
    counts = [
        spec.get("minReplicas", "<unset>"),
        spec.get("maxReplicas", 0),
        status.get("currentReplicas", 0),
    ]
    return [
        name_of(obj),
        f"{target.get('kind')}/{target.get('name')}",
        aim,
        *map(str, counts),
        age_of(obj, now),
    ]


WORKLOADS: Final[Mapping[str, Printer]] = {
    "pods": _pod,
    "deployments": _deployment,
    "replicasets": _replica_set,
    "replicationcontrollers": _replication_controller,
    "statefulsets": _stateful_set,
    "daemonsets": _daemon_set,
    "jobs": _job,
    "cronjobs": _cron_job,
    "horizontalpodautoscalers": _autoscaler,
    "podtemplates": _pod_template,
    "controllerrevisions": _revision,
}
