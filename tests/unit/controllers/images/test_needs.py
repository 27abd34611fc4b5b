"""Which scan a container needs, and which lost reports ask for a new one."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from trivyop.controllers.images.needs import (
    ContainerInputs,
    LostReport,
    Need,
    NeedReason,
    decide_need,
    sort_lost,
)

BY_DIGEST, BY_REFERENCE, OTHER = "sha256-1", "ref-1", "sha256-0"
KNOWN = ContainerInputs(scan=BY_DIGEST, before=None, has_digest=True, scan_exists=False)
AWAITED = ContainerInputs(
    scan=BY_REFERENCE, before=None, has_digest=False, scan_exists=False, wait_seconds=20.0
)
NOON = datetime(2026, 1, 15, 12, tzinfo=UTC)


def test_image_that_runs_is_scanned_by_its_digest() -> None:
    assert decide_need(KNOWN) == Need(BY_DIGEST, NeedReason.IMAGE)


def test_digest_that_may_come_is_waited_for() -> None:
    assert decide_need(AWAITED) == Need(None, NeedReason.AWAITS_DIGEST, 20.0)


def test_restart_of_a_workload_does_not_take_its_scan_away() -> None:
    assert decide_need(replace(AWAITED, before=OTHER)).scan == OTHER


def test_restart_of_ours_does_not_take_a_scan_by_reference_away() -> None:
    assert decide_need(replace(AWAITED, scan_exists=True)).scan == BY_REFERENCE


@pytest.mark.parametrize("seconds", [0.0, -1.0, None])
def test_digest_that_does_not_come_in_time_leaves_the_reference(seconds: float | None) -> None:
    answer = decide_need(replace(AWAITED, before=OTHER, wait_seconds=seconds))
    assert answer == Need(BY_REFERENCE, NeedReason.IMAGE)


@pytest.mark.parametrize("before", [None, BY_REFERENCE])
def test_scan_by_reference_at_work_goes_on_when_the_digest_is_known(before: str | None) -> None:
    at_work = replace(KNOWN, before=before, by_reference=BY_REFERENCE, reference_at_work=True)
    assert decide_need(at_work) == Need(BY_REFERENCE, NeedReason.REFERENCE_AT_WORK)


@pytest.mark.parametrize(
    "changed",
    [
        {"reference_at_work": False},
        {"scan_exists": True},  # another workload has asked for it
        {"before": OTHER},  # a rollout: what ran before says nothing about this image
        {"before": BY_DIGEST},
    ],
)
def test_scan_by_reference_is_no_reason_to_wait_otherwise(changed: dict[str, str | bool]) -> None:
    at_work = replace(KNOWN, by_reference=BY_REFERENCE, reference_at_work=True)
    assert decide_need(replace(at_work, **changed)).scan == BY_DIGEST


def test_report_is_missed_if_its_owner_is_still_there_after_a_moment() -> None:
    lost = {"web": LostReport("uid-1", NOON, due=10.0)}
    assert sort_lost(lost, {"web"}, uid="uid-1", now=10.0).missed == lost


@pytest.mark.parametrize(
    ("containers", "uid"),
    [
        ({"web"}, "uid-2"),  # the cluster collected it with its owner, another of that name
        (set[str](), "uid-1"),  # the container needs no scan any more
    ],
)
def test_report_that_nobody_misses_is_settled(containers: set[str], uid: str) -> None:
    lost = {"web": LostReport("uid-1", NOON, due=10.0)}
    answer = sort_lost(lost, containers, uid=uid, now=10.0)
    assert (answer.certain, answer.missed) == (lost, {})


def test_nothing_is_said_of_a_report_that_was_lost_just_now() -> None:
    lost = {"web": LostReport("uid-1", NOON, due=10.0)}
    assert sort_lost(lost, {"web"}, uid="uid-1", now=9.9) == ({}, {})
