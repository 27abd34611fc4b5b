"""The life of one image's scan: which one step comes next.

Everything a rule needs is in its inputs; nothing here reads a clock, a store or a file. The reconciler
gathers the inputs, `decide` answers with one step and the reason for it, and the reconciler takes that step.

The rules, in order: a Job that exists is finished with before anything else is thought of; an image that
nothing runs is forgotten; what a user asked for comes before what time asks for; old results stay in use
until new ones are there.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum, StrEnum, auto
from typing import Final, NamedTuple

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


class Reason(StrEnum):
    """Why a step is the next one."""

    JOB_RUNS = "job-runs"
    JOB_ENDED = "job-ended"
    JOB_HANDLED = "job-handled"  # its outcome is in the status, or a later attempt's is
    JOB_OVERDUE = "job-overdue"
    POD_NOT_STARTED = "pod-not-started"
    NOT_IN_USE = "not-in-use"
    IN_USE_AGAIN = "in-use-again"
    REQUESTED = "requested"  # by a user
    INTERRUPTED = "interrupted"  # the last attempt has a beginning and no end
    FIRST = "first"  # it never had a result
    RETRY = "retry"  # the wait after a failure is over
    BACKING_OFF = "backing-off"
    NO_RETRY = "no-retry"  # only a change or a user brings another try
    REPORTS_EXIST = "reports-exist"  # of a scan that has no history
    REPORTS_MISSING = "reports-missing"
    SETTINGS_CHANGED = "settings-changed"
    NO_IMAGE = "no-image"  # so there will never be a result
    NEWER_DATABASE = "newer-database"
    TOO_OLD = "too-old"
    UP_TO_DATE = "up-to-date"


class Decision(NamedTuple):
    """The one next step, and why."""

    step: Step
    reason: Reason


@dataclass(frozen=True, slots=True)
class Inputs:
    """All that decides on the next step."""

    history: History
    demand: Demand
    means: Means
    job: JobView | None
    policy: Policy


def decide(inputs: Inputs, now: datetime) -> Decision:
    """Answer the one next step. `now` and all times are aware and UTC."""
    history, demand = inputs.history, inputs.demand
    if inputs.job is not None:
        decision = _about_the_job(history, demand, inputs.job, inputs.policy)
        if decision is not None:
            return decision
    if not demand.in_use:
        return Decision(_unused(history, inputs.policy, now), Reason.NOT_IN_USE)
    if history.unused_since is not None:
        return Decision(MarkUnused(None), Reason.IN_USE_AGAIN)
    if demand.rescan_after is not None and not _since(history.last_attempt, demand.rescan_after):
        return Decision(StartScan(Priority.USER), Reason.REQUESTED)
    if history.interrupted:
        return Decision(StartScan(Priority.RETRY), Reason.INTERRUPTED)
    if history.last_success is None:
        return _never_succeeded(inputs, now)
    return _succeeded_once(inputs, now)


def refresh_due(history: History, policy: Policy) -> datetime | None:
    """Answer when a successful result stops being fresh; None: never, or there is none."""
    if history.last_success is None or policy.report_ttl is None:
        return None
    if _database_is_newer(history, policy):
        return history.last_success
    return history.last_success + policy.report_ttl


def _about_the_job(history: History, demand: Demand, job: JobView, policy: Policy) -> Decision | None:
    superseded = job.state is JobState.FINISHED and job.attempt < history.attempts
    if job.name == history.handled_job or superseded:
        kept = policy.keep_jobs and job.state is JobState.FINISHED
        return None if kept else Decision(Reap(job.name), Reason.JOB_HANDLED)
    if not demand.in_use:
        return Decision(Reap(job.name), Reason.NOT_IN_USE)
    if job.state is JobState.FINISHED:
        return Decision(Collect(job.name), Reason.JOB_ENDED)
    until_start = _left_to_start(job, policy)
    if until_start is not None and until_start <= 0:
        return Decision(Reap(job.name, unstarted=True), Reason.POD_NOT_STARTED)
    left = None if policy.job_deadline is None else (policy.job_deadline - job.age).total_seconds()
    if left is not None and left <= 0:
        return Decision(Reap(job.name, overdue=True), Reason.JOB_OVERDUE)
    waits = (seconds for seconds in (until_start, left) if seconds is not None)
    return Decision(Wait(min(waits, default=None)), Reason.JOB_RUNS)


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


def _never_succeeded(inputs: Inputs, now: datetime) -> Decision:
    if inputs.means.adoptable:
        return Decision(Adopt(), Reason.REPORTS_EXIST)
    if inputs.history.failed:
        return _back_off(inputs.history, now) or Decision(StartScan(Priority.RETRY), Reason.RETRY)
    return Decision(StartScan(Priority.USER if inputs.demand.new else Priority.BACKLOG), Reason.FIRST)


def _succeeded_once(inputs: Inputs, now: datetime) -> Decision:
    history, demand, means, policy = inputs.history, inputs.demand, inputs.means, inputs.policy
    current = history.settings_hash == policy.settings_hash
    if current and demand.missing and means.sources:
        return Decision(Project(), Reason.REPORTS_MISSING)
    back_off = _back_off(history, now) if history.failed else None
    if back_off is not None:
        return back_off
    if not current:
        return Decision(StartScan(Priority.REFRESH), Reason.SETTINGS_CHANGED)
    if history.settled:
        return Decision(Wait(), Reason.NO_IMAGE)
    if demand.missing:
        return Decision(StartScan(Priority.USER), Reason.REPORTS_MISSING)
    # A newer database alone is worth matching anew, not pulling every image again.
    policy = policy if means.rematchable else replace(policy, database_updated=None)
    due = refresh_due(history, policy)
    if due is None:
        return Decision(Wait(), Reason.UP_TO_DATE)
    left = (due - now).total_seconds()
    if left > 0:
        return Decision(Wait(left), Reason.UP_TO_DATE)
    reason = Reason.NEWER_DATABASE if _database_is_newer(history, policy) else Reason.TOO_OLD
    # What failed as a match may go well as a scan, so that is how it is tried again.
    matches = means.rematchable and not history.failed
    return Decision(Rematch() if matches else StartScan(Priority.REFRESH), reason)


def _back_off(history: History, now: datetime) -> Decision | None:
    """What is left to wait after a failure; None if it is over."""
    if history.next_retry is None:
        return Decision(Wait(), Reason.NO_RETRY)
    if history.last_attempt is not None and history.last_attempt > now:
        return None  # the clock was set back since, and that time would come too late by as much
    left = (history.next_retry - now).total_seconds()
    return Decision(Wait(left), Reason.BACKING_OFF) if left > 0 else None


def _since(time: datetime | None, moment: datetime) -> bool:
    return time is not None and time >= moment


def _database_is_newer(history: History, policy: Policy) -> bool:
    return (
        policy.database_updated is not None
        and history.database_updated is not None
        and policy.database_updated > history.database_updated
    )
