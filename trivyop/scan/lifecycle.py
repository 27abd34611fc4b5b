"""The life of one image's scan: which one step comes next.

Everything a rule needs is in the values passed in; nothing here reads a clock, a store or a file. The
reconciler gathers these values, asks `next_step`, and does what it answers, one step a call.

The rules, in order: a Job that exists is finished with before anything else is thought of; an image that
nothing runs is forgotten; what a user asked for comes before what time asks for; old results stay in use
until new ones are there.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Final

from trivyop.control.queue import Priority

START_PATIENCE: Final = timedelta(seconds=5)
"""How long what keeps a pod from starting may pass by itself, before anything follows from it."""


class JobState(Enum):
    RUNNING = auto()
    FINISHED = auto()  # complete or failed: the result, or the reason, is in its log


@dataclass(frozen=True, slots=True)
class JobView:
    """A scan Job as far as the rules care."""

    name: str
    state: JobState
    age: timedelta = timedelta()  # how long it runs, as far as we know
    attempt: int = 0  # which one of the scan it is
    stuck: timedelta | None = None  # how long its pod is known not to start; None: nothing says so
    lonely: timedelta = timedelta()  # how long it runs without ever having had a pod


@dataclass(frozen=True, slots=True)
class History:
    """What the status of the ImageScan remembers."""

    last_attempt: datetime | None = None
    last_success: datetime | None = None
    next_retry: datetime | None = None  # None after a failure: only a change or a user brings another try
    failed: bool = False  # the last attempt failed
    attempts: int = 0  # begun so far
    interrupted: bool = False  # the last one has a beginning and no end
    handled_job: str = ""  # the Job whose outcome is already in the status
    settings_hash: str = ""  # of the last success
    database_updated: datetime | None = None  # of the vulnerability database of the last success
    settled: bool = False  # the last success is for ever: a digest of something that is no image
    unused_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Demand:
    """What the cluster wants of this scan now."""

    in_use: bool
    missing: bool = False  # a workload that runs the image lacks a current report
    rescan_after: datetime | None = None  # a user wants the result of an attempt since then
    new: bool = False  # asked for by a change, not found at start-up


@dataclass(frozen=True, slots=True)
class Means:
    """What could serve the demand without a Job."""

    sources: bool = False  # a current report of each kind, from which others can be made
    adoptable: bool = False  # the same, found while the scan itself has no history
    rematchable: bool = False  # a complete bill of materials, and a Trivy here to match it


@dataclass(frozen=True, slots=True)
class Policy:
    """Settings and facts that hold for all scans."""

    settings_hash: str
    report_ttl: timedelta | None  # None: reports do not age
    forget_after: timedelta
    job_deadline: timedelta | None  # how long a Job may be unfinished; None: for ever
    keep_jobs: bool  # the Job's own time to live removes it
    start_patience: timedelta = START_PATIENCE  # for a pod that is known not to start
    pod_patience: timedelta = timedelta(seconds=60)  # for a pod to be made, where nothing says why it is not
    database_updated: datetime | None = None  # of the newest database known here


@dataclass(frozen=True, slots=True)
class Collect:
    """Read the finished Job's result and write what follows from it."""

    job: str


@dataclass(frozen=True, slots=True)
class Reap:
    """Delete the Job: unwanted, already handled, `overdue`, or `unstarted`: its pod does not start."""

    job: str
    overdue: bool = False
    unstarted: bool = False


@dataclass(frozen=True, slots=True)
class StartScan:
    priority: Priority


@dataclass(frozen=True, slots=True)
class Adopt:
    """Take over the history from reports that are there already."""


@dataclass(frozen=True, slots=True)
class Project:
    """Make the missing reports from those that other workloads have."""


@dataclass(frozen=True, slots=True)
class Rematch:
    """Match the stored bill of materials against the database of now."""


@dataclass(frozen=True, slots=True)
class MarkUnused:
    """Remember since when nothing runs the image (`since` None: it is in use again)."""

    since: datetime | None


@dataclass(frozen=True, slots=True)
class Forget:
    """Delete the ImageScan and its bill of materials."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do for `seconds`; None: until an event says so."""

    seconds: float | None = None


Step = Collect | Reap | StartScan | Adopt | Project | Rematch | MarkUnused | Forget | Wait


def next_step(
    history: History, demand: Demand, means: Means, job: JobView | None, policy: Policy, *, now: datetime
) -> Step:
    """Answer the one next step. `now` and all times are aware and UTC."""
    if job is not None:
        step = _about_the_job(history, demand, job, policy)
        if step is not None:
            return step
    if not demand.in_use:
        return _unused(history, policy, now)
    if history.unused_since is not None:
        return MarkUnused(None)
    if demand.rescan_after is not None and not _since(history.last_attempt, demand.rescan_after):
        return StartScan(Priority.USER)
    if history.interrupted:
        return StartScan(Priority.RETRY)
    if history.last_success is None:
        return _never_succeeded(history, demand, means, now)
    return _succeeded_once(history, demand, means, policy, now)


def refresh_due(history: History, policy: Policy) -> datetime | None:
    """Answer when a successful result stops being fresh; None: never, or there is none."""
    if history.last_success is None or policy.report_ttl is None:
        return None
    if _database_is_newer(history, policy):
        return history.last_success
    return history.last_success + policy.report_ttl


def _about_the_job(history: History, demand: Demand, job: JobView, policy: Policy) -> Step | None:
    superseded = job.state is JobState.FINISHED and job.attempt < history.attempts
    if job.name == history.handled_job or superseded:
        return None if policy.keep_jobs and job.state is JobState.FINISHED else Reap(job.name)
    if not demand.in_use:
        return Reap(job.name)
    if job.state is JobState.FINISHED:
        return Collect(job.name)
    until_start = _left_to_start(job, policy)
    if until_start is not None and until_start <= 0:
        return Reap(job.name, unstarted=True)
    left = None if policy.job_deadline is None else (policy.job_deadline - job.age).total_seconds()
    if left is not None and left <= 0:
        return Reap(job.name, overdue=True)
    return Wait(min((seconds for seconds in (until_start, left) if seconds is not None), default=None))


def _left_to_start(job: JobView, policy: Policy) -> float | None:
    """Seconds for which a pod that does not start is waited for; None while nothing is wrong with it."""
    if job.stuck is not None:
        return (policy.start_patience - job.stuck).total_seconds()
    return (policy.pod_patience - job.lonely).total_seconds() if job.lonely else None


def _unused(history: History, policy: Policy, now: datetime) -> Step:
    if history.last_success is None:
        return Forget()
    if history.unused_since is None:
        return MarkUnused(now)
    left = (history.unused_since + policy.forget_after - now).total_seconds()
    return Wait(left) if left > 0 else Forget()


def _never_succeeded(history: History, demand: Demand, means: Means, now: datetime) -> Step:
    if means.adoptable:
        return Adopt()
    if history.failed:
        wait = _back_off(history, now)
        return StartScan(Priority.RETRY) if wait is None else wait
    return StartScan(Priority.USER if demand.new else Priority.BACKLOG)


def _succeeded_once(history: History, demand: Demand, means: Means, policy: Policy, now: datetime) -> Step:
    current = history.settings_hash == policy.settings_hash
    if current and demand.missing and means.sources:
        return Project()
    wait = _back_off(history, now) if history.failed else None
    if wait is not None:
        return wait
    if not current:
        return StartScan(Priority.REFRESH)
    if history.settled:
        return Wait()
    if demand.missing:
        return StartScan(Priority.USER)
    # A newer database alone is worth matching anew, not pulling every image again.
    due = refresh_due(history, policy if means.rematchable else replace(policy, database_updated=None))
    if due is None:
        return Wait()
    left = (due - now).total_seconds()
    if left > 0:
        return Wait(left)
    # What failed as a match may go well as a scan, so that is how it is tried again.
    return Rematch() if means.rematchable and not history.failed else StartScan(Priority.REFRESH)


def _back_off(history: History, now: datetime) -> Wait | None:
    """What is left to wait after a failure; None if it is over."""
    if history.next_retry is None:
        return Wait()
    if history.last_attempt is not None and history.last_attempt > now:
        return None  # the clock was set back since, and that time would come too late by as much
    left = (history.next_retry - now).total_seconds()
    return Wait(left) if left > 0 else None


def _since(time: datetime | None, moment: datetime) -> bool:
    return time is not None and time >= moment


def _database_is_newer(history: History, policy: Policy) -> bool:
    return (
        policy.database_updated is not None
        and history.database_updated is not None
        and policy.database_updated > history.database_updated
    )
