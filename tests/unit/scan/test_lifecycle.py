"""The rules of an image's scan, one by one, and the laws that hold over all of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivyop.control.queue import Priority
from trivyop.scan.lifecycle import (
    Adopt,
    Collect,
    Demand,
    Forget,
    History,
    Inputs,
    JobState,
    JobView,
    MarkUnused,
    Means,
    Policy,
    Project,
    Reap,
    Reason,
    Rematch,
    StartScan,
    Wait,
    decide,
)

NOON = datetime(2026, 1, 15, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
POLICY = Policy(
    settings_hash="s1",
    report_ttl=24 * HOUR,
    forget_after=120 * HOUR,
    job_deadline=timedelta(minutes=6),
    keep_jobs=False,
)
WANTED = Demand(in_use=True)
NOTHING = Means()
FRESH = History(last_attempt=NOON - HOUR, last_success=NOON - HOUR, handled_job="j1", settings_hash="s1")
FAILED = History(last_attempt=NOON - HOUR, failed=True, next_retry=NOON + HOUR, handled_job="j1")
RUNNING = JobView("j2", JobState.RUNNING, timedelta(minutes=1))


def decision(history=FRESH, demand=WANTED, means=NOTHING, job=None, policy=POLICY, now=NOON):
    return decide(Inputs(history, demand, means, job, policy), now)


def step(*args, **inputs):
    return decision(*args, **inputs).step


def test_first_scan_of_a_change_comes_before_the_backlog() -> None:
    assert step(History(), replace(WANTED, new=True)) == StartScan(Priority.USER)
    assert step(History()) == StartScan(Priority.BACKLOG)


@pytest.mark.parametrize(
    ("job", "expected"),
    [
        ({"stuck": timedelta()}, Wait(5)),
        ({"stuck": timedelta(seconds=4)}, Wait(1)),
        ({"stuck": timedelta(seconds=5)}, Reap("j2", unstarted=True)),
        ({"stuck": timedelta(seconds=4), "lonely": timedelta(minutes=2)}, Wait(1)),
        ({"lonely": timedelta(seconds=50)}, Wait(10)),
        ({"lonely": timedelta(seconds=60)}, Reap("j2", unstarted=True)),
        ({"age": timedelta(minutes=6), "stuck": timedelta(seconds=1)}, Reap("j2", overdue=True)),
        ({}, Wait(300)),
    ],
)
def test_job_whose_pod_does_not_start_is_ended_after_seconds_not_at_its_deadline(
    job: dict[str, timedelta], expected: Wait | Reap
) -> None:
    assert step(job=replace(RUNNING, **job)) == expected


def test_job_that_tries_for_others_may_wait_longer_to_start() -> None:
    stuck = replace(RUNNING, stuck=timedelta(seconds=30))

    assert step(job=stuck, policy=replace(POLICY, start_patience=timedelta(minutes=3))) == Wait(150)


def test_reports_that_are_there_already_are_adopted_instead_of_scanned() -> None:
    assert step(History(), means=Means(adoptable=True)) == Adopt()


def test_running_job_is_left_alone_until_its_patience_ends() -> None:
    assert step(job=RUNNING) == Wait(300)
    assert step(job=replace(RUNNING, age=timedelta(minutes=6))) == Reap("j2", overdue=True)


def test_finished_job_is_collected_once_and_then_reaped() -> None:
    finished = replace(RUNNING, state=JobState.FINISHED)
    assert step(job=finished) == Collect("j2")
    assert step(replace(FRESH, handled_job="j2"), job=finished) == Reap("j2")


def test_kept_job_does_not_stand_in_the_way_of_the_next_scan() -> None:
    """With a time to live of its own, a handled Job stays; a rescan starts beside it."""
    kept = replace(RUNNING, name="j1", state=JobState.FINISHED)
    policy = replace(POLICY, keep_jobs=True)
    assert step(demand=replace(WANTED, rescan_after=NOON), job=kept, policy=policy) == StartScan(
        Priority.USER
    )


def test_job_of_an_earlier_attempt_is_not_collected_again() -> None:
    """Its outcome is long in the status; a newer one, of which we did not get to tell, is collected."""
    history = replace(FRESH, handled_job="", attempts=2, interrupted=True)
    first = JobView("j1", JobState.FINISHED, attempt=1)
    assert step(history, job=first) == Reap("j1")
    assert step(history, job=first, policy=replace(POLICY, keep_jobs=True)) == StartScan(Priority.RETRY)
    assert step(history, job=replace(first, name="j3", attempt=3)) == Collect("j3")


def test_scan_whose_job_was_lost_is_begun_again() -> None:
    assert step(replace(FRESH, interrupted=True)) == StartScan(Priority.RETRY)
    assert step(replace(FRESH, interrupted=True), job=RUNNING) == Wait(300)


def test_newer_database_is_no_reason_to_pull_an_image_again() -> None:
    history = replace(FRESH, database_updated=NOON - 6 * HOUR)
    newer = replace(POLICY, database_updated=NOON)
    assert step(history, policy=newer) == Wait(23 * 3600)


def test_job_of_an_image_that_nothing_runs_any_more_is_reaped() -> None:
    assert step(demand=Demand(in_use=False), job=RUNNING) == Reap("j2")


def test_unused_image_is_kept_for_the_cache_time_then_forgotten() -> None:
    unused = Demand(in_use=False)
    assert step(demand=unused) == MarkUnused(NOON)
    marked = replace(FRESH, unused_since=NOON)
    assert step(marked, unused, now=NOON + HOUR) == Wait(119 * 3600)
    assert step(marked, unused, now=NOON + 120 * HOUR) == Forget()
    assert step(marked) == MarkUnused(None)


def test_unused_image_that_was_never_scanned_is_forgotten_at_once() -> None:
    assert step(History(), Demand(in_use=False)) == Forget()
    assert step(FAILED, Demand(in_use=False)) == Forget()


def test_deleted_report_asks_for_one_new_scan() -> None:
    asked = replace(WANTED, missing=True, rescan_after=NOON)
    sources = Means(sources=True, rematchable=True)
    assert step(demand=asked, means=sources) == StartScan(Priority.USER)
    assert step(replace(FRESH, last_attempt=NOON + HOUR), asked, sources) == Project()


def test_missing_reports_come_from_those_of_others_and_else_from_a_scan() -> None:
    missing = replace(WANTED, missing=True)
    assert step(demand=missing, means=Means(sources=True)) == Project()
    assert step(demand=missing) == StartScan(Priority.USER)


def test_failed_scan_waits_for_its_retry() -> None:
    assert step(FAILED) == Wait(3600)
    assert step(FAILED, now=NOON + HOUR) == StartScan(Priority.RETRY)
    assert step(replace(FAILED, next_retry=None)) == Wait()


def test_failed_scan_is_tried_at_once_when_a_user_asks() -> None:
    assert step(FAILED, replace(WANTED, rescan_after=NOON)) == StartScan(Priority.USER)


def test_failed_refresh_keeps_serving_old_results() -> None:
    history = replace(FAILED, last_success=NOON - 30 * HOUR, settings_hash="s1")
    assert step(history, replace(WANTED, missing=True), Means(sources=True)) == Project()
    assert step(history) == Wait(3600)


def test_old_result_is_rematched_if_possible_and_else_scanned() -> None:
    tomorrow = NOON + 23 * HOUR
    assert step(now=tomorrow - HOUR) == Wait(3600)
    assert step(now=tomorrow, means=Means(rematchable=True)) == Rematch()
    assert step(now=tomorrow) == StartScan(Priority.REFRESH)
    assert step(now=tomorrow, policy=replace(POLICY, report_ttl=None)) == Wait()


def test_match_that_failed_is_tried_again_as_a_scan() -> None:
    """Else a bill of materials that Trivy cannot read would be tried for ever."""
    failed = replace(FAILED, last_success=NOON - 30 * HOUR, settings_hash="s1")
    means = Means(rematchable=True)
    assert step(failed, means=means, now=NOON + HOUR) == StartScan(Priority.REFRESH)


def test_newer_database_makes_a_result_due() -> None:
    history = replace(FRESH, database_updated=NOON - 6 * HOUR)
    means = Means(rematchable=True)
    newer = replace(POLICY, database_updated=NOON)
    assert step(history, means=means, policy=newer) == Rematch()
    assert step(replace(history, database_updated=NOON), means=means, policy=newer) == Wait(23 * 3600)


def test_changed_settings_ask_for_a_scan_not_for_a_rematch() -> None:
    policy = replace(POLICY, settings_hash="s2")
    assert step(policy=policy, means=Means(sources=True, rematchable=True)) == StartScan(Priority.REFRESH)


times = st.none() | st.integers(-200, 200).map(lambda hours: NOON + hours * HOUR)
histories = st.builds(
    History,
    last_attempt=times,
    last_success=times,
    next_retry=times,
    failed=st.booleans(),
    handled_job=st.sampled_from(["", "j1", "j2"]),
    settings_hash=st.sampled_from(["s1", "s2"]),
    database_updated=times,
    unused_since=times,
)
demands = st.builds(
    Demand, in_use=st.booleans(), missing=st.booleans(), rescan_after=times, new=st.booleans()
)
means = st.builds(Means, sources=st.booleans(), adoptable=st.booleans(), rematchable=st.booleans())
jobs = st.none() | st.builds(
    JobView,
    name=st.sampled_from(["j1", "j2"]),
    state=st.sampled_from(JobState),
    age=st.timedeltas(timedelta(), timedelta(hours=2)),
)


@given(histories, demands, means, jobs, st.booleans())
def test_never_two_jobs_at_once_and_never_one_for_nobody(history, demand, means, job, keep) -> None:
    """A scan starts only for an image in use, and only beside a Job that is handled and kept."""
    answer = step(history, demand, means, job, replace(POLICY, keep_jobs=keep))
    if isinstance(answer, StartScan | Rematch | Project | Adopt):
        assert demand.in_use
        assert job is None or (keep and job.name == history.handled_job and job.state is JobState.FINISHED)


@given(histories, demands, means, jobs)
def test_every_wait_ends_in_the_future(history, demand, means, job) -> None:
    answer = step(history, demand, means, job)
    if isinstance(answer, Wait) and answer.seconds is not None:
        assert answer.seconds > 0


@pytest.mark.parametrize("seconds", [0, -5])
def test_retry_that_is_due_starts(seconds: int) -> None:
    history = replace(FAILED, next_retry=NOON + timedelta(seconds=seconds))
    assert step(history) == StartScan(Priority.RETRY)


@pytest.mark.parametrize(
    ("inputs", "reason"),
    [
        ({"history": History()}, Reason.FIRST),
        ({"history": FAILED}, Reason.BACKING_OFF),
        ({"history": FAILED, "now": NOON + HOUR}, Reason.RETRY),
        ({"history": replace(FAILED, next_retry=None)}, Reason.NO_RETRY),
        ({"history": replace(FRESH, interrupted=True)}, Reason.INTERRUPTED),
        ({"history": replace(FRESH, settled=True)}, Reason.NO_IMAGE),
        ({"history": replace(FRESH, unused_since=NOON)}, Reason.IN_USE_AGAIN),
        ({"history": History(), "means": Means(adoptable=True)}, Reason.REPORTS_EXIST),
        ({"demand": replace(WANTED, rescan_after=NOON)}, Reason.REQUESTED),
        ({"demand": replace(WANTED, missing=True)}, Reason.REPORTS_MISSING),
        ({"demand": Demand(in_use=False)}, Reason.NOT_IN_USE),
        ({"policy": replace(POLICY, settings_hash="s2")}, Reason.SETTINGS_CHANGED),
        ({}, Reason.UP_TO_DATE),
        ({"now": NOON + 24 * HOUR}, Reason.TOO_OLD),
        ({"job": RUNNING}, Reason.JOB_RUNS),
        ({"job": replace(RUNNING, age=HOUR)}, Reason.JOB_OVERDUE),
        ({"job": replace(RUNNING, lonely=HOUR)}, Reason.POD_NOT_STARTED),
        ({"job": replace(RUNNING, state=JobState.FINISHED)}, Reason.JOB_ENDED),
        ({"job": replace(RUNNING, name="j1")}, Reason.JOB_HANDLED),
    ],
)
def test_every_step_says_why(inputs: dict[str, Any], reason: Reason) -> None:
    assert decision(**inputs).reason is reason


def test_match_against_a_newer_database_says_so() -> None:
    history = replace(FRESH, database_updated=NOON - 6 * HOUR)
    newer = replace(POLICY, database_updated=NOON)
    answer = decision(history, means=Means(rematchable=True), policy=newer)
    assert answer == (Rematch(), Reason.NEWER_DATABASE)
