"""When a specification is answered, and why."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivyop.compliance.schedule import Schedule
from trivyop.controllers.compliance.due import (
    DUE,
    PAUSE_SECONDS,
    SETTLE_SECONDS,
    DueReason,
    Inputs,
    decide,
)

NOW = datetime(2026, 12, 1, 12, 0, tzinfo=UTC)
EVERY_SIX_HOURS = Schedule.parse("0 */6 * * *", now=NOW)
FRESH = Inputs(
    now=NOW + timedelta(minutes=1),
    updated=NOW,
    answered=True,
    current=True,
    schedule=EVERY_SIX_HOURS,
    differs=False,
    since_written=60.0,
)
UNTIL_RUN = 6 * 3600.0 - 60.0


@pytest.mark.parametrize(
    ("change", "seconds", "reason"),
    [
        ({}, UNTIL_RUN, DueReason.UP_TO_DATE),
        ({"updated": None}, 0.0, DueReason.STATUS_MISSING),
        ({"answered": False}, 0.0, DueReason.STATUS_MISSING),
        ({"current": False}, 0.0, DueReason.SPEC_CHANGED),
        ({"now": NOW + timedelta(hours=6)}, 0.0, DueReason.SCHEDULED),
        ({"differs": True}, 0.0, DueReason.ANSWERS_CHANGED),
        ({"differs": True, "since_written": None}, 0.0, DueReason.ANSWERS_CHANGED),
        ({"differs": True, "since_written": 10.0}, PAUSE_SECONDS - 10.0, DueReason.SETTLING),
        ({"schedule": None}, None, DueReason.UP_TO_DATE),
        ({"schedule": None, "differs": True}, 0.0, DueReason.ANSWERS_CHANGED),
        ({"at_every_change": True}, None, DueReason.UP_TO_DATE),
        ({"at_every_change": True, "now": NOW + timedelta(hours=6)}, None, DueReason.UP_TO_DATE),
        (
            {"at_every_change": True, "differs": True, "since_written": 0.0},
            0.0,
            DueReason.ANSWERS_CHANGED,
        ),
    ],
)
def test_each_reason_has_its_time(change: dict[str, Any], seconds: float | None, reason: DueReason) -> None:
    assert decide(replace(FRESH, **change)) == (seconds, reason)


def test_a_schedule_that_comes_before_the_pause_ends_does_not_wait_for_it() -> None:
    soon = replace(FRESH, now=NOW + timedelta(hours=6, seconds=-5), differs=True, since_written=0.0)

    assert decide(soon).seconds == 5.0


def test_a_clock_that_was_set_back_does_not_put_off_the_next_run() -> None:
    """Else a status of next year would not be brought up to date for a year."""
    ahead = replace(FRESH, updated=NOW + timedelta(days=365))

    assert decide(ahead).seconds == UNTIL_RUN


@given(
    st.booleans(), st.booleans(), st.booleans(), st.none() | st.floats(0, 1e6), st.integers(-100_000, 100_000)
)
def test_what_differs_is_written_in_less_than_a_minute(
    answered: bool, current: bool, scheduled: bool, since: float | None, age: int
) -> None:
    inputs = replace(
        FRESH,
        updated=NOW - timedelta(seconds=age),
        answered=answered,
        current=current,
        schedule=EVERY_SIX_HOURS if scheduled else None,
        differs=True,
        since_written=since,
    )

    seconds, reason = decide(inputs)

    assert seconds is not None
    assert SETTLE_SECONDS + seconds < 60
    assert (seconds == 0) == (reason in DUE)
