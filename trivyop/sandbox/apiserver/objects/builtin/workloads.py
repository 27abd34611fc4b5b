"""Workloads: the kinds that keep pods running, from ReplicationController to DaemonSet; and PodTemplates.

Promises: what ``kinds.Rules`` promises of each rule.
Not here: Jobs and CronJobs (``jobs``), pod specs (``podspec``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from trivyop.sandbox.apiserver.objects.builtin.podspec import check_pod_spec, default_pod_spec
from trivyop.sandbox.apiserver.objects.kinds import Rules
from trivyop.sandbox.apiserver.objects.names import (
    check_labels,
    immutable,
    invalid_value,
    not_negative,
    not_supported,
    required,
)
from trivyop.sandbox.apiserver.objects.plain import fields_at, list_at
from trivyop.sandbox.apiserver.objects.selecting import matches

if TYPE_CHECKING:
    from trivyop.sandbox.apiserver.objects.kinds import Obj
    from trivyop.sandbox.apiserver.objects.refusals import FieldError

_GENERATION: Final = "deprecated.daemonset.template.generation"


def check_template(
    spec: dict[str, Any], field: str, restart: tuple[str, ...] = ("Always",)
) -> list[FieldError]:
    """The errors of ``spec.template``: its labels, its pod spec, and a restart policy that fits the kind."""
    template = fields_at(spec, "template")
    errors = check_labels(fields_at(template, "metadata", "labels"), f"{field}.metadata.labels")
    pod_spec = fields_at(template, "spec")
    errors += check_pod_spec(pod_spec, f"{field}.spec")
    policy = pod_spec.get("restartPolicy")
    if policy not in restart and policy in ("Always", "OnFailure", "Never"):
        errors.append(not_supported(f"{field}.spec.restartPolicy", policy, restart))
    return errors


def check_selector(spec: dict[str, Any]) -> list[FieldError]:
    """The selector must be there, and must select the template's labels."""
    selector = spec.get("selector")
    labels = fields_at(spec, "template", "metadata", "labels")
    errors: list[FieldError] = []
    if selector is None:
        errors.append(required("spec.selector"))
    elif not selector:
        message = "empty selector is invalid for deployment"
        errors.append(invalid_value("spec.selector", selector, message))
    if selector is None or not matches(selector, labels):
        field = "spec.template.metadata.labels"
        errors.append(invalid_value(field, labels, "`selector` does not match template `labels`"))
    return errors


def _selector_stays(old: Obj, new: Obj) -> list[FieldError]:
    if old["spec"].get("selector") == new["spec"].get("selector"):
        return []
    return [immutable("spec.selector", new["spec"].get("selector"))]


def _default_deployment(obj: Obj) -> None:
    spec = obj["spec"]
    default_pod_spec(spec["template"]["spec"])
    spec.setdefault("replicas", 1)
    strategy = spec.setdefault("strategy", {})
    if strategy.setdefault("type", "RollingUpdate") == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        rolling.setdefault("maxUnavailable", "25%")
        rolling.setdefault("maxSurge", "25%")
    spec.setdefault("revisionHistoryLimit", 10)
    spec.setdefault("progressDeadlineSeconds", 600)


def _validate_deployment(obj: Obj) -> list[FieldError]:
    spec = obj["spec"]
    errors = not_negative(spec, ("replicas", "minReadySeconds", "revisionHistoryLimit"), "spec.")
    return errors + check_selector(spec) + check_template(spec, "spec.template")


def _keep_labels(old: Obj, new: Obj) -> None:
    """A write of a Deployment's status may set annotations (the revision), but no labels."""
    new["spec"] = old["spec"]
    new["metadata"].pop("labels", None)
    if "labels" in old["metadata"]:
        new["metadata"]["labels"] = old["metadata"]["labels"]


def _default_replica_set(obj: Obj) -> None:
    spec = obj["spec"]
    default_pod_spec(spec["template"]["spec"])
    spec.setdefault("replicas", 1)


def _default_controller(obj: Obj) -> None:
    spec = obj["spec"]
    template = fields_at(spec, "template")
    if template:
        default_pod_spec(template["spec"])
    labels = fields_at(template, "metadata").get("labels")
    if labels:
        spec.setdefault("selector", dict(labels))
        obj["metadata"].setdefault("labels", dict(labels))
    spec.setdefault("replicas", 1)


def _validate_controller(obj: Obj) -> list[FieldError]:
    spec = obj["spec"]
    errors = not_negative(spec, ("replicas", "minReadySeconds"), "spec.")
    if not spec.get("selector"):
        errors.append(required("spec.selector"))
    if not spec.get("template"):
        return [*errors, required("spec.template")]
    labels = fields_at(spec["template"], "metadata", "labels")
    if not matches({"matchLabels": fields_at(spec, "selector")}, labels):
        field = "spec.template.metadata.labels"
        errors.append(invalid_value(field, labels, "`selector` does not match template `labels`"))
    return errors + check_template(spec, "spec.template")


def _default_stateful_set(obj: Obj) -> None:
    spec = obj["spec"]
    default_pod_spec(spec["template"]["spec"])
    spec.setdefault("replicas", 1)
    spec.setdefault("podManagementPolicy", "OrderedReady")
    strategy = spec.setdefault("updateStrategy", {})
    if strategy.setdefault("type", "RollingUpdate") == "RollingUpdate":
        strategy.setdefault("rollingUpdate", {}).setdefault("partition", 0)
    spec.setdefault("revisionHistoryLimit", 10)
    retention = spec.setdefault("persistentVolumeClaimRetentionPolicy", {})
    retention.setdefault("whenDeleted", "Retain")
    retention.setdefault("whenScaled", "Retain")
    for claim in list_at(spec, "volumeClaimTemplates"):
        claim.update({"apiVersion": "v1", "kind": "PersistentVolumeClaim"})
        claim.setdefault("spec", {}).setdefault("volumeMode", "Filesystem")
        claim.setdefault("status", {}).setdefault("phase", "Pending")


def _default_daemon_set(obj: Obj) -> None:
    spec = obj["spec"]
    default_pod_spec(spec["template"]["spec"])
    strategy = spec.setdefault("updateStrategy", {})
    if strategy.setdefault("type", "RollingUpdate") == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        rolling.setdefault("maxUnavailable", 1)
        rolling.setdefault("maxSurge", 0)
    spec.setdefault("revisionHistoryLimit", 10)


def _count_template(obj: Obj) -> None:
    obj["metadata"].setdefault("annotations", {})[_GENERATION] = "1"


def _count_templates(old: Obj, new: Obj) -> None:
    count = int(fields_at(old["metadata"], "annotations").get(_GENERATION, "1"))
    if old["spec"]["template"] != new["spec"]["template"]:
        count += 1
    new["metadata"].setdefault("annotations", {})[_GENERATION] = str(count)


def _validate_set(obj: Obj) -> list[FieldError]:
    spec = obj["spec"]
    return (
        not_negative(spec, ("replicas", "minReadySeconds", "revisionHistoryLimit"), "spec.")
        + check_selector(spec)
        + check_template(spec, "spec.template")
    )


def _default_template(obj: Obj) -> None:
    default_pod_spec(obj["template"]["spec"])


def _validate_template(obj: Obj) -> list[FieldError]:
    return check_template(obj, "template", ("Always", "OnFailure", "Never"))


DEPLOYMENT: Final = Rules(
    default=_default_deployment,
    prepare_status=_keep_labels,
    validate=_validate_deployment,
    validate_update=_selector_stays,
    generation=True,
)
REPLICA_SET: Final = Rules(
    default=_default_replica_set, validate=_validate_set, validate_update=_selector_stays, generation=True
)
REPLICATION_CONTROLLER: Final = Rules(
    default=_default_controller, validate=_validate_controller, generation=True
)
STATEFUL_SET: Final = Rules(
    default=_default_stateful_set, validate=_validate_set, validate_update=_selector_stays, generation=True
)
DAEMON_SET: Final = Rules(
    default=_default_daemon_set,
    prepare_create=_count_template,
    prepare_update=_count_templates,
    validate=_validate_set,
    validate_update=_selector_stays,
    generation=True,
)
POD_TEMPLATE: Final = Rules(default=_default_template, validate=_validate_template, generation=True)
