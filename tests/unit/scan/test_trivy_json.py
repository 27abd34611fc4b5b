"""Trivy's report, read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivyop.report.findings import Severity
from trivyop.scan.trivy_json import ExpectedImage, parse_findings
from trivyop.trivy.failures import FailureClass, ParseError, WrongImageError

GOLDEN = Path(__file__).parents[2] / "data" / "golden" / "trivy"
REFERENCE = "127.0.0.1:5000/shop/web:1.0"
DIGEST = "sha256:fb73c5fd567fb667a912ddd7bd4b5e3f77492551c2678f2bda4f9ef6003fa377"


def web() -> dict[str, Any]:
    return json.loads((GOLDEN / "shop-web-1.0.json").read_text())


def report(**vulnerability: Any) -> bytes:
    found = {"VulnerabilityID": "CVE-1", "PkgName": "a", **vulnerability}
    return json.dumps(
        {
            "SchemaVersion": 2,
            "ArtifactName": "a:1",
            "Results": [{"Target": "t", "Class": "os-pkgs", "Type": "debian", "Vulnerabilities": [found]}],
        }
    ).encode()


def test_report_is_read_as_recorded() -> None:
    findings = parse_findings((GOLDEN / "shop-web-1.0.json").read_bytes())

    assert (findings.os_family, findings.os_name, findings.eosl) == ("debian", "12.4", False)
    assert findings.repo_digests == (f"127.0.0.1:5000/shop/web@{DIGEST}",)
    assert findings.scanner_version == "0.76.0"
    assert findings.has_packages
    assert len(findings.vulnerabilities) == 8
    first = findings.vulnerabilities[0]
    assert (first.id, first.package, first.installed_version, first.fixed_version) == (
        "CVE-2023-5363",
        "libssl3",
        "3.0.11-1~deb12u1",
        "3.0.11-1~deb12u2",
    )
    assert (first.severity, first.score) == (Severity.HIGH, 5.9)
    assert (first.published, first.modified) == ("2023-10-25T18:17:43Z", "2024-11-21T08:41:36Z")
    assert first.purl == "pkg:deb/debian/libssl3@3.0.11-1~deb12u1?arch=amd64&distro=debian-12.4"
    assert (first.class_name, first.package_type) == ("os-pkgs", "debian")
    assert {secret.rule_id for secret in findings.secrets} >= {"aws-access-key-id"}
    assert findings.secrets[0].match == "aws_access_key_id = ********************"


@pytest.mark.parametrize(
    ("vendors", "source", "own", "severity"),
    [
        ({"nvd": 4, "debian": 1}, "debian", "CRITICAL", Severity.LOW),
        ({"nvd": 4}, "debian", "HIGH", Severity.HIGH),
        (None, "", "MEDIUM", Severity.MEDIUM),
        ({"nvd": 9}, "nvd", "LOW", Severity.LOW),
        (None, "", "", Severity.UNKNOWN),
    ],
)
def test_severity_is_that_of_its_source(
    vendors: dict[str, int] | None, source: str, own: str, severity: Severity
) -> None:
    data = report(VendorSeverity=vendors, SeveritySource=source, Severity=own)

    assert parse_findings(data).vulnerabilities[0].severity is severity


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("2023-10-25T18:17:43.613Z", "2023-10-25T18:17:43Z"),
        ("2023-10-25T18:17:43Z", "2023-10-25T18:17:43Z"),
        ("2023-10-25T20:17:43+02:00", "2023-10-25T18:17:43Z"),
        ("0001-01-01T00:00:00Z", ""),
        ("yesterday", ""),
        (None, ""),
    ],
)
def test_dates_have_whole_seconds(written: str | None, read: str) -> None:
    assert parse_findings(report(PublishedDate=written)).vulnerabilities[0].published == read


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"FATAL no", "begins with 'FATAL no'"),
        (b'{"SchemaVersion": 2', "is not JSON"),
        (b"[]", "not Trivy's JSON"),
        (b"{}", "not a report of Trivy"),
        (b'{"bomFormat": "CycloneDX"}', "not a report of Trivy"),
        (b'{"SchemaVersion": 1, "ArtifactName": "a"}', "schema version 1"),
        (
            b'{"SchemaVersion": 2, "ArtifactName": "a", "Results": [{"Vulnerabilities": 3}]}',
            "Vulnerabilities",
        ),
        (b'{"SchemaVersion": 2, "ArtifactName": "a"} trailing', "is not JSON"),
        (b"\xff\xfe", "is not JSON"),
    ],
)
def test_what_is_no_report_is_told(data: bytes, message: str) -> None:
    """A document that cannot be read must never look like an image without findings."""
    with pytest.raises(ParseError) as caught:
        parse_findings(data)
    assert message in str(caught.value)
    assert caught.value.failure.failure_class is FailureClass.PARSE


def test_unknown_fields_are_skipped() -> None:
    document = web()
    document["Future"] = {"a": [1, 2]}
    document["Results"][0]["Vulnerabilities"][0]["Future"] = "x"

    assert parse_findings(json.dumps(document).encode()) == parse_findings(json.dumps(web()).encode())


def test_report_without_results_is_an_image_without_findings() -> None:
    findings = parse_findings(b'{"SchemaVersion": 2, "ArtifactName": "scratch:1"}')

    assert findings.vulnerabilities == ()
    assert findings.has_packages is False


@pytest.mark.parametrize(
    "expected",
    [
        ExpectedImage(REFERENCE),
        ExpectedImage(REFERENCE, platform="linux/amd64"),
        ExpectedImage(f"127.0.0.1:5000/shop/web@{DIGEST}", DIGEST, "linux/amd64"),
        ExpectedImage("elsewhere", DIGEST, "linux/arm64"),  # an image may be wrong about its own platform
    ],
)
def test_result_of_the_image_asked_for_is_taken(expected: ExpectedImage) -> None:
    assert parse_findings(json.dumps(web()).encode(), expected).vulnerabilities


@pytest.mark.parametrize(
    ("expected", "failure_class"),
    [
        (ExpectedImage("127.0.0.1:5000/shop/web:2.0"), FailureClass.PARSE),
        (ExpectedImage(REFERENCE, f"sha256:{'0' * 64}"), FailureClass.PARSE),
        (ExpectedImage(REFERENCE, platform="linux/arm64"), FailureClass.PLATFORM),
    ],
)
def test_result_of_another_image_is_refused(expected: ExpectedImage, failure_class: FailureClass) -> None:
    with pytest.raises(WrongImageError) as caught:
        parse_findings(json.dumps(web()).encode(), expected)
    assert caught.value.failure.failure_class is failure_class


@given(st.integers(0, len(json.dumps(web()).encode()) - 1))
def test_cut_document_is_never_read(end: int) -> None:
    with pytest.raises(ParseError):
        parse_findings(json.dumps(web()).encode()[:end])


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(["SchemaVersion", "ArtifactName", "Results", "Vulnerabilities", "CVSS"]),
                inner,
            )
        ),
    )
)
def test_any_json_is_read_or_refused(document: Any) -> None:
    try:
        parse_findings(json.dumps(document).encode())
    except ParseError:
        return
