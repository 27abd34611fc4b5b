"""The status equals that of trivy-operator, from the same reports and the same specifications.

Both recordings are of one cluster; when the totals alone were recorded, one ReplicaSet had no
report any more. Our deviations are in ``DEVIATIONS`` and ``_check_counts``, each with its reason.
"""

from __future__ import annotations

from typing import Any

import msgspec
import orjson
import pytest

from tests.parity.golden import GOLDEN
from trivyop.compliance.evaluation import Circumstances, evaluate
from trivyop.compliance.findings import Findings, report_key
from trivyop.compliance.reading import AuditReport, read_report
from trivyop.compliance.resource import ComplianceReport
from trivyop.compliance.specification import Specification, parse_specification
from trivyop.compliance.status import build_status
from trivyop.kube.resources import (
    CLUSTERINFRAASSESSMENTREPORTS,
    CLUSTERRBACASSESSMENTREPORTS,
    CONFIGAUDITREPORTS,
    INFRAASSESSMENTREPORTS,
    RBACASSESSMENTREPORTS,
    ObjectKey,
)
from trivyop.kube.times import parse_time
from trivyop.report.findings import Severity

Json = dict[str, Any]
REPORTS = GOLDEN / "reports"
NAMES = ("k8s-cis-1.23", "k8s-nsa-1.0", "k8s-pss-baseline-0.1", "k8s-pss-restricted-0.1")
READ = (
    CONFIGAUDITREPORTS,
    RBACASSESSMENTREPORTS,
    CLUSTERRBACASSESSMENTREPORTS,
    INFRAASSESSMENTREPORTS,
    CLUSTERINFRAASSESSMENTREPORTS,
)
GONE_LATER = "replicaset-web-7b8cd85855.json"
# No check of that number exists, and that of KCV-0013 is never run: trivy-operator calls the controls passed.
NO_SUCH_CHECK = {"KSV-0029", "KCV-0013"}
NEVER_LOOKED = None  # no totalFail: trivy-operator says 0, and counts the control as passed
DEVIATIONS: dict[str, dict[str, int | None]] = {
    "k8s-cis-1.23": {
        "1.2.13": NEVER_LOOKED,  # KCV-0013 is never run
        "1.3.1": NEVER_LOOKED,  # the cluster has no controller manager that can be seen
        "1.3.3": NEVER_LOOKED,  # likewise
        "1.3.4": NEVER_LOOKED,  # likewise
        "1.3.5": NEVER_LOOKED,  # likewise
        "1.3.6": NEVER_LOOKED,  # likewise
        "1.3.7": NEVER_LOOKED,  # likewise
        "1.4.1": NEVER_LOOKED,  # likewise: KCV-0034 is about the controller manager
        "1.4.2": NEVER_LOOKED,  # no scheduler that can be seen
        "5.1.1": NEVER_LOOKED,  # no binding has a report
    },
    "k8s-nsa-1.0": {"1.6": NEVER_LOOKED},  # there is no KSV-0029
    # Ids in lower case, which trivy-operator never finds, so that these can not fail.
    "k8s-pss-baseline-0.1": {"10": 8},
    "k8s-pss-restricted-0.1": {"10": 8, "13": 8, "14": 8, "16": 7, "17": 7},
}


def _findings(*, without: str = "") -> Findings:
    findings = Findings()
    for resource in READ:
        for path in (REPORTS / resource.plural).glob("*.json"):
            if not without or without not in path.name:
                report = msgspec.json.decode(path.read_bytes(), type=AuditReport)
                key = ObjectKey(report.metadata.namespace, report.metadata.name)
                findings.put(report_key(resource, key), read_report(resource, report, {"n1"}))
    return findings


def _recorded(folder: str, name: str) -> tuple[Json, Specification]:
    recorded = orjson.loads((REPORTS / folder / f"{name}.json").read_bytes())
    specification = parse_specification(
        msgspec.json.decode(orjson.dumps(recorded), type=ComplianceReport),
        now=parse_time(recorded["status"]["updateTimestamp"]),
    )
    assert isinstance(specification, Specification)
    return recorded["status"], specification


def _status(specification: Specification, findings: Findings, at: str) -> Json:
    checks = {check for control in specification.controls for check in control.checks} - NO_SUCH_CHECK
    circumstances = Circumstances(checks=dict.fromkeys(checks, Severity.HIGH))
    return build_status(
        specification,
        tuple(evaluate(specification.controls, findings, circumstances)),
        findings,
        entries_limit=10_000,
        budget_bytes=10_000_000,
        now=parse_time(at),
    )


def _known(row: Json, like: Json) -> Json:
    """The fields that the other row may have."""
    return {field: value for field, value in row.items() if field in {*like, "totalFail", "status"}}


@pytest.mark.parametrize("name", NAMES)
def test_summary_equals_the_recorded_one(name: str) -> None:
    recorded, specification = _recorded("clustercompliancereports-summary", name)

    ours = _status(specification, _findings(without=GONE_LATER), recorded["updateTimestamp"])

    expected = [dict(row) for row in recorded["summaryReport"]["controlCheck"]]
    for row in expected:
        if "Manual" not in row["name"]:
            row.setdefault("totalFail", 0)
        if row["id"] in DEVIATIONS[name]:
            total = DEVIATIONS[name][row["id"]]
            assert row.pop("totalFail") == 0
            if total is not None:
                row["totalFail"] = total
    assert [_known(row, expected[0]) for row in ours["summaryReport"]["controlCheck"]] == expected
    assert {field: ours["summaryReport"][field] for field in ("id", "title")} == {
        field: recorded["summaryReport"][field] for field in ("id", "title")
    }
    assert ours["updateTimestamp"] == recorded["updateTimestamp"]
    _check_counts(name, recorded, ours, specification)


@pytest.mark.parametrize("name", NAMES)
def test_details_equal_the_recorded_ones(name: str) -> None:
    """Every finding of every control, field by field; their order means nothing."""
    recorded, specification = _recorded("clustercompliancereports", name)

    ours = _status(specification, _findings(), recorded["updateTimestamp"])

    theirs, mine = recorded["detailReport"], ours["detailReport"]
    for field in ("id", "title", "description", "version", "relatedVersion"):
        assert mine[field] == theirs[field]
    for row, expected in zip(mine["results"], theirs["results"], strict=True):
        for field in ("id", "name", "description", "severity", "status"):
            assert row.get(field) == expected.get(field)
        if row["result"] in ("manual", "not evaluated"):  # theirs has one row that looks like a pass
            assert expected["checks"] == [{"checkID": "", "severity": "", "success": True}]
            assert row["checks"] == []
        elif row["id"] in DEVIATIONS[name]:
            assert len(expected["checks"]) == 1
            assert len(row["checks"]) == row["totalFail"] > 1
        else:
            assert sorted(map(_text, row["checks"])) == sorted(map(_text, expected["checks"]))
    _check_counts(name, recorded, ours, specification)


def _check_counts(name: str, recorded: Json, ours: Json, specification: Specification) -> None:
    """Manual controls and those that nothing answered are not counted as passed."""
    manual = sum(not control.checks for control in specification.controls)
    unanswered = sum(total is NEVER_LOOKED for total in DEVIATIONS[name].values())
    failed = len(DEVIATIONS[name]) - unanswered
    assert ours["summary"] == {
        "failCount": recorded["summary"]["failCount"] + failed,
        "passCount": recorded["summary"]["passCount"] - failed - unanswered - manual,
        "manualCount": manual,
        "notEvaluatedCount": unanswered,
        "notApplicableCount": 0,
    }


def _text(row: Json) -> bytes:
    return orjson.dumps(row, option=orjson.OPT_SORT_KEYS)
