"""What is new in a report and what is gone, from a few bytes of what was there before."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.notify.reports import ROWS, SECRET_REPORTS, Json, check, report, vulnerability
from trivyop.notify.findings import FindingsDiff, diff, finding_ids, pack, unpack
from trivyop.notify.listing import FindingKind, baseline_key
from trivyop.report import keys
from trivyop.report.findings import Severity


def names(found: tuple[object, ...]) -> list[str]:
    return [getattr(one, "name", "") for one in found]


def pairs(rows: list[Json]) -> set[tuple[str, str]]:
    """What makes a row a finding of its own."""
    return {(row["vulnerabilityID"], row["resource"]) for row in rows}


def test_first_report_is_all_new() -> None:
    found = diff(None, report(vulnerability("CVE-1", "LOW"), vulnerability("CVE-2", "CRITICAL")))

    assert names(found.added) == ["CVE-2", "CVE-1"]
    assert found.first
    assert not found.resolved


@given(ROWS, ROWS)
def test_added_and_resolved_are_the_differences_of_the_sets(before: list[Json], after: list[Json]) -> None:
    found = diff(finding_ids(report(*before)), report(*after))

    assert {(one.name, one.package) for one in found.added} == pairs(after) - pairs(before)
    assert len(found.resolved) == len(pairs(before) - pairs(after))
    assert {(one.name, one.package) for one in found.present} == pairs(after)


@given(ROWS, ROWS)
def test_what_is_remembered_is_the_present_state(before: list[Json], after: list[Json]) -> None:
    """However a report got there, telling of it once more is no news."""
    found = diff(finding_ids(report(*before)), report(*after))

    assert found.ids == finding_ids(report(*after))
    assert diff(found.ids, report(*after)) == FindingsDiff(present=found.present, ids=found.ids)


@given(ROWS, ROWS)
def test_going_back_resolves_what_was_added(before: list[Json], after: list[Json]) -> None:
    there = diff(finding_ids(report(*before)), report(*after))
    back = diff(there.ids, report(*before))

    assert {one.identity for one in back.resolved} == {one.identity for one in there.added}
    assert {one.identity for one in back.added} == {one.identity for one in there.resolved}


@given(ROWS.flatmap(lambda rows: st.tuples(st.just(rows), st.permutations(rows))))
def test_order_in_the_report_means_nothing(rows: tuple[list[Json], list[Json]]) -> None:
    assert diff(None, report(*rows[0])) == diff(None, report(*rows[1]))


@given(ROWS)
def test_ids_survive_packing(rows: list[Json]) -> None:
    ids = finding_ids(report(*rows))

    assert unpack(pack(ids)) == ids
    assert list(ids) == sorted(set(ids))


def test_bytes_that_are_no_ids_are_refused() -> None:
    with pytest.raises(ValueError, match="7 bytes"):
        unpack(b"1234567")


def test_update_of_a_package_that_is_still_vulnerable_is_no_news() -> None:
    old = report(vulnerability("CVE-1", installedVersion="1.0"))

    found = diff(finding_ids(old), report(vulnerability("CVE-1", installedVersion="1.1")))

    assert not found.news
    assert not found.resolved


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (vulnerability("CVE-1", fixed=""), vulnerability("CVE-1", fixed="2")),
        (vulnerability("CVE-1", "MEDIUM"), vulnerability("CVE-1", "CRITICAL")),
    ],
    ids=["a fix came out", "it grew worse"],
)
def test_worse_or_newly_fixable_finding_has_changed_for_the_worse_only(before: Json, after: Json) -> None:
    found = diff(finding_ids(report(before)), report(after))

    assert names(found.changed) == ["CVE-1"]
    assert not found.added
    assert not found.resolved
    assert not diff(finding_ids(report(after)), report(before)).news


def test_resolved_finding_is_still_known_by_severity_and_identity() -> None:
    before = diff(None, report(vulnerability("CVE-1", "CRITICAL", fixed="")))

    (gone,) = diff(before.ids, report()).resolved

    assert (gone.severity, gone.fixable, gone.name) == (Severity.CRITICAL, False, "")
    assert gone.identity == before.added[0].identity


def test_deleted_report_resolves_what_is_remembered_by_name() -> None:
    document = report(vulnerability("CVE-1"))

    found = diff(finding_ids(document), document, deleted=True)

    assert names(found.resolved) == ["CVE-1"]
    assert found.ids == ()
    assert not diff(None, document, deleted=True).resolved


def test_report_without_room_for_all_findings_resolves_none() -> None:
    """What it does not show may still be there; it is remembered until a report shows everything again."""
    ids = finding_ids(report(vulnerability("CVE-1"), vulnerability("CVE-2", "LOW")))
    short = report(vulnerability("CVE-1"), annotations={keys.OMITTED: "links,findings=1"})

    found = diff(ids, short)

    assert not found.resolved
    assert found.ids == ids
    assert len(diff(found.ids, report(vulnerability("CVE-1"))).resolved) == 1


def test_package_that_is_there_twice_is_one_finding_as_bad_as_its_worst_row() -> None:
    rows = (vulnerability("CVE-1", "LOW"), vulnerability("CVE-1", "HIGH", fixed=""))

    (found,) = diff(None, report(*rows)).added

    assert (found.severity, found.fixable, found.fixed_version) == (Severity.HIGH, True, "2")


def test_failed_checks_count_and_passed_ones_do_not() -> None:
    document = {"kind": "ConfigAuditReport", "report": {"checks": [check("A"), check("B", success=True)]}}

    (found,) = diff(None, document).added

    assert (found.kind, found.name) == (FindingKind.CHECK, "A")


def test_secret_is_known_by_rule_and_file() -> None:
    def secrets(*places: str) -> Json:
        rows = [{"ruleID": "aws", "target": place, "severity": "CRITICAL"} for place in places]
        return {"kind": SECRET_REPORTS.kind, "report": {"secrets": rows}}

    found = diff(finding_ids(secrets("/a", "/b")), secrets("/b", "/c"))

    assert [one.place for one in found.added] == ["/c"]
    assert len(found.resolved) == 1


def test_failed_controls_are_found_in_both_kinds_of_compliance_reports() -> None:
    passed, failed = {"success": True}, {"success": False}
    control = {"id": "1.1", "name": "No root", "severity": "HIGH"}
    summary = {"summaryReport": {"controlCheck": [{**control, "totalFail": 3}, {"id": "2", "totalFail": 0}]}}
    detail = {"detailReport": {"results": [{**control, "checks": [passed, failed]}, {"checks": [passed]}]}}

    by_summary, by_detail = (diff(None, {"status": status}).added for status in (summary, detail))

    assert by_summary == by_detail
    assert names(by_summary) == ["1.1"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@given(
    st.fixed_dictionaries({"report": st.fixed_dictionaries({"vulnerabilities": JSON, "checks": JSON})}) | JSON
)
def test_reports_of_any_shape_are_read(document: object) -> None:
    """Anybody may write a report; ours must not fail because of it."""
    if isinstance(document, dict):
        found = diff(None, document)
        assert len(found.ids) == len(found.added)


def test_revisions_of_one_deployment_share_a_baseline() -> None:
    """So that a rollout that changes nothing in the image is no news."""
    one, two = (report(name=f"web-{suffix}") for suffix in ("7b8cd85855", "6f94bd9c7b"))
    other = report(name="web-admin-6f94bd9c7b")
    stateful = report(name="web-7b8cd85855", kind="StatefulSet")

    assert baseline_key(one) == baseline_key(two)
    assert len({baseline_key(one), baseline_key(other), baseline_key(stateful)}) == 3


def test_report_without_labels_is_its_own_baseline() -> None:
    one, two = ({"kind": "SbomReport", "metadata": {"name": name}} for name in ("a", "b"))

    assert baseline_key(one) != baseline_key(two)
