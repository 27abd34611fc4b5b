"""The life of one node's scan: which one step comes next.

Everything a rule needs is in the values passed in. The rules, in order: a Job that exists is finished with
before anything else is thought of; a node that is excluded has no report; what was read is evaluated as long
as the report does not say what it should; only then may the node be read again.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from trivyop.audit.nodes.eligibility import Skip
from trivyop.audit.nodes.nodescan import NodeScanStatus, Phase
from trivyop.control.queue import Priority
from trivyop.kube.times import time_or_none


@dataclass(frozen=True, slots=True)
class JobView:
    """A collector Job as far as the rules care."""

    uid: str
    finished: bool
    age: timedelta = timedelta()  # how long it runs, as far as we know
    lonely: timedelta = timedelta()  # how long it runs without ever having had a pod
    stuck: timedelta | None = None  # how long its pod is known not to start; None: nothing says so


@dataclass(frozen=True, slots=True)
class Policy:
    """Settings, as they apply to a node."""

    report_ttl: timedelta | None  # None: what was read does not age
    job_deadline: timedelta | None  # how long a Job may be unfinished; None: for ever
    pod_patience: timedelta  # how long a Job may be without a pod, where nothing says why
    start_patience: timedelta = timedelta(seconds=5)  # for a pod that is known not to start


@dataclass(frozen=True, slots=True)
class Collect:
    """Read what the finished Job printed."""


@dataclass(frozen=True, slots=True)
class Reap:
    """Delete the Job: handled, unwanted, ``overdue``, or ``refused``: its pod is not made or started."""

    overdue: bool = False
    refused: bool = False


@dataclass(frozen=True, slots=True)
class Start:
    """Make a Job."""

    priority: Priority


@dataclass(frozen=True, slots=True)
class Evaluate:
    """Have what was read checked, and write the report."""


@dataclass(frozen=True, slots=True)
class SkipNode:
    """Leave the node alone, and say why."""

    skip: Skip


@dataclass(frozen=True, slots=True)
class Settle:
    """The phase tells of something that is over."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do for ``seconds``; None: until an event says so."""

    seconds: float | None = None


Step = Collect | Reap | Start | Evaluate | SkipNode | Settle | Wait


class Reason(StrEnum):
    """Why a step is the next one."""

    JOB_RUNS = "job-runs"
    JOB_ENDED = "job-ended"
    JOB_HANDLED = "job-handled"  # its outcome is in the status
    JOB_OVERDUE = "job-overdue"
    POD_NOT_STARTED = "pod-not-started"
    SKIPPED = "skipped"  # the node is not read, or not now
    NOT_REPORTED = "not-reported"  # what was read is to be evaluated
    FIRST = "first"  # the node was never read
    INTERRUPTED = "interrupted"  # the last attempt has a beginning and no end
    RETRY = "retry"  # the wait after a failure is over
    BACKING_OFF = "backing-off"
    TOO_OLD = "too-old"
    UP_TO_DATE = "up-to-date"


class Decision(NamedTuple):
    """The one next step, and why."""

    step: Step
    reason: Reason


@dataclass(frozen=True, slots=True)
class Inputs:
    """All that decides on the next step."""

    status: NodeScanStatus
    skip: Skip | None
    job: JobView | None
    policy: Policy
    reported: bool  # whether the report says what it should
    untried: bool  # whether nobody here has found yet that it can not be made


def decide(inputs: Inputs, now: datetime) -> Decision:
    """Answer the one next step."""
    status, skip, policy = inputs.status, inputs.skip, inputs.policy
    if inputs.job is not None:
        return _about_the_job(status, skip, inputs.job, policy)
    if skip is not None and skip.for_good:
        return _skipped(status, skip)
    if status.is_read and not inputs.reported:
        back_off = None if inputs.untried or not status.audit_failed else _back_off(status, now)
        return back_off or Decision(Evaluate(), Reason.NOT_REPORTED)
    interrupted = status.phase is Phase.RUNNING
    failed = status.consecutive_failures > 0 and not status.audit_failed
    if status.is_read and not interrupted and not failed:
        due = refresh_due(status, policy)
        if due is None or due > now:
            over = status.phase is Phase.SUCCEEDED or (skip is not None and status.phase is Phase.SKIPPED)
            wait = Wait(None if due is None else (due - now).total_seconds())
            return Decision(wait if over else Settle(), Reason.UP_TO_DATE)
    if skip is not None:
        return _skipped(status, skip)
    if interrupted:
        return Decision(Start(Priority.RETRY), Reason.INTERRUPTED)
    if failed:
        return _back_off(status, now) or Decision(Start(Priority.RETRY), Reason.RETRY)
    if status.is_read:
        return Decision(Start(Priority.REFRESH), Reason.TOO_OLD)
    return Decision(Start(Priority.BACKLOG), Reason.FIRST)


def refresh_due(status: NodeScanStatus, policy: Policy) -> datetime | None:
    """When what was read is too old; None: never, or there is nothing."""
    read = time_or_none(status.last_success)
    return None if read is None or policy.report_ttl is None else read + policy.report_ttl


def _about_the_job(status: NodeScanStatus, skip: Skip | None, job: JobView, policy: Policy) -> Decision:
    if job.uid == status.job and status.phase is not Phase.RUNNING:
        return Decision(Reap(), Reason.JOB_HANDLED)
    if skip is not None and skip.for_good:
        return Decision(Reap(), Reason.SKIPPED)
    if job.finished:
        return Decision(Collect(), Reason.JOB_ENDED)
    if job.lonely >= policy.pod_patience or (job.stuck is not None and job.stuck >= policy.start_patience):
        return Decision(Reap(refused=True), Reason.POD_NOT_STARTED)
    waits = [policy.pod_patience - job.lonely] if job.lonely else []
    if job.stuck is not None:
        waits.append(policy.start_patience - job.stuck)
    if policy.job_deadline is not None:
        waits.append(policy.job_deadline - job.age)
    left = min(waits, default=None)
    if left is not None and left <= timedelta():
        return Decision(Reap(overdue=True), Reason.JOB_OVERDUE)
    return Decision(Wait(None if left is None else left.total_seconds()), Reason.JOB_RUNS)


def _skipped(status: NodeScanStatus, skip: Skip) -> Decision:
    said = status.phase is Phase.SKIPPED and (status.reason, status.message) == (skip.why.value, skip.message)
    return Decision(Wait() if said else SkipNode(skip), Reason.SKIPPED)


def _back_off(status: NodeScanStatus, now: datetime) -> Decision | None:
    """What is left to wait after a failure; None if it is over."""
    retry = time_or_none(status.next_retry)
    if retry is None:
        return Decision(Wait(), Reason.BACKING_OFF)
    last = time_or_none(status.last_attempt)
    if last is not None and last > now:
        return None  # the clock was set back since
    left = (retry - now).total_seconds()
    return Decision(Wait(left), Reason.BACKING_OFF) if left > 0 else None
