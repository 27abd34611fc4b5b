"""A report always fits; what that costs is in fixed steps, and it says so."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.report.crds import check_accepted
from tests.unit.report.samples import (
    ALL_FIELDS,
    DIGEST,
    MANY_FINDINGS,
    NOON,
    SBOM,
    SBOMS,
    container,
    workload,
)
from trivyop.report import keys
from trivyop.report.budget import Omitted, fit, size_of, usable_for_matching
from trivyop.report.findings import Findings, Secret, Severity, Vulnerability
from trivyop.report.options import ReportOptions
from trivyop.report.projection import reproject
from trivyop.report.sbom import build_cluster_sbom_report, build_sbom_report
from trivyop.report.secret import build_secret_report
from trivyop.report.vulnerability import build_vulnerability_report
from trivyop.settings.choices import AdditionalField
from trivyop.workload.images import ImageKey

WEB = workload()
(NGINX,) = WEB.containers


def options(budget_bytes: int) -> ReportOptions:
    return ReportOptions(additional_fields=frozenset(AdditionalField), budget_bytes=budget_bytes)


def omitted(report: dict[str, Any]) -> str | None:
    return report["metadata"]["annotations"].get(keys.OMITTED)


def findings(count: int, severity: Severity, *, fixed: bool, text: str = "x" * 400) -> list[Vulnerability]:
    return [
        Vulnerability(
            id=f"CVE-{severity.rank}-{fixed:d}-{number:04}",
            package="openssl",
            fixed_version="2" if fixed else "",
            severity=severity,
            title="a title",
            description=text,
            links=(text,),
            cvss={"nvd": {"V3Vector": text}},
        )
        for number in range(count)
    ]


def build(found: list[Vulnerability], budget_bytes: int) -> dict[str, Any]:
    everything = Findings(scanner_version="1", vulnerabilities=tuple(found))
    return build_vulnerability_report(WEB, NGINX, everything, options(budget_bytes), now=NOON)


FOUND = [
    *findings(20, Severity.CRITICAL, fixed=False),
    *findings(20, Severity.LOW, fixed=True),
    *findings(20, Severity.LOW, fixed=False),
]


def test_report_within_its_budget_is_left_alone() -> None:
    report = build(FOUND, 900 * 1024)

    assert omitted(report) is None
    assert fit(report, 900 * 1024) is report


@pytest.mark.parametrize(
    ("budget_bytes", "expected"),
    [
        (80_000, "links"),
        (50_000, "links,descriptions"),
        (20_000, "links,descriptions,cvss"),
    ],
)
def test_explanations_go_before_findings(budget_bytes: int, expected: str) -> None:
    report = build(FOUND, budget_bytes)

    assert omitted(report) == expected
    assert len(report["report"]["vulnerabilities"]) == 60
    assert size_of(report) <= budget_bytes


def test_findings_go_least_severe_and_without_a_fix_first() -> None:
    """What one can do something about stays longest; the counts stay true."""
    report = build(FOUND, 7_500)

    rows = report["report"]["vulnerabilities"]
    fixes = [bool(row["fixedVersion"]) for row in rows if row["severity"] == "LOW"]
    assert sum(row["severity"] == "CRITICAL" for row in rows) == 20
    assert fixes
    assert all(fixes)
    assert omitted(report) == f"links,descriptions,cvss,findings={60 - len(rows)}"
    assert report["report"]["summary"]["lowCount"] == 40
    assert rows == sorted(rows, key=lambda row: (row["severity"] != "CRITICAL", row["vulnerabilityID"]))


def test_enormous_title_is_shortened_not_its_finding_dropped() -> None:
    huge = Vulnerability(id="CVE-1", package="p", severity=Severity.HIGH, title="t" * 2_000_000)

    report = build([huge], 10_000)

    assert omitted(report) == "titles"
    assert report["report"]["vulnerabilities"][0]["title"] == "t" * 79 + "…"


def test_finding_too_big_for_any_report_costs_only_itself() -> None:
    huge = Vulnerability(id="CVE-1", package="p", severity=Severity.CRITICAL, fixed_version="9" * 100_000)
    small = Vulnerability(id="CVE-2", package="p", severity=Severity.LOW)

    report = build([huge, small], 10_000)

    assert [row["vulnerabilityID"] for row in report["report"]["vulnerabilities"]] == ["CVE-2"]
    assert omitted(report) == "findings=1"


def test_secrets_lose_their_context_before_any_is_left_out() -> None:
    secrets = tuple(
        Secret(target=f"/f{n}", rule_id="r", severity=Severity.HIGH, match="m" * 1000) for n in range(20)
    )
    everything = Findings(scanner_version="1", secrets=secrets)

    report = build_secret_report(WEB, NGINX, everything, options(8_000), now=NOON)

    assert omitted(report) == "matches"
    assert len(report["report"]["secrets"]) == 20


def big_sbom(count: int) -> dict[str, Any]:
    library = SBOM["components"][1]
    components = [
        {**library, "bom-ref": f"ref-{n}", "licenses": [{"expression": "x" * 300}]} for n in range(count)
    ]
    return {**deepcopy(SBOM), "components": [SBOM["components"][0], *components]}


@pytest.mark.parametrize(
    ("budget_bytes", "expected", "usable"),
    [
        (75_000, None, True),
        (50_000, "licenses", True),
        (31_000, "licenses,hashes,layers", True),
        (21_000, "licenses,hashes,layers,suppliers", False),
    ],
)
def test_bill_of_materials_first_loses_what_matching_does_not_need(
    budget_bytes: int, expected: str | None, usable: bool
) -> None:
    """One that lost more is no ground for saying that an image is clean."""
    key = ImageKey(DIGEST, None)

    report = build_cluster_sbom_report(
        key, NGINX, big_sbom(100), options(budget_bytes), scanner_version="1", matchable=True, now=NOON
    )

    assert (omitted(report), usable_for_matching(report["metadata"]["annotations"])) == (expected, usable)
    assert size_of(report) <= budget_bytes


def test_bill_of_materials_of_any_size_fits() -> None:
    report = build_sbom_report(WEB, NGINX, big_sbom(500), options(8_000), scanner_version="1", now=NOON)

    lost = Omitted.of(report["metadata"]["annotations"])
    kept = report["report"]["components"]["components"]
    assert size_of(report) <= 8_000
    assert kept[0]["type"] == "operating-system"
    assert lost.findings == 501 - len(kept)
    assert report["report"]["summary"]["componentsCount"] == 502
    annotations = {**report["metadata"]["annotations"], keys.MATCHABLE: keys.MATCHABLE_VALUE}
    assert not usable_for_matching(annotations)


def test_projection_of_a_reduced_report_says_what_both_lost() -> None:
    report = build(FOUND, 10_000)
    lost = Omitted.of(report["metadata"]["annotations"])

    again = reproject(report, WEB, container(), options(9_000))

    lost_now = Omitted.of(again["metadata"]["annotations"])
    assert lost_now.fields == lost.fields
    assert lost_now.findings == 60 - len(again["report"]["vulnerabilities"]) > lost.findings


BUDGETS = st.integers(min_value=2_000, max_value=12_000)


@given(MANY_FINDINGS, SBOMS, BUDGETS)
def test_every_report_fits_and_is_accepted(found: Findings, sbom: dict[str, Any], budget_bytes: int) -> None:
    limit = ReportOptions(additional_fields=ALL_FIELDS.additional_fields, budget_bytes=budget_bytes)
    key = ImageKey(DIGEST, "linux/amd64")
    before = deepcopy(sbom)

    reports = [
        build_vulnerability_report(WEB, NGINX, found, limit, now=NOON),
        build_secret_report(WEB, NGINX, found, limit, now=NOON),
        build_sbom_report(WEB, NGINX, sbom, limit, scanner_version="1", now=NOON),
        build_cluster_sbom_report(key, NGINX, sbom, limit, scanner_version="1", now=NOON),
    ]

    assert sbom == before
    for report in reports:
        assert size_of(report) <= max(budget_bytes, 2_600), omitted(report)
        check_accepted(report)


@given(st.lists(st.sampled_from(["links", "titles"]), unique=True), st.integers(0, 10**6))
def test_what_is_omitted_reads_back(fields: list[str], count: int) -> None:
    lost = Omitted(tuple(fields), count)

    assert Omitted.of({keys.OMITTED: str(lost)}) == lost
