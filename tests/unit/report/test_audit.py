"""Reports of audits: what settings leave out, what is counted, and what reports are called."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.report.crds import check_accepted
from tests.unit.report.samples import NOON
from trivyop.kube.resources import (
    CLUSTERCONFIGAUDITREPORTS,
    CLUSTERRBACASSESSMENTREPORTS,
    CONFIGAUDITREPORTS,
    INFRAASSESSMENTREPORTS,
    RBACASSESSMENTREPORTS,
    ObjectKey,
    Resource,
)
from trivyop.report import keys
from trivyop.report.audit import (
    AuditBasis,
    AuditOptions,
    AuditSubject,
    build_audit_report,
    is_control_plane,
    long_name,
    report_kind,
    report_name,
)
from trivyop.report.budget import size_of
from trivyop.report.checks import Check
from trivyop.report.findings import Severity

SUBJECT = AuditSubject(
    "Pod", "v1", ObjectKey("kube-system", "etcd-n1"), "u1", {"team": "core", "app": "etcd"}
)
BASIS = AuditBasis("s1", "p1", "0.76.0")


def check(
    number: str, severity: Severity = Severity.HIGH, *, success: bool = False, message: str = "bad"
) -> Check:
    text = "" if success else message
    return Check(f"AVD-{number}", f"Title {number}", "Why.", "How.", severity, success, text)


CHECKS = (
    check("KSV-0001"),
    check("KSV-0002", Severity.LOW),
    check("KSV-0003", Severity.CRITICAL, success=True),
    check("KSV-0001", message="bad, too"),
    check("KCV-0001", Severity.MEDIUM),
)


def build(
    *checks: Check, kind: Resource = CONFIGAUDITREPORTS, options: AuditOptions | None = None
) -> dict[str, Any]:
    report = build_audit_report(kind, SUBJECT, checks, BASIS, options or AuditOptions(), now=NOON)
    check_accepted(report)
    return report


def ids(report: dict[str, Any]) -> list[str]:
    return [row["checkID"] for row in report["report"]["checks"]]


def test_report_has_every_field() -> None:
    options = AuditOptions(
        resource_labels=("team", "none"), additional_labels={"env": "test"}, operator="trivy-system"
    )

    report = build(check("KSV-0001"), options=options)

    assert report == {
        "apiVersion": "aquasecurity.github.io/v1alpha1",
        "kind": "ConfigAuditReport",
        "metadata": {
            "name": "pod-etcd-n1",
            "namespace": "kube-system",
            "labels": {
                "team": "core",
                "env": "test",
                "app.kubernetes.io/managed-by": "trivy-operator",
                "resource-spec-hash": "s1",
                "plugin-config-hash": "p1",
                "trivy-operator.resource.kind": "Pod",
                "trivy-operator.resource.name": "etcd-n1",
                "trivy-operator.resource.namespace": "kube-system",
            },
            "annotations": {
                "trivy-operator.aquasecurity.github.io/report-ttl": "24h0m0s",
                "trivyop.dev/operator": "trivy-system",
                "trivyop.dev/settings-hash": options.settings_hash,
                "trivyop.dev/scanned-at": "2026-01-02T12:00:00Z",
                "trivyop.dev/summary": "c=0,h=1,m=0,l=0,u=0",
                "trivyop.dev/content-hash": report["metadata"]["annotations"][keys.CONTENT_HASH],
            },
            "ownerReferences": [
                {
                    "apiVersion": "v1",
                    "blockOwnerDeletion": False,
                    "controller": True,
                    "kind": "Pod",
                    "name": "etcd-n1",
                    "uid": "u1",
                }
            ],
        },
        "report": {
            "checks": [
                {
                    "checkID": "AVD-KSV-0001",
                    "severity": "HIGH",
                    "success": False,
                    "category": "Kubernetes Security Check",
                    "title": "Title KSV-0001",
                    "description": "Why.",
                    "remediation": "How.",
                    "messages": ["bad"],
                }
            ],
            "scanner": {"name": "Trivy", "vendor": "Aqua Security", "version": "0.76.0"},
            "summary": {"criticalCount": 0, "highCount": 1, "mediumCount": 0, "lowCount": 0},
            "updateTimestamp": "2026-01-02T12:00:00Z",
        },
    }


def test_failures_come_first_worst_first_and_only_they_are_counted() -> None:
    report = build(*CHECKS)

    assert ids(report) == ["AVD-KSV-0001", "AVD-KSV-0001", "AVD-KSV-0002", "AVD-KSV-0003"]
    assert report["report"]["summary"] == {
        "criticalCount": 0,
        "highCount": 2,
        "mediumCount": 0,
        "lowCount": 1,
    }
    assert "messages" not in report["report"]["checks"][-1]


def test_checks_of_the_control_plane_have_a_report_of_their_own() -> None:
    report = build(*CHECKS, kind=INFRAASSESSMENTREPORTS)

    assert ids(report) == ["AVD-KCV-0001"]
    assert "updateTimestamp" not in report["report"]


def test_settings_leave_out_what_passed_and_what_is_not_severe() -> None:
    failed_only = build(*CHECKS, options=AuditOptions(failed_only=True))
    severe = build(*CHECKS, options=AuditOptions(severities=frozenset({Severity.HIGH, Severity.CRITICAL})))

    assert "AVD-KSV-0003" not in ids(failed_only)
    assert "AVD-KSV-0002" not in ids(severe)
    assert severe["report"]["summary"]["lowCount"] == 0


def test_finding_of_a_check_without_texts_is_reported() -> None:
    bare = Check("TEAM-1", "", "", "", Severity.UNKNOWN, success=False, message="bad")

    (row,) = build(bare)["report"]["checks"]

    assert row == {
        "checkID": "TEAM-1",
        "severity": "UNKNOWN",
        "success": False,
        "category": "Kubernetes Security Check",
        "messages": ["bad"],
    }


def test_report_says_what_was_corrected_in_it() -> None:
    """Only of checks that it reports, and nothing where there is nothing."""
    check = Check("AVD-KSV-0011", "", "", "", Severity.LOW, success=True)
    corrected = {"windows": ("AVD-KSV-0001",), "pod-resources": ("AVD-KSV-0011", "AVD-KSV-0099")}

    report = build_audit_report(
        CONFIGAUDITREPORTS, SUBJECT, [check], BASIS, AuditOptions(), now=NOON, corrected=corrected
    )

    assert report["metadata"]["annotations"][keys.CORRECTED] == "pod-resources: AVD-KSV-0011"
    assert keys.CORRECTED not in build(check)["metadata"]["annotations"]


@given(st.permutations(CHECKS))
def test_report_does_not_depend_on_the_order_of_checks(checks: list[Check]) -> None:
    assert build(*checks) == build(*CHECKS)


@pytest.mark.parametrize(
    "change",
    [
        {"severities": frozenset({Severity.HIGH})},
        {"failed_only": True},
        {"resource_labels": ("team",)},
        {"additional_labels": {"a": "b"}},
        {"report_ttl": ""},
        {"budget_bytes": 10_000},
        {"corrections": ("windows",)},
    ],
)
def test_each_setting_makes_reports_due(change: dict[str, Any]) -> None:
    assert replace(AuditOptions(), **change).settings_hash != AuditOptions().settings_hash


def test_report_that_is_too_large_loses_what_passed_and_explanations_first() -> None:
    many = [check(f"KSV-{n:04}", success=n % 2 == 0, message="x" * 100) for n in range(400)]
    whole = size_of(build(*many))

    smaller = build(*many, options=AuditOptions(budget_bytes=whole - 1000))
    small = build(*many, options=AuditOptions(budget_bytes=20_000))

    assert smaller["metadata"]["annotations"][keys.OMITTED] == "passed"
    assert not any(row["success"] for row in smaller["report"]["checks"])
    assert small["metadata"]["annotations"][keys.OMITTED].startswith("passed,descriptions,remediations")
    assert small["report"]["summary"]["highCount"] == 200
    assert size_of(small) <= 20_000


@pytest.mark.parametrize(
    ("resource", "kind", "name", "expected"),
    [
        (CONFIGAUDITREPORTS, "Service", "web", "service-web"),
        (CONFIGAUDITREPORTS, "ConfigMap", "kube-root-ca.crt", None),
        (INFRAASSESSMENTREPORTS, "Pod", "etcd-n1.example", "pod-etcd-n1.example"),
        (CLUSTERRBACASSESSMENTREPORTS, "ClusterRole", "system:service-account-issuer-discovery", None),
        (CONFIGAUDITREPORTS, "Service", "w" * 60, None),
    ],
)
def test_names_are_hashed_where_they_are_no_names(
    resource: Resource, kind: str, name: str, expected: str | None
) -> None:
    found = report_name(resource, kind, name)

    if expected is None:
        assert name not in found
        assert found.startswith(f"{kind.lower()}-")
        assert len(found) < 40
    else:
        assert found == expected


def test_name_that_is_taken_gives_way_to_one_that_nobody_has() -> None:
    first = long_name("example.com/v1", "Service", "web")
    other = long_name("example.org/v1", "Service", "web")

    assert first != other
    assert first.startswith("service-")


def test_kind_of_report_follows_from_kind_and_scope() -> None:
    assert report_kind("Role", namespaced=True) is RBACASSESSMENTREPORTS
    assert report_kind("Role", namespaced=True, merge_rbac=True) is CONFIGAUDITREPORTS
    assert report_kind("ClusterRole", namespaced=False) is CLUSTERRBACASSESSMENTREPORTS
    assert report_kind("ClusterRoleBinding", namespaced=False) is CLUSTERCONFIGAUDITREPORTS
    assert report_kind("Widget", namespaced=True) is CONFIGAUDITREPORTS


def test_control_plane_is_what_runs_pods_of_that_name_in_its_namespace() -> None:
    assert is_control_plane("Pod", ObjectKey("kube-system", "kube-apiserver-n1"))
    assert is_control_plane("Node", ObjectKey("", "n1"))
    assert not is_control_plane("Pod", ObjectKey("shop", "kube-apiserver-n1"))
    assert not is_control_plane("Role", ObjectKey("kube-system", "system::leader-locking-kube-scheduler"))
