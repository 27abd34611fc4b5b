"""What people write as a specification, and what they get to read about it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import orjson
import pytest

from tests.unit.compliance.reports import NOW, spec_document
from trivyop.compliance.resource import ComplianceReport
from trivyop.compliance.schedule import Schedule, ScheduleError
from trivyop.compliance.specification import (
    ReportType,
    Specification,
    Unreadable,
    parse_specification,
    problems_text,
)

Json = dict[str, Any]


def _document(*controls: Json, **spec: Any) -> Json:
    document = spec_document("k8s-pss-baseline-0.1")
    document["spec"].update(spec)
    if controls:
        document["spec"]["compliance"]["controls"] = list(controls)
    return document


def _control(**fields: Any) -> Json:
    return {"id": "1", "name": "One", "severity": "HIGH", "checks": [{"id": "KSV-0014"}], **fields}


def _parse(document: Json) -> Specification | Unreadable:
    return parse_specification(msgspec.json.decode(orjson.dumps(document), type=ComplianceReport), now=NOW)


def _valid(document: Json) -> Specification:
    found = _parse(document)
    assert isinstance(found, Specification)
    return found


@pytest.mark.parametrize("spelling", ["KSV014", "KSV-0014", "AVD-KSV-0014", "avd-ksv-0014"])
def test_every_spelling_of_a_check_is_the_same_check(spelling: str) -> None:
    found = _valid(_document(_control(checks=[{"id": spelling}, {"id": "KSV-0014"}])))

    assert found.controls[0].checks == ("KSV-0014",)
    assert found.problems == ()


@pytest.mark.parametrize(
    ("document", "field"),
    [
        (_document(_control(severity="SEVERE")), "spec.compliance.controls[0].severity"),
        (_document(_control(), _control()), "spec.compliance.controls[1].id"),
        (_document(_control(checks=[{"id": " "}])), "spec.compliance.controls[0].checks[0].id"),
        (_document(cron="0 0 31 2 *"), "spec.cron"),
        (_document(cron="often"), "spec.cron"),
        (_document(cron="* * * * * *"), "spec.cron"),
        (_document(timeZone="Europe/Atlantis"), "spec.timeZone"),
        (_document(timeZone="../etc"), "spec.timeZone"),
        (_document(reportType="some"), "spec.reportType"),
    ],
)
def test_problem_names_the_field_and_the_rest_is_evaluated(document: Json, field: str) -> None:
    found = _valid(document)

    (problem,) = found.problems
    assert problem.field == field
    assert problem.message
    assert found.controls


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ({**_document(), "apiVersion": "aquasecurity.github.io/v2"}, "apiVersion"),
        ({**_document(), "spec": None}, "spec"),
        (_document(_control(id=7)), "spec.compliance.controls[0].id"),
        (_document({"id": "1", "severity": "LOW"}), "spec.compliance.controls[0]"),
    ],
)
def test_what_can_not_be_read_is_said_to_be_so(document: Json, field: str) -> None:
    found = _parse(document)

    assert isinstance(found, Unreadable)
    (problem,) = found.problems
    assert problem.field.replace("[...]", "[0]") == field
    assert found.name == "k8s-pss-baseline-0.1"


def test_two_thousand_controls_are_read() -> None:
    found = _valid(_document(*(_control(id=str(number)) for number in range(2000))))

    assert len(found.controls) == 2000
    assert found.problems == ()


def test_message_stays_short_however_much_is_wrong() -> None:
    found = _valid(_document(*(_control(id=str(number), severity="?") for number in range(2000))))

    assert len(problems_text(found.problems)) < 1000
    assert problems_text(found.problems).endswith("and 1995 more")


def test_report_type_is_read() -> None:
    assert _valid(_document(reportType="all")).report_type is ReportType.ALL
    assert _valid(_document(reportType="summary")).report_type is ReportType.SUMMARY


def test_schedule_follows_its_time_zone_and_its_clock_changes() -> None:
    """6:00 in Berlin is 5:00 UTC in winter and 4:00 in summer."""
    schedule = Schedule.parse("0 6 * * *", "Europe/Berlin", now=NOW)

    assert schedule.next_after(datetime(2026, 12, 1, 12, tzinfo=UTC)) == datetime(2026, 12, 2, 5, tzinfo=UTC)
    assert schedule.next_after(datetime(2026, 7, 1, 12, tzinfo=UTC)) == datetime(2026, 7, 2, 4, tzinfo=UTC)


def test_schedule_without_a_time_zone_is_in_utc() -> None:
    assert Schedule.parse("0 */6 * * *", now=NOW).next_after(NOW) == datetime(2026, 12, 1, 18, tzinfo=UTC)


def test_schedule_that_never_fires_is_refused() -> None:
    with pytest.raises(ScheduleError) as refused:
        Schedule.parse("0 0 30 2 *", now=NOW)

    assert refused.value.field == "cron"
