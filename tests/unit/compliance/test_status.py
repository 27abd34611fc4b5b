"""What a status says: results with their reasons, limits with exact totals, and what follows a change."""

from __future__ import annotations

import random
from typing import Any

import orjson
import pytest

from tests.unit.compliance.reports import (
    NOW,
    audit_report,
    circumstances,
    findings_of,
    put,
    spec_document,
    specification,
)
from tests.unit.report.crds import check_accepted
from trivyop.compliance.evaluation import Reason, Result, Scanner, evaluate
from trivyop.compliance.findings import Findings, report_key
from trivyop.compliance.profile import Platform, detect_profile
from trivyop.compliance.resource import SaidStatus
from trivyop.compliance.specification import Problem, Specification, Unreadable
from trivyop.compliance.status import build_refusal, build_status
from trivyop.kube.resources import CONFIGAUDITREPORTS, ObjectKey
from trivyop.report import keys
from trivyop.report.findings import Severity

Json = dict[str, Any]


def _spec(*checks: str, report_type: str = "all") -> Specification:
    document = spec_document("k8s-pss-baseline-0.1")
    document["spec"]["reportType"] = report_type
    document["spec"]["compliance"]["controls"] = [
        {"id": check, "name": check, "severity": "HIGH", "checks": [{"id": check}]} for check in checks
    ]
    return specification(document)


def _status(found: Specification, findings: Findings, **options: Any) -> Json:
    chosen = {"entries_limit": 10, "budget_bytes": 900_000, **options}
    answers = tuple(evaluate(found.controls, findings, circumstances(found)))
    return build_status(found, answers, findings, now=NOW, **chosen)


def _answer(check: str, findings: Findings, **fields: Any) -> tuple[Result, Reason | None]:
    found = _spec(check)
    (answer,) = evaluate(found.controls, findings, circumstances(found, **fields))
    return answer.result, answer.reason


def _pods(count: int, *failed: str) -> list[Json]:
    return [audit_report("Pod", failed, name=f"web{number:05}") for number in range(count)]


@pytest.mark.parametrize(
    ("check", "reports", "fields", "reason"),
    [
        ("KSV-0014", [], {}, Reason.NOTHING_AUDITED),
        ("KSV-0014", ["Role"], {}, Reason.NOTHING_AUDITED),
        ("KSV-0014", ["Pod"], {"checks": {}}, Reason.UNKNOWN_CHECK),
        ("KSV-0014", ["Pod"], {"scanners_off": frozenset({Scanner.CONFIG_AUDIT})}, Reason.SCANNER_OFF),
        ("KSV-0014", ["Pod"], {"severities": frozenset({Severity.LOW})}, Reason.SEVERITY_LEFT_OUT),
        ("KSV-0014", ["Pod"], {"policies": {"Pod": "p2"}}, Reason.POLICIES_STALE),
        ("KCV-0001", ["Pod"], {"managed_control_plane": True}, Reason.MANAGED_CONTROL_PLANE),
        ("KCV-0048", ["node"], {}, Reason.NO_NODE_COLLECTED),
        ("KCV-0079", ["Pod"], {}, Reason.NO_NODE_COLLECTED),
        ("KSV-0038", [], {"absent_kinds": frozenset({"NetworkPolicy"})}, Reason.NOTHING_AUDITED),
    ],
)
def test_what_nothing_answers_is_not_evaluated(
    check: str, reports: list[str], fields: Json, reason: Reason
) -> None:
    findings = findings_of(*(audit_report(sort) for sort in reports))

    assert _answer(check, findings, **fields) == (Result.NOT_EVALUATED, reason)


def test_control_about_kinds_that_the_cluster_has_not_does_not_apply() -> None:
    absent = frozenset({"RoleBinding", "ClusterRoleBinding"})

    assert _answer("KSV-0111", Findings(), absent_kinds=absent) == (
        Result.NOT_APPLICABLE,
        Reason.NO_SUCH_RESOURCE,
    )


def test_report_that_left_out_findings_lets_nothing_pass() -> None:
    findings = findings_of(audit_report("Pod", annotations={keys.OMITTED: "findings=3"}))

    assert _answer("KSV-0014", findings) == (Result.NOT_EVALUATED, Reason.INCOMPLETE)


def test_finding_counts_whatever_policies_made_it() -> None:
    findings = findings_of(audit_report("Pod", ["AVD-KSV-0014"]))

    assert _answer("KSV-0014", findings, policies={"Pod": "p2"}) == (Result.FAIL, None)


def test_entries_are_limited_and_totals_are_exact() -> None:
    found = _spec("KSV-0014", "KSV-0001")

    status = _status(found, findings_of(*_pods(50, "AVD-KSV-0014")), entries_limit=3)

    failed, passed = status["detailReport"]["results"]
    assert [row["target"] for row in failed["checks"]] == [f"shop/pod-web0000{number}" for number in range(3)]
    assert (failed["totalFail"], failed["omitted"], failed["evaluated"]) == (50, 47, 50)
    assert (passed["result"], passed["totalFail"]) == ("pass", 0)


def test_status_fits_its_budget_and_still_counts_everything() -> None:
    document = spec_document("k8s-pss-baseline-0.1")
    document["spec"]["reportType"] = "all"
    found = specification(document)
    checks = [f"AVD-{check}" for control in found.controls for check in control.checks]
    findings = findings_of(*_pods(200, *checks))

    status = _status(found, findings, entries_limit=1000, budget_bytes=20_000)

    assert len(orjson.dumps(status)) <= 20_000
    assert status["summary"]["failCount"] == len(found.controls)
    assert {row["totalFail"] for row in status["detailReport"]["results"]} == {200, 600}
    check_accepted({**document, "status": status})


def test_two_thousand_controls_fit() -> None:
    found = specification(
        {
            **spec_document("k8s-pss-baseline-0.1"),
            "spec": {
                "cron": "0 * * * *",
                "reportType": "all",
                "compliance": {
                    "id": "many",
                    "title": "Many",
                    "controls": [
                        {
                            "id": str(number),
                            "name": f"Control {number}",
                            "severity": "LOW",
                            "description": "x" * 400,
                            "checks": [{"id": "KSV-0014"}],
                        }
                        for number in range(2000)
                    ],
                },
            },
        }
    )

    status = _status(found, findings_of(*_pods(20, "AVD-KSV-0014")))

    assert len(orjson.dumps(status)) <= 900_000
    assert len(status["detailReport"]["results"]) == 2000


def test_answer_follows_one_report_without_reading_the_others() -> None:
    found = _spec("KSV-0014", report_type="summary")
    findings = findings_of(*_pods(3, "AVD-KSV-0014"))

    assert put(findings, audit_report("Pod", name="web00001")) is True
    assert put(findings, audit_report("Pod", name="web00001")) is False
    key = report_key(CONFIGAUDITREPORTS, ObjectKey("shop", "pod-web00002"))
    assert findings.remove(key) is True
    assert findings.remove(key) is False

    (row,) = _status(found, findings)["summaryReport"]["controlCheck"]
    assert (row["totalFail"], row["evaluated"]) == (1, 2)


def test_order_in_which_reports_come_means_nothing() -> None:
    found = _spec("KSV-0014", "KSV-0001")
    reports = [*_pods(20, "AVD-KSV-0014"), audit_report("Pod", ["AVD-KSV-0001", "KSV001"], name="a")]
    expected = _status(found, findings_of(*reports))

    for seed in range(5):
        shuffled = random.Random(seed).sample(reports, len(reports))
        assert _status(found, findings_of(*shuffled)) == expected


def test_condition_keeps_the_time_of_its_change() -> None:
    found = _spec("KSV-0014")
    before = _status(found, Findings())
    before["conditions"][1]["lastTransitionTime"] = "2026-11-01T00:00:00Z"

    same = _status(found, Findings(), former=SaidStatus.parse(orjson.dumps(before)).conditions)
    changed = _status(found, findings_of(*_pods(1)), former=SaidStatus.parse(orjson.dumps(before)).conditions)

    assert same["conditions"] == before["conditions"]
    assert changed["conditions"][1]["lastTransitionTime"] == "2026-12-01T12:00:00Z"
    assert changed["conditions"][1]["status"] == "True"


def test_refusal_keeps_what_was_found_before() -> None:
    refusal = build_refusal(
        Unreadable("ours", 4, (Problem("spec.cron", "it is missing"),)),
        now=NOW,
        kept={"summary": {"failCount": 3}, "updateTimestamp": "2026-11-01T00:00:00Z"},
    )

    assert refusal["summary"] == {"failCount": 3}
    assert refusal["updateTimestamp"] == "2026-11-01T00:00:00Z"
    assert refusal["conditions"][0]["message"] == "spec.cron: it is missing"


@pytest.mark.parametrize(
    ("version", "groups", "labels", "platform", "managed", "benchmark"),
    [
        ("v1.31.2-eks-7f9249a", (), {}, Platform.EKS, True, "eks-cis-1.4"),
        ("v1.31.2", (), {"eks.amazonaws.com/nodegroup": "a"}, Platform.EKS, True, "eks-cis-1.4"),
        ("v1.31.1-gke.1146000", (), {}, Platform.GKE, True, "k8s-cis-1.23"),
        ("v1.31.1", (), {"kubernetes.azure.com/cluster": "a"}, Platform.AKS, True, "k8s-cis-1.23"),
        ("v1.31.1+rke2r1", (), {}, Platform.RKE2, False, "rke2-cis-1.24"),
        ("v1.31.1", ("config.openshift.io",), {"eks.amazonaws.com/x": ""}, Platform.OPENSHIFT, False, None),
        ("v1.36.0", (), {"kubernetes.io/hostname": "n1"}, Platform.PLAIN, False, "k8s-cis-1.23"),
        ("", (), {}, Platform.PLAIN, False, "k8s-cis-1.23"),
    ],
)
def test_profile_is_told_by_what_the_api_says(
    version: str,
    groups: tuple[str, ...],
    labels: dict[str, str],
    platform: Platform,
    managed: bool,
    benchmark: str | None,
) -> None:
    profile = detect_profile(version, groups, [labels])

    assert profile.platform is platform
    assert profile.managed_control_plane is managed
    assert profile.specifications[0] == (benchmark or "k8s-cis-1.23")
