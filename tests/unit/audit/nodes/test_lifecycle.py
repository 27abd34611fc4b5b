"""The life of one node's scan: one step at a time, from values alone."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from trivyop.audit.nodes import nodescan
from trivyop.audit.nodes.eligibility import Skip, Why
from trivyop.audit.nodes.failures import explained
from trivyop.audit.nodes.info import read_info
from trivyop.audit.nodes.lifecycle import (
    Collect,
    Evaluate,
    Inputs,
    JobView,
    Policy,
    Reap,
    Reason,
    Settle,
    SkipNode,
    Start,
    Step,
    Wait,
    decide,
)
from trivyop.audit.nodes.nodescan import NodeScanStatus, Phase
from trivyop.control.queue import Priority
from trivyop.trivy.failures import FailureClass

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
HOUR, DAY, MINUTE = timedelta(hours=1), timedelta(days=1), timedelta(minutes=1)
POLICY = Policy(report_ttl=DAY, job_deadline=6 * MINUTE, pod_patience=MINUTE)
INFO = read_info(b'{"kind":"NodeInfo","type":"worker","info":{"a":{"values":[600]}}}')
CORDONED = Skip(Why.CORDONED, "the node is cordoned")
EXCLUDED = Skip(Why.EXCLUDED, "left out")
NEW = NodeScanStatus()
STARTED = nodescan.started(NEW, "j-1", now=NOON)
READ = nodescan.collected(STARTED, INFO, now=NOON)
FAILED = nodescan.failed(STARTED, explained(FailureClass.TIMEOUT, "slow"), retry_at=NOON + HOUR, now=NOON)
UNAUDITED = nodescan.unaudited(READ, "policy", "broken", retry_at=NOON + HOUR, now=NOON)


def step(
    status: NodeScanStatus,
    *,
    skip: Skip | None = None,
    job: JobView | None = None,
    reported: bool = True,
    untried: bool = True,
    after: timedelta = timedelta(),
    policy: Policy = POLICY,
) -> Step:
    inputs = Inputs(status, skip, job, policy, reported=reported, untried=untried)
    return decide(inputs, NOON + after).step


def test_new_node_is_read() -> None:
    assert step(NEW, reported=False) == Start(Priority.BACKLOG)


def test_what_was_read_is_evaluated_until_the_report_says_so() -> None:
    assert step(READ, reported=False) == Evaluate()
    assert step(READ) == Wait(DAY.total_seconds())


def test_what_is_old_is_read_again() -> None:
    assert step(READ, after=DAY) == Start(Priority.REFRESH)
    assert step(READ, after=100 * DAY, policy=Policy(None, None, MINUTE)) == Wait(None)


def test_node_that_can_not_be_read_now_is_skipped_and_told_of_once() -> None:
    assert step(NEW, skip=CORDONED, reported=False) == SkipNode(CORDONED)
    assert step(nodescan.skipped(NEW, CORDONED), skip=CORDONED, reported=False) == Wait()
    assert step(nodescan.skipped(NEW, CORDONED), reported=False) == Start(Priority.BACKLOG)


def test_what_was_read_stays_good_while_the_node_can_not_be_read() -> None:
    assert step(READ, skip=CORDONED) == Wait(DAY.total_seconds())
    assert step(READ, skip=CORDONED, reported=False) == Evaluate()
    assert step(READ, skip=CORDONED, after=DAY) == SkipNode(CORDONED)


def test_excluded_node_loses_its_report_and_its_job() -> None:
    running = JobView("j-1", finished=False)

    assert step(READ, skip=EXCLUDED) == SkipNode(EXCLUDED)
    assert step(STARTED, skip=EXCLUDED, job=running) == Reap()
    assert step(nodescan.skipped(READ, EXCLUDED), reported=False) == Evaluate()
    assert step(nodescan.skipped(READ, EXCLUDED)) == Settle()


def test_failed_node_waits_for_its_next_try() -> None:
    assert step(FAILED, reported=False) == Wait(HOUR.total_seconds())
    assert step(FAILED, reported=False, after=HOUR) == Start(Priority.RETRY)


def test_clock_that_was_set_back_does_not_put_a_retry_off() -> None:
    assert step(FAILED, reported=False, after=-DAY) == Start(Priority.RETRY)


def test_report_can_be_made_anew_while_reading_fails() -> None:
    failing = replace(FAILED, node_info=READ.node_info, last_success=READ.last_success)

    assert step(failing, reported=False) == Evaluate()
    assert step(failing) == Wait(HOUR.total_seconds())


def test_report_that_can_not_be_made_is_tried_again_in_time_or_with_other_checks() -> None:
    assert step(UNAUDITED, reported=False, untried=False) == Wait(HOUR.total_seconds())
    assert step(UNAUDITED, reported=False, untried=False, after=HOUR) == Evaluate()
    assert step(UNAUDITED, reported=False, untried=True) == Evaluate()
    assert step(UNAUDITED) == Settle()


def test_scan_without_its_job_is_begun_again() -> None:
    assert step(STARTED, reported=False) == Start(Priority.RETRY)


@pytest.mark.parametrize(
    ("status", "job", "expected"),
    [
        (STARTED, JobView("j-1", finished=True), Collect()),
        (NEW, JobView("j-0", finished=True), Collect()),
        (READ, JobView("j-1", finished=True), Reap()),
        (FAILED, JobView("j-1", finished=True), Reap()),
        (STARTED, JobView("j-1", finished=False), Wait(360)),
        (STARTED, JobView("j-1", finished=False, age=MINUTE), Wait(300)),
        (STARTED, JobView("j-1", finished=False, age=6 * MINUTE), Reap(overdue=True)),
        (STARTED, JobView("j-1", False, age=MINUTE / 2, lonely=MINUTE / 2), Wait(30)),
        (STARTED, JobView("j-1", False, stuck=MINUTE * 0), Wait(5)),
        (STARTED, JobView("j-1", False, lonely=MINUTE / 60, stuck=MINUTE / 60), Wait(4)),
        (STARTED, JobView("j-1", False, stuck=MINUTE / 12), Reap(refused=True)),
        (STARTED, JobView("j-1", False, age=MINUTE, lonely=MINUTE), Reap(refused=True)),
    ],
)
def test_job_is_finished_with_before_anything_else(
    status: NodeScanStatus, job: JobView, expected: Step
) -> None:
    assert step(status, job=job, reported=False) == expected


STATUSES = st.builds(
    NodeScanStatus,
    phase=st.sampled_from(Phase),
    reason=st.sampled_from(["", "timeout", "audit-policy", "Unschedulable"]),
    consecutive_failures=st.integers(0, 2),
    last_attempt=st.sampled_from(["", "2026-01-02T11:00:00Z", "rubbish"]),
    last_success=st.sampled_from(["", "2026-01-02T11:00:00Z", "2025-01-02T11:00:00Z", "rubbish"]),
    next_retry=st.sampled_from(["", "2026-01-02T13:00:00Z", "2026-01-02T11:00:00Z"]),
    node_info=st.sampled_from(["", READ.node_info]),
)


@given(STATUSES, st.sampled_from([None, CORDONED, EXCLUDED]), st.booleans(), st.booleans())
def test_no_state_is_settled_or_skipped_for_ever(
    status: NodeScanStatus, skip: Skip | None, reported: bool, untried: bool
) -> None:
    """Whatever somebody wrote into the object, nothing here turns in circles."""
    first = step(status, skip=skip, reported=reported, untried=untried)
    match first:
        case Settle():
            status = nodescan.recovered(status)
        case SkipNode(told):
            status = nodescan.skipped(status, told)
        case _:
            return

    assert not isinstance(step(status, skip=skip, reported=reported, untried=untried), type(first))


@pytest.mark.parametrize(
    ("status", "job", "after", "reason"),
    [
        (NEW, None, timedelta(), Reason.FIRST),
        (STARTED, None, timedelta(), Reason.INTERRUPTED),
        (READ, None, timedelta(), Reason.UP_TO_DATE),
        (READ, None, DAY, Reason.TOO_OLD),
        (FAILED, None, timedelta(), Reason.BACKING_OFF),
        (FAILED, None, HOUR, Reason.RETRY),
        (STARTED, JobView("j-1", finished=False), timedelta(), Reason.JOB_RUNS),
        (STARTED, JobView("j-1", finished=True), timedelta(), Reason.JOB_ENDED),
        (STARTED, JobView("j-1", finished=False, lonely=MINUTE), timedelta(), Reason.POD_NOT_STARTED),
        (STARTED, JobView("j-1", finished=False, age=HOUR), timedelta(), Reason.JOB_OVERDUE),
        (READ, JobView("j-1", finished=True), timedelta(), Reason.JOB_HANDLED),
    ],
)
def test_every_step_says_why(
    status: NodeScanStatus, job: JobView | None, after: timedelta, reason: Reason
) -> None:
    inputs = Inputs(status, None, job, POLICY, reported=True, untried=True)
    assert decide(inputs, NOON + after).reason is reason


def test_node_that_is_left_out_and_report_that_is_missing_are_reasons() -> None:
    inputs = Inputs(READ, EXCLUDED, None, POLICY, reported=False, untried=True)
    assert decide(inputs, NOON).reason is Reason.SKIPPED
    assert decide(dataclasses.replace(inputs, skip=None), NOON).reason is Reason.NOT_REPORTED
