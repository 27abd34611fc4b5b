"""When the cluster's bill of materials is matched."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from trivyop.controllers.nodes.matchdue import (
    Match,
    MatchDecision,
    MatchInputs,
    MatchReason,
    decide_match,
)

NOON = datetime(2026, 1, 15, 12, tzinfo=UTC)
LAST = Match("m1", NOON, at=0.0)
FRESH = MatchInputs(
    this=replace(LAST, at=100.0),
    last=LAST,
    tried=None,
    retry_at=0.0,
    reported=True,
    refused_until=0.0,
    ttl_seconds=3600.0,
)
NEWER = replace(FRESH.this, database=NOON + timedelta(hours=6))


def test_match_is_good_until_it_is_old() -> None:
    assert decide_match(FRESH) == MatchDecision(3500.0, MatchReason.UP_TO_DATE)
    assert decide_match(replace(FRESH, ttl_seconds=None)) == MatchDecision(None, MatchReason.UP_TO_DATE)
    old = replace(FRESH, this=replace(LAST, at=3600.0))
    assert decide_match(old) == MatchDecision(0.0, MatchReason.TOO_OLD)


@pytest.mark.parametrize(
    ("inputs", "reason"),
    [
        (replace(FRESH, last=None), MatchReason.COMPONENTS_CHANGED),
        (replace(FRESH, this=replace(FRESH.this, matched="m2")), MatchReason.COMPONENTS_CHANGED),
        (replace(FRESH, this=NEWER), MatchReason.NEWER_DATABASE),
        (replace(FRESH, reported=False), MatchReason.REPORT_MISSING),
    ],
)
def test_change_makes_a_match_due_and_says_which(inputs: MatchInputs, reason: MatchReason) -> None:
    assert decide_match(inputs) == MatchDecision(0.0, reason)


def test_report_that_was_refused_is_not_made_again_before_its_time() -> None:
    refused = replace(FRESH, reported=False, refused_until=200.0)
    assert decide_match(refused).reason is MatchReason.UP_TO_DATE
    assert decide_match(replace(refused, refused_until=100.0)).seconds == 0.0


def test_failed_match_waits_unless_it_would_be_another() -> None:
    failed = replace(FRESH, last=None, tried=FRESH.this, retry_at=400.0)
    assert decide_match(failed) == MatchDecision(300.0, MatchReason.BACKING_OFF)
    assert decide_match(replace(failed, this=NEWER)).seconds == 0.0
    assert decide_match(replace(failed, this=replace(FRESH.this, matched="m2"))).seconds == 0.0
    assert decide_match(replace(failed, retry_at=100.0)).seconds == 0.0
