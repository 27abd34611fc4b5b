"""Which events an endpoint wants, and what is said of a filter that is wrong."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given

from tests.unit.notify.reports import (
    CLUSTER_RBAC,
    CONFIG_AUDITS,
    ROWS,
    Json,
    change,
    check,
    report,
    vulnerability,
)
from trivyop.kube.resources import SBOMREPORTS, ObjectKey
from trivyop.notify.events import Change, ScanFailed, Verb
from trivyop.notify.filters import EventType, Filter
from trivyop.notify.findings import diff, finding_ids
from trivyop.notify.validation import EndpointError
from trivyop.report.findings import Severity


def parse(**document: object) -> Filter:
    return Filter.parse(document, endpoint="pager")


def failed(*workloads: str) -> ScanFailed:
    at = datetime(2026, 1, 2, tzinfo=UTC)
    scan = ObjectKey("trivy-system", "sha256-abc")
    return ScanFailed(
        scan, "u", "shop/web:1", "sha256:abc", "linux/amd64", "auth", "no", 1, workloads, at, "h"
    )


AUDIT: Json = {
    "kind": "ConfigAuditReport",
    "metadata": {"name": "role-x", "namespace": "shop"},
    "report": {"checks": [check("AVD-KSV-0014", "HIGH")]},
}


def test_empty_filter_wants_everything() -> None:
    for document in (None, {}):
        wanted = Filter.parse(document, endpoint="pager")
        assert wanted == Filter()
        assert wanted.accepts(change(report()), None)
        assert wanted.accepts(failed(), None)
        assert not wanted.needs_diff


@pytest.mark.parametrize("kinds", [["VulnerabilityReport"], ["vulnerabilityreports"], "VULNERABILITYREPORT"])
def test_kinds_may_be_written_as_kubectl_takes_them(kinds: object) -> None:
    wanted = parse(kinds=kinds)

    assert wanted.accepts(change(report()), None)
    assert not wanted.accepts(change(AUDIT, resource=CONFIG_AUDITS), None)
    assert not wanted.accepts(failed(), None)


@pytest.mark.parametrize(
    ("namespaces", "shop", "team", "cluster"),
    [
        (["shop"], True, False, False),
        (["team-*"], False, True, False),
        (["shop", "team-*"], True, True, False),
        (["*"], True, True, True),
        (["!team-*"], True, False, True),
        (["*", "!shop"], False, True, True),
    ],
)
def test_namespaces(namespaces: list[str], shop: bool, team: bool, cluster: bool) -> None:
    wanted = parse(namespaces=namespaces)
    of_cluster = {"kind": "ClusterRbacAssessmentReport", "metadata": {"name": "x"}}

    assert wanted.accepts(change(report(namespace="shop")), None) is shop
    assert wanted.accepts(change(report(namespace="team-a")), None) is team
    assert wanted.accepts(change(of_cluster, resource=CLUSTER_RBAC), None) is cluster
    assert wanted.accepts(failed("Deployment/shop/web", "Deployment/team-a/web"), None) is (shop or team)


@pytest.mark.parametrize("least", list(Severity))
@pytest.mark.parametrize("severity", list(Severity))
def test_severity_is_the_least_that_is_wanted(least: Severity, severity: Severity) -> None:
    wanted = parse(severity=least.lower())

    accepted = wanted.accepts(change(report(vulnerability("CVE-1", severity))), None)

    assert accepted is (severity.rank <= least.rank)


def test_bill_of_materials_has_no_findings_to_be_wanted_for() -> None:
    sbom = {
        "kind": "SbomReport",
        "metadata": {"name": "x", "namespace": "shop"},
        "report": {"components": {}},
    }

    assert not parse(severity="LOW").accepts(change(sbom, resource=SBOMREPORTS), None)
    assert parse(severity="UNKNOWN").accepts(change(sbom, resource=SBOMREPORTS), None)


def test_fix_and_severity_must_be_those_of_one_finding() -> None:
    wanted = parse(severity="CRITICAL", onlyFixable=True)
    rows = [vulnerability("CVE-1", "CRITICAL", fixed=""), vulnerability("CVE-2", "LOW", fixed="2")]

    assert not wanted.accepts(change(report(*rows)), None)
    assert wanted.accepts(change(report(*rows, vulnerability("CVE-3", "CRITICAL"))), None)


def test_what_its_owner_can_always_fix_has_a_fix() -> None:
    assert parse(onlyFixable=True).accepts(change(AUDIT, resource=CONFIG_AUDITS), None)


def test_only_new_findings_wants_no_report_without_news() -> None:
    wanted = parse(onlyNew=True)
    document = report(vulnerability("CVE-1"))
    ids = finding_ids(document)

    assert wanted.needs_diff
    assert wanted.accepts(change(document), diff(None, document))
    assert not wanted.accepts(change(document), diff(ids, document))
    assert not wanted.accepts(change(document, Verb.DELETE), diff(ids, document, deleted=True))
    assert not wanted.accepts(change(report()), diff(ids, report()))


def test_fix_that_came_out_is_news() -> None:
    wanted = parse(onlyNew=True, onlyFixable=True)
    before, after = report(vulnerability("CVE-1", fixed="")), report(vulnerability("CVE-1", fixed="2"))

    assert not wanted.accepts(change(before), diff(None, before))
    assert wanted.accepts(change(after), diff(finding_ids(before), after))


def test_report_whose_last_wanted_finding_has_gone_is_wanted_once_more() -> None:
    """Else the receiver would show it for ever."""
    wanted = parse(severity="HIGH")
    low = vulnerability("CVE-2", "LOW")
    ids = finding_ids(report(vulnerability("CVE-1", "HIGH"), low))
    after = diff(ids, report(low))

    assert wanted.needs_diff
    assert wanted.accepts(change(report(low)), after)
    assert not wanted.accepts(change(report(low)), diff(after.ids, report(low)))


def test_deleted_report_is_wanted_for_what_was_in_it() -> None:
    wanted = parse(severity="HIGH")
    bad, harmless = report(vulnerability("CVE-1")), report(vulnerability("CVE-1", "LOW"))

    assert wanted.accepts(change(bad, Verb.DELETE), diff(finding_ids(bad), bad, deleted=True))
    assert not wanted.accepts(
        change(harmless, Verb.DELETE), diff(finding_ids(harmless), harmless, deleted=True)
    )


def test_deleted_report_of_which_nothing_is_known_is_told_of() -> None:
    bare = {"kind": "VulnerabilityReport", "metadata": {"name": "x", "namespace": "shop"}}
    gone: Change = change(bare, Verb.DELETE)
    ids = finding_ids(report(vulnerability("CVE-1", "LOW")))

    assert parse(severity="HIGH").accepts(gone, diff(None, bare, deleted=True))
    assert not parse(severity="HIGH").accepts(gone, diff(ids, bare, deleted=True))


def test_events_choose_what_is_told() -> None:
    wanted = parse(events=["finding.added", "scan.failed"])

    assert wanted.accepts(change(report()), None)
    assert not wanted.accepts(change(report(), Verb.DELETE), None)
    assert wanted.accepts(failed(), None)
    assert wanted.wants(EventType.FINDING_ADDED)
    assert not wanted.wants(EventType.REPORT_UPDATED)


@given(ROWS)
def test_narrower_filters_want_less(rows: list[Json]) -> None:
    told = change(report(*rows))

    if parse(severity="HIGH", onlyFixable=True, namespaces=["sh*"]).accepts(told, None):
        assert parse(severity="HIGH").accepts(told, None)
        assert parse(severity="LOW").accepts(told, None)
        assert parse(onlyFixable=True).accepts(told, None)


@pytest.mark.parametrize(
    ("document", "key", "message"),
    [
        ({"severty": "HIGH"}, "filter.severty", "did you mean severity?"),
        ({"severity": "HIHG"}, "filter.severity", "did you mean HIGH?"),
        ({"severity": 3}, "filter.severity", "CRITICAL, HIGH, MEDIUM, LOW, UNKNOWN"),
        ({"kinds": ["VulnerabiltyReport"]}, "filter.kinds", "did you mean VulnerabilityReport?"),
        ({"kinds": []}, "filter.kinds", "a list of texts"),
        ({"kinds": ["SbomReport", 1]}, "filter.kinds", "a list of texts"),
        ({"namespaces": ["Shop"]}, "filter.namespaces", "'Shop' matches no namespace"),
        ({"namespaces": ["team-[a"]}, "filter.namespaces", "class without end"),
        ({"namespaces": ["!"]}, "filter.namespaces", "matches no namespace"),
        ({"onlyNew": "yes"}, "filter.onlyNew", "true or false"),
        ({"events": ["report.update"]}, "filter.events", "did you mean report.updated?"),
        ({5: True}, "filter.5", "allowed: kinds, namespaces"),
        (["kinds"], "filter", "a mapping is expected"),
    ],
)
def test_typos_are_told_with_endpoint_key_and_what_is_allowed(
    document: object, key: str, message: str
) -> None:
    with pytest.raises(EndpointError) as caught:
        Filter.parse(document, endpoint="pager")

    assert caught.value.key == key
    assert "endpoint 'pager'" in str(caught.value)
    assert message in str(caught.value)


def test_errors_are_short_whatever_is_in_the_filter() -> None:
    with pytest.raises(EndpointError) as caught:
        parse(severity="x" * 10_000)

    assert len(str(caught.value)) < 300
