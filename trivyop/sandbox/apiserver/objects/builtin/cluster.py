"""The kinds of the other groups: leases, access control, networking, policy, storage, scheduling.

Promises: what ``kinds.Rules`` promises of each rule.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from trivyop.sandbox.apiserver.objects.kinds import Rules
from trivyop.sandbox.apiserver.objects.names import (
    immutable,
    invalid_value,
    not_supported,
    path_segment,
    required,
)
from trivyop.sandbox.apiserver.objects.plain import fields_at, list_at

if TYPE_CHECKING:
    from trivyop.sandbox.apiserver.objects.kinds import Obj
    from trivyop.sandbox.apiserver.objects.refusals import FieldError

_RBAC: Final = "rbac.authorization.k8s.io"
_SUBJECTS: Final = ("ServiceAccount", "User", "Group")


def _validate_lease(obj: Obj) -> list[FieldError]:
    spec = obj["spec"]
    errors: list[FieldError] = []
    seconds = spec.get("leaseDurationSeconds")
    if seconds is not None and seconds <= 0:
        errors.append(invalid_value("spec.leaseDurationSeconds", seconds, "must be greater than 0"))
    transitions = spec.get("leaseTransitions")
    if transitions is not None and transitions < 0:
        errors.append(
            invalid_value("spec.leaseTransitions", transitions, "must be greater than or equal to 0")
        )
    return errors


def _default_binding(obj: Obj) -> None:
    reference = obj["roleRef"]
    if not reference.get("apiGroup"):
        reference["apiGroup"] = _RBAC
    for subject in list_at(obj, "subjects"):
        if subject.get("kind") in ("User", "Group"):
            subject.setdefault("apiGroup", _RBAC)


def _validate_binding(obj: Obj) -> list[FieldError]:
    reference = obj["roleRef"]
    known = ("Role", "ClusterRole") if obj["kind"] == "RoleBinding" else ("ClusterRole",)
    errors: list[FieldError] = []
    if reference.get("apiGroup") != _RBAC:
        errors.append(not_supported("roleRef.apiGroup", reference.get("apiGroup"), (_RBAC,)))
    if reference.get("kind") not in known:
        errors.append(not_supported("roleRef.kind", reference.get("kind"), known))
    if not reference.get("name"):
        errors.append(required("roleRef.name"))
    for index, subject in enumerate(list_at(obj, "subjects")):
        errors += _check_subject(subject, f"subjects[{index}]", cluster=obj["kind"] == "ClusterRoleBinding")
    return errors


def _check_subject(subject: dict[str, Any], field: str, *, cluster: bool) -> list[FieldError]:
    errors: list[FieldError] = []
    if not subject.get("name"):
        errors.append(required(f"{field}.name"))
    if subject.get("kind") not in _SUBJECTS:
        errors.append(not_supported(f"{field}.kind", subject.get("kind"), _SUBJECTS))
    elif subject["kind"] == "ServiceAccount" and cluster and not subject.get("namespace"):
        errors.append(required(f"{field}.namespace"))
    return errors


def _validate_binding_update(old: Obj, new: Obj) -> list[FieldError]:
    if old["roleRef"] == new["roleRef"]:
        return []
    return [invalid_value("roleRef", new["roleRef"], "cannot change roleRef")]


def _validate_role(obj: Obj) -> list[FieldError]:
    errors: list[FieldError] = []
    for index, rule in enumerate(list_at(obj, "rules")):
        field = f"rules[{index}]"
        if not rule.get("verbs"):
            errors.append(required(f"{field}.verbs", "verbs must contain at least one value"))
        if rule.get("nonResourceURLs"):
            continue
        if not rule.get("apiGroups"):
            errors.append(required(f"{field}.apiGroups", "resource rules must supply at least one api group"))
        if not rule.get("resources"):
            errors.append(required(f"{field}.resources", "resource rules must supply at least one resource"))
    return errors


def _default_network_policy(obj: Obj) -> None:
    spec = obj["spec"]
    if "policyTypes" not in spec:
        spec["policyTypes"] = ["Ingress", "Egress"] if spec.get("egress") else ["Ingress"]
    for rule in [*list_at(spec, "ingress"), *list_at(spec, "egress")]:
        for port in list_at(rule, "ports"):
            port.setdefault("protocol", "TCP")


def _clear_ingress(obj: Obj) -> None:
    obj["status"] = {"loadBalancer": {}}


def _validate_ingress(obj: Obj) -> list[FieldError]:
    spec = obj["spec"]
    if spec.get("rules") or spec.get("defaultBackend"):
        return []
    return [invalid_value("spec", [], "either `defaultBackend` or `rules` must be specified")]


def _validate_budget(obj: Obj) -> list[FieldError]:
    spec = obj["spec"]
    if "minAvailable" in spec and "maxUnavailable" in spec:
        return [invalid_value("spec", spec, "minAvailable and maxUnavailable cannot be both set")]
    return []


def _default_storage_class(obj: Obj) -> None:
    obj.setdefault("reclaimPolicy", "Delete")
    obj.setdefault("volumeBindingMode", "Immediate")


def _validate_storage_class(obj: Obj) -> list[FieldError]:
    return [] if obj.get("provisioner") else [required("provisioner")]


def _default_priority_class(obj: Obj) -> None:
    obj.setdefault("preemptionPolicy", "PreemptLowerPriority")


def _validate_priority_class(old: Obj, new: Obj) -> list[FieldError]:
    return [] if old.get("value") == new.get("value") else [immutable("value", new.get("value"))]


def _default_webhooks(obj: Obj) -> None:
    for hook in list_at(obj, "webhooks"):
        hook.setdefault("failurePolicy", "Fail")
        hook.setdefault("matchPolicy", "Equivalent")
        hook.setdefault("timeoutSeconds", 10)
        hook.setdefault("namespaceSelector", {})
        hook.setdefault("objectSelector", {})
        if obj["kind"] == "MutatingWebhookConfiguration":
            hook.setdefault("reinvocationPolicy", "Never")
        if service := fields_at(hook, "clientConfig").get("service"):
            service.setdefault("port", 443)
        for rule in list_at(hook, "rules"):
            rule.setdefault("scope", "*")


def _default_autoscaler(obj: Obj) -> None:
    obj["spec"].setdefault("minReplicas", 1)


def _default_slice(obj: Obj) -> None:
    for port in list_at(obj, "ports"):
        port.setdefault("name", "")
        port.setdefault("protocol", "TCP")


LEASE: Final = Rules(validate=_validate_lease, unconditional_update=False)
ROLE: Final = Rules(validate=_validate_role, validate_name=path_segment)
BINDING: Final = Rules(
    default=_default_binding,
    validate=_validate_binding,
    validate_update=_validate_binding_update,
    validate_name=path_segment,
)
NETWORK_POLICY: Final = Rules(default=_default_network_policy, generation=True)
INGRESS: Final = Rules(prepare_create=_clear_ingress, validate=_validate_ingress, generation=True)
INGRESS_CLASS: Final = Rules(generation=True)
BUDGET: Final = Rules(validate=_validate_budget, generation=True, unconditional_update=False)
STORAGE_CLASS: Final = Rules(default=_default_storage_class, validate=_validate_storage_class)
PRIORITY_CLASS: Final = Rules(
    default=_default_priority_class, validate_update=_validate_priority_class, generation=True
)
WEBHOOKS: Final = Rules(default=_default_webhooks, generation=True, unconditional_update=False)
AUTOSCALER: Final = Rules(default=_default_autoscaler)
ENDPOINT_SLICE: Final = Rules(default=_default_slice, generation=True)
