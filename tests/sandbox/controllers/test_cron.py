"""Schedules of five fields."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import islice
from zoneinfo import ZoneInfo

import pytest

from trivyop.sandbox.controllers.cron import Schedule, ScheduleError

FRIDAY_NOON = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)


def due(text: str, count: int = 3, since: datetime = FRIDAY_NOON) -> list[str]:
    return [m.strftime("%m-%d %H:%M") for m in islice(Schedule.parse(text).after(since), count)]


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("*/20 * * * *", ["01-02 12:20", "01-02 12:40", "01-02 13:00"]),
        ("0 3 * * *", ["01-03 03:00", "01-04 03:00", "01-05 03:00"]),
        ("30 9 * * mon-fri", ["01-05 09:30", "01-06 09:30", "01-07 09:30"]),
        ("0 0 1,15 * *", ["01-15 00:00", "02-01 00:00", "02-15 00:00"]),
        ("5/25 12 * * *", ["01-02 12:05", "01-02 12:30", "01-02 12:55"]),
        ("0 0 29 feb *", ["02-29 00:00", "02-29 00:00", "02-29 00:00"]),
        ("0 12 * * 7", ["01-04 12:00", "01-11 12:00", "01-18 12:00"]),
        ("@hourly", ["01-02 13:00", "01-02 14:00", "01-02 15:00"]),
        ("0 0 13 * fri", ["01-09 00:00", "01-13 00:00", "01-16 00:00"]),
    ],
)
def test_due_times(schedule: str, expected: list[str]) -> None:
    assert due(schedule) == expected


def test_moment_itself_is_not_after_itself() -> None:
    """Else a schedule that has just fired would fire again."""
    assert due("0 12 * * *", 1) == ["01-03 12:00"]


def test_date_that_never_comes_ends() -> None:
    assert due("0 0 31 2 *") == []


def test_hours_are_those_of_the_time_zone() -> None:
    since = FRIDAY_NOON.astimezone(ZoneInfo("Asia/Tokyo"))  # nine in the evening there

    first = next(Schedule.parse("0 22 * * *").after(since))

    assert first.astimezone(UTC) == datetime(2026, 1, 2, 13, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    "text", ["every day", "60 * * * *", "* * 0 * *", "5-1 * * * *", "*/0 * * * *", "x * * * *", ""]
)
def test_rubbish_is_refused(text: str) -> None:
    with pytest.raises(ScheduleError):
        Schedule.parse(text)
