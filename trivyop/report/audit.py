"""Audit reports: what checks say about how one resource is configured.

Six kinds, by what was looked at: RBAC assessments of Roles and ClusterRoles, infra assessments of nodes and
of the pods of the control plane, config audits of everything else; each for namespaced and for cluster-scoped
resources. One audit may fill two reports: the checks of the control plane (KCV) go into the infra assessment
of its pods, and nowhere else.

Names are those of the Go operator, because scripts look reports up by name: ``<kind>-<name>``, or
``<kind>-<hash>`` where that is no name. Two resources may share one; the newcomer then has ``long_name``.

Promises: worst first; the same checks in any order give the same report; the summary counts what failed, also
what the report has no room for.
Not here: when a report is due, and which resources are audited.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson

from trivyop.kube.resources import (
    CLUSTERCONFIGAUDITREPORTS,
    CLUSTERINFRAASSESSMENTREPORTS,
    CLUSTERRBACASSESSMENTREPORTS,
    CONFIGAUDITREPORTS,
    INFRAASSESSMENTREPORTS,
    RBACASSESSMENTREPORTS,
    ObjectKey,
    Resource,
)
from trivyop.kube.times import format_time
from trivyop.report import keys
from trivyop.report.artifact import scanner_fields
from trivyop.report.checks import Check
from trivyop.report.content import seal
from trivyop.report.findings import Severity
from trivyop.report.frame import API_VERSION
from trivyop.report.hashing import compute_hash
from trivyop.report.labels import resource_labels
from trivyop.report.names import is_label_value, is_object_name
from trivyop.report.options import DEFAULT_BUDGET_BYTES
from trivyop.report.summary import SeverityCounts
from trivyop.workload.owners import WorkloadKind

CATEGORY = "Kubernetes Security Check"
CONTROL_PLANE_NAMESPACE = "kube-system"
CONTROL_PLANE_NAMES = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd")
RBAC_KINDS = frozenset({"Role", "ClusterRole"})

_DNS_LABEL = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")
_INFRA_CHECK = re.compile(r"(?:AVD-)?KCV")
_LONG_HASH_DIGITS = 20
_INFRA = (INFRAASSESSMENTREPORTS, CLUSTERINFRAASSESSMENTREPORTS)
_WITH_TIMESTAMP = (CONFIGAUDITREPORTS, CLUSTERCONFIGAUDITREPORTS)


@dataclass(frozen=True, slots=True)
class AuditSubject:
    """The resource that was audited."""

    kind: str
    api_version: str
    key: ObjectKey
    uid: str
    labels: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class AuditOptions:
    """The settings that shape audit reports, whatever was found."""

    severities: frozenset[Severity] = frozenset(Severity)
    failed_only: bool = False  # leave out what passed
    resource_labels: tuple[str, ...] = ()  # label keys copied from a resource to its reports
    additional_labels: Mapping[str, str] = field(default_factory=dict[str, str])  # put on every report
    report_ttl: str = "24h0m0s"  # a Go duration, as the annotation shows it; "" for none
    budget_bytes: int = DEFAULT_BUDGET_BYTES  # of JSON, as sent
    corrections: tuple[str, ...] = ()  # names of those that may apply
    operator: str = ""  # the namespace of the operator, by which it knows its own reports

    @property
    def settings_hash(self) -> str:
        """What a report made with these settings is known by."""
        document = [
            sorted(self.severities),
            self.failed_only,
            self.resource_labels,
            dict(self.additional_labels),
            self.report_ttl,
            self.budget_bytes,
            sorted(self.corrections),
        ]
        data = orjson.dumps(document, option=orjson.OPT_SORT_KEYS)
        return hashlib.sha256(data).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class AuditBasis:
    """What an audit went by; a report is due when one of these is another."""

    spec_hash: str  # of the resource; a valid label value
    policies_hash: str  # of the checks that apply to its kind; a valid label value
    scanner_version: str  # of the Trivy that checked


def is_control_plane(kind: str, key: ObjectKey) -> bool:
    """Whether a resource is part of the control plane, so that the checks of nodes apply to it."""
    if kind == "Node":
        return True
    if kind not in set(WorkloadKind) or key.namespace != CONTROL_PLANE_NAMESPACE:
        return False  # a Role may be named after what it is for
    return any(name in key.name for name in CONTROL_PLANE_NAMES)


def report_kind(kind: str, *, namespaced: bool, merge_rbac: bool = False) -> Resource:
    """The kind of report that a resource of that kind has."""
    if kind == "Node":
        return CLUSTERINFRAASSESSMENTREPORTS
    if kind in RBAC_KINDS and not merge_rbac:
        return RBACASSESSMENTREPORTS if namespaced else CLUSTERRBACASSESSMENTREPORTS
    return CONFIGAUDITREPORTS if namespaced else CLUSTERCONFIGAUDITREPORTS


def is_infra_check(check: Check) -> bool:
    """Whether a check is about components of the cluster, not about what users put into it."""
    return _INFRA_CHECK.match(check.id) is not None


def report_name(resource: Resource, kind: str, name: str) -> str:
    """The usual name of a report of kind ``resource`` on an object."""
    plain = f"{kind.lower()}-{name}"
    usual = is_label_value(plain) and is_object_name(plain) if resource in _INFRA else _is_dns_label(plain)
    return plain if usual else f"{kind.lower()}-{compute_hash(name)}"


def long_name(api_version: str, kind: str, name: str) -> str:
    """The name of a report whose usual name is taken by that of another resource."""
    group = api_version.rpartition("/")[0]
    digest = hashlib.sha256(f"{group}\0{name}".encode()).hexdigest()
    return f"{kind.lower()}-{digest[:_LONG_HASH_DIGITS]}"


def build_audit_report(
    resource: Resource,
    subject: AuditSubject,
    checks: Iterable[Check],
    basis: AuditBasis,
    options: AuditOptions,
    *,
    now: datetime,
    name: str | None = None,
    corrected: Mapping[str, Iterable[str]] | None = None,
) -> dict[str, Any]:
    """Build a report of kind ``resource``, of those of the checks that belong into it.

    ``now`` is aware and is written to the second; ``name`` only where the usual one is taken. ``corrected``
    names, by correction, the checks of which it has taken out findings.
    """
    infra = resource in _INFRA
    rows = [
        check for check in checks if check.severity in options.severities and is_infra_check(check) is infra
    ]
    counts = SeverityCounts.of(check.severity for check in rows if not check.success)
    shown = [check for check in rows if not (check.success and options.failed_only)]
    body: dict[str, Any] = {
        "checks": [_row(check) for check in sorted(shown, key=_order)],
        "scanner": scanner_fields(basis.scanner_version),
        "summary": {
            "criticalCount": counts.critical,
            "highCount": counts.high,
            "mediumCount": counts.medium,
            "lowCount": counts.low,
        },
    }
    if resource in _WITH_TIMESTAMP:
        body["updateTimestamp"] = format_time(now)
    namespace = subject.key.namespace
    report = {
        "apiVersion": API_VERSION,
        "kind": resource.kind,
        "metadata": {
            "name": name or report_name(resource, subject.kind, subject.key.name),
            **({"namespace": namespace} if namespace else {}),
            "labels": _labels(subject, basis, options),
            "annotations": {
                **_annotations(subject, options, counts, now),
                **_corrected(corrected or {}, {check.id for check in rows}),
            },
            "ownerReferences": [_owner_reference(subject)],
        },
        "report": body,
    }
    return seal(report, options.budget_bytes)


def _labels(subject: AuditSubject, basis: AuditBasis, options: AuditOptions) -> dict[str, str]:
    return {
        **{key: subject.labels[key] for key in options.resource_labels if key in subject.labels},
        **options.additional_labels,
        keys.MANAGED_BY: keys.MANAGED_BY_VALUE,
        keys.SPEC_HASH: basis.spec_hash,
        keys.POLICIES_HASH: basis.policies_hash,
        **resource_labels(subject.kind, subject.key.namespace, subject.key.name),
    }


def _annotations(
    subject: AuditSubject, options: AuditOptions, counts: SeverityCounts, now: datetime
) -> dict[str, str]:
    name = subject.key.name
    with_ttl = subject.key.namespace and options.report_ttl
    return {
        **({} if is_label_value(name) else {keys.RESOURCE_NAME: name}),
        **({keys.REPORT_TTL: options.report_ttl} if with_ttl else {}),
        **({keys.OPERATOR: options.operator} if options.operator else {}),
        keys.SETTINGS_HASH: options.settings_hash,
        keys.SCANNED_AT: format_time(now),
        keys.SUMMARY: str(counts),
    }


def _corrected(corrected: Mapping[str, Iterable[str]], reported: Collection[str]) -> dict[str, str]:
    by_name = {name: [one for one in ids if one in reported] for name, ids in corrected.items()}
    text = "; ".join(f"{name}: {', '.join(ids)}" for name, ids in sorted(by_name.items()) if ids)
    return {keys.CORRECTED: text} if text else {}


def _owner_reference(subject: AuditSubject) -> dict[str, Any]:
    return {
        "apiVersion": subject.api_version,
        "blockOwnerDeletion": False,
        "controller": True,
        "kind": subject.kind,
        "name": subject.key.name,
        "uid": subject.uid,
    }


def _row(check: Check) -> dict[str, Any]:
    texts = {
        "category": CATEGORY,
        "title": check.title,
        "description": check.description,
        "remediation": check.remediation,
    }
    return {
        "checkID": check.id,
        "severity": check.severity.value,
        "success": check.success,
        **{field: text for field, text in texts.items() if text},
        **({"messages": [check.message]} if check.message and not check.success else {}),
    }


def _order(check: Check) -> tuple[int | str, ...]:
    return (check.success, check.severity.rank, check.id, check.message, check.title, check.description)


def _is_dns_label(text: str) -> bool:
    return _DNS_LABEL.fullmatch(text) is not None
