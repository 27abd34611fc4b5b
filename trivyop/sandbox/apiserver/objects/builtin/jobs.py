"""Jobs and CronJobs: defaults, the selector that the server generates, and what may change.

Promises: what ``kinds.Rules`` promises of each rule.
Not here: running them (that is the controllers' part).
"""

from __future__ import annotations

import re
import zoneinfo
from typing import TYPE_CHECKING, Any, Final

from trivyop.sandbox.apiserver.objects.builtin.podspec import default_pod_spec
from trivyop.sandbox.apiserver.objects.builtin.workloads import check_template
from trivyop.sandbox.apiserver.objects.kinds import Rules
from trivyop.sandbox.apiserver.objects.names import (
    immutable,
    immutable_fields,
    invalid_value,
    not_negative,
    not_supported,
    required,
)
from trivyop.sandbox.apiserver.objects.plain import fields_at, list_at
from trivyop.sandbox.apiserver.objects.refusals import FieldError
from trivyop.sandbox.apiserver.objects.selecting import matches

if TYPE_CHECKING:
    from trivyop.sandbox.apiserver.objects.kinds import Obj

_UID: Final = "batch.kubernetes.io/controller-uid"
_NAME: Final = "batch.kubernetes.io/job-name"
_OLD_UID: Final = "controller-uid"
_OLD_NAME: Final = "job-name"
_RESTART: Final = ("OnFailure", "Never")
_COUNTS: Final = (
    "parallelism",
    "completions",
    "activeDeadlineSeconds",
    "backoffLimit",
    "ttlSecondsAfterFinished",
    "backoffLimitPerIndex",
    "maxFailedIndexes",
)
_FINAL: Final = (
    "completionMode",
    "podFailurePolicy",
    "backoffLimitPerIndex",
    "managedBy",
    "successPolicy",
)
_POLICIES: Final = ("Allow", "Forbid", "Replace")
_MACROS: Final = ("@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly")
_CRON_FIELD: Final = re.compile(r"[\d*/,A-Za-z?L#-]+")


def _default_job(obj: Obj) -> None:
    spec = obj["spec"]
    template = spec["template"]
    default_pod_spec(template["spec"])
    if "completions" not in spec and "parallelism" not in spec:
        spec["completions"] = 1
    spec.setdefault("parallelism", 1)
    if "backoffLimitPerIndex" in spec:
        spec.setdefault("backoffLimit", 2**31 - 1)
    spec.setdefault("backoffLimit", 6)
    labels = fields_at(template, "metadata").get("labels")
    if labels and not obj["metadata"].get("labels"):
        obj["metadata"]["labels"] = dict(labels)
    spec.setdefault("completionMode", "NonIndexed")
    spec.setdefault("suspend", False)
    spec.setdefault("manualSelector", False)
    spec.setdefault("podReplacementPolicy", "Failed" if "podFailurePolicy" in spec else "TerminatingOrFailed")


def _generate_selector(obj: Obj) -> None:
    """The selector selects by the Job's uid, so that no two Jobs share a pod."""
    spec = obj["spec"]
    obj["status"] = {}
    if spec.get("manualSelector"):
        return
    uid, name = obj["metadata"]["uid"], obj["metadata"]["name"]
    metadata: dict[str, Any] = spec["template"].setdefault("metadata", {})
    before = dict(fields_at(metadata, "labels"))
    labels: dict[str, str] = metadata.setdefault("labels", {})
    labels.update({_UID: uid, _NAME: name, _OLD_UID: uid, _OLD_NAME: name})
    if before and obj["metadata"].get("labels") == before:
        obj["metadata"]["labels"] = dict(labels)  # they were defaulted from the template, and follow it
    spec.setdefault("selector", {}).setdefault("matchLabels", {})[_UID] = uid


def check_job_spec(spec: dict[str, Any], field: str) -> list[FieldError]:
    """The errors of a Job's spec that do not depend on its selector."""
    errors = not_negative(spec, _COUNTS, f"{field}.")
    pod_spec = fields_at(spec, "template", "spec")
    policy = pod_spec.get("restartPolicy")
    place = f"{field}.template.spec.restartPolicy"
    errors += check_template(spec, f"{field}.template", ("Always", *_RESTART))
    if policy == "Always":
        errors.append(required(place, 'valid values: "OnFailure", "Never"'))
    elif policy in _RESTART and "podFailurePolicy" in spec and policy != "Never":
        errors.append(not_supported(place, policy, ("Never",)))
    return errors


def _validate_job(obj: Obj) -> list[FieldError]:
    spec = obj["spec"]
    errors: list[FieldError] = []
    if not spec.get("manualSelector"):
        expected = {_UID: obj["metadata"].get("uid")}
        selector: dict[str, Any] = fields_at(spec, "selector")
        if selector.get("matchLabels") != expected or selector.get("matchExpressions"):
            errors.append(invalid_value("spec.selector", selector, "`selector` not auto-generated"))
    elif spec.get("selector") is None:
        errors.append(required("spec.selector"))
    errors += check_job_spec(spec, "spec")
    labels = fields_at(spec["template"], "metadata", "labels")
    if spec.get("selector") is not None and not matches(spec["selector"], labels):
        field = "spec.template.metadata.labels"
        errors.append(invalid_value(field, labels, "`selector` does not match template `labels`"))
    if (spec.get("completionMode") == "Indexed") and spec.get("completions") is None:
        errors.append(required("spec.completions", "when completion mode is Indexed"))
    return errors


def _validate_job_update(old: Obj, new: Obj) -> list[FieldError]:
    before, after = old["spec"], new["spec"]
    errors: list[FieldError] = []
    if before.get("completions") != after.get("completions") and after.get("completionMode") != "Indexed":
        errors.append(immutable("spec.completions", after.get("completions")))
    errors += immutable_fields(before, after, ("selector",), "spec.")
    if not _same_template(old, new):
        errors.append(immutable("spec.template", after.get("template")))
    return errors + immutable_fields(before, after, _FINAL, "spec.")


def _same_template(old: Obj, new: Obj) -> bool:
    """A suspended Job that never ran may still be told where to run."""
    before, after = old["spec"]["template"], new["spec"]["template"]
    if before == after:
        return True
    if not old["spec"].get("suspend") or fields_at(old, "status").get("startTime"):
        return False
    movable = ("nodeSelector", "affinity", "tolerations", "schedulingGates")
    rest = [{k: v for k, v in t["spec"].items() if k not in movable} for t in (before, after)]
    return rest[0] == rest[1]


def _validate_job_status(old: Obj, new: Obj) -> list[FieldError]:
    """A Job finishes once, and its status must agree with that."""
    before, after = _true_conditions(old), _true_conditions(new)
    status: dict[str, Any] = fields_at(new, "status")
    errors: list[FieldError] = []
    if "Complete" in after and "Complete" not in before:
        if not status.get("completionTime"):
            errors.append(required("status.completionTime", "completionTime is required for Complete jobs"))
        if "SuccessCriteriaMet" not in after:
            errors.append(_unmet("Complete=True", "SuccessCriteriaMet=true"))
    if "Failed" in after and "Failed" not in before and "FailureTarget" not in after:
        errors.append(_unmet("Failed=True", "FailureTarget=true"))
    finished = {"Complete", "Failed"} & after
    if finished and not {"Complete", "Failed"} & before:
        for part in ("active", "terminating", "ready"):
            if status.get(part, 0) > 0:
                message = f"{part}>0 is invalid for finished job"
                errors.append(invalid_value(f"status.{part}", status[part], message))
    elif not finished and status.get("completionTime"):
        message = "cannot set completionTime when there is no Complete=True condition"
        errors.append(invalid_value("status.completionTime", status["completionTime"], message))
    return errors


def _unmet(condition: str, needed: str) -> FieldError:
    message = f"Invalid value: cannot set {condition} condition without the {needed} condition"
    return FieldError("FieldValueInvalid", "status.conditions", message)


def _true_conditions(obj: Obj) -> set[str]:
    conditions = list_at(obj, "status", "conditions")
    return {condition["type"] for condition in conditions if condition.get("status") == "True"}


def _default_cron_job(obj: Obj) -> None:
    spec = obj["spec"]
    default_pod_spec(spec["jobTemplate"]["spec"]["template"]["spec"])
    spec.setdefault("concurrencyPolicy", "Allow")
    spec.setdefault("suspend", False)
    spec.setdefault("successfulJobsHistoryLimit", 3)
    spec.setdefault("failedJobsHistoryLimit", 1)


def _validate_cron_job(obj: Obj) -> list[FieldError]:
    spec = obj["spec"]
    errors: list[FieldError] = []
    schedule = spec.get("schedule", "")
    if not schedule:
        errors.append(required("spec.schedule"))
    elif message := _bad_schedule(schedule):
        errors.append(invalid_value("spec.schedule", schedule, message))
    zone = spec.get("timeZone")
    if zone is not None and zone not in zoneinfo.available_timezones():
        errors.append(invalid_value("spec.timeZone", zone, f"unknown time zone {zone}"))
    if (policy := spec.get("concurrencyPolicy")) not in _POLICIES:
        errors.append(not_supported("spec.concurrencyPolicy", policy, _POLICIES))
    errors += not_negative(
        spec, ("successfulJobsHistoryLimit", "failedJobsHistoryLimit", "startingDeadlineSeconds"), "spec."
    )
    return errors + check_job_spec(spec["jobTemplate"]["spec"], "spec.jobTemplate.spec")


def _bad_schedule(schedule: str) -> str:
    if schedule.startswith("@"):
        known = schedule in _MACROS or schedule.startswith("@every ")
        return "" if known else f"unrecognized descriptor: {schedule}"
    fields = schedule.split()
    if len(fields) != 5:
        return f"expected exactly 5 fields, found {len(fields)}: [{schedule}]"
    wrong = next((field for field in fields if not _CRON_FIELD.fullmatch(field)), None)
    return "" if wrong is None else f"failed to parse int from {wrong}"


JOB: Final = Rules(
    default=_default_job,
    prepare_create=_generate_selector,
    validate=_validate_job,
    validate_update=_validate_job_update,
    validate_status=_validate_job_status,
    generation=True,
)
CRON_JOB: Final = Rules(default=_default_cron_job, validate=_validate_cron_job, generation=True)
