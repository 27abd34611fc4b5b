"""The life of one node's scan: which one step comes next.

Everything a rule needs is in the values passed in. The rules, in order: a Job that exists is finished with
before anything else is thought of; a node that is excluded has no report; what was read is evaluated as long
as the report does not say what it should; only then may the node be read again.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

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


def next_step(
    status: NodeScanStatus,
    skip: Skip | None,
    job: JobView | None,
    policy: Policy,
    *,
    reported: bool,
    untried: bool,
    now: datetime,
) -> Step:
    """Answer the one next step.

    ``reported`` is whether the report says what it should; ``untried`` is whether nobody here has found yet
    that it can not be made.
    """
    if job is not None:
        return _about_the_job(status, skip, job, policy)
    if skip is not None and skip.for_good:
        return _skipped(status, skip)
    if status.is_read and not reported:
        wait = None if untried or not status.audit_failed else _back_off(status, now)
        return wait or Evaluate()
    interrupted = status.phase is Phase.RUNNING
    failed = status.consecutive_failures > 0 and not status.audit_failed
    if status.is_read and not interrupted and not failed:
        due = refresh_due(status, policy)
        if due is None or due > now:
            over = status.phase is Phase.SUCCEEDED or (skip is not None and status.phase is Phase.SKIPPED)
            return Wait(None if due is None else (due - now).total_seconds()) if over else Settle()
    if skip is not None:
        return _skipped(status, skip)
    if failed and not interrupted:
        return _back_off(status, now) or Start(Priority.RETRY)
    if interrupted:
        return Start(Priority.RETRY)
    return Start(Priority.REFRESH if status.is_read else Priority.BACKLOG)


def refresh_due(status: NodeScanStatus, policy: Policy) -> datetime | None:
    """When what was read is too old; None: never, or there is nothing."""
    read = time_or_none(status.last_success)
    return None if read is None or policy.report_ttl is None else read + policy.report_ttl


def _about_the_job(status: NodeScanStatus, skip: Skip | None, job: JobView, policy: Policy) -> Step:
    handled = job.uid == status.job and status.phase is not Phase.RUNNING
    if handled or (skip is not None and skip.for_good):
        return Reap()
    if job.finished:
        return Collect()
    if job.lonely >= policy.pod_patience or (job.stuck is not None and job.stuck >= policy.start_patience):
        return Reap(refused=True)
    waits = [policy.pod_patience - job.lonely] if job.lonely else []
    if job.stuck is not None:
        waits.append(policy.start_patience - job.stuck)
    if policy.job_deadline is not None:
        waits.append(policy.job_deadline - job.age)
    left = min(waits, default=None)
    if left is None:
        return Wait()
    return Wait(left.total_seconds()) if left > timedelta() else Reap(overdue=True)


def _skipped(status: NodeScanStatus, skip: Skip) -> Step:
    told = status.phase is Phase.SKIPPED and (status.reason, status.message) == (skip.why.value, skip.message)
    return Wait() if told else SkipNode(skip)


def _back_off(status: NodeScanStatus, now: datetime) -> Wait | None:
    """What is left to wait after a failure; None if it is over."""
    retry = time_or_none(status.next_retry)
    if retry is None:
        return Wait()
    last = time_or_none(status.last_attempt)
    if last is not None and last > now:
        return None  # the clock was set back since
    left = (retry - now).total_seconds()
    return Wait(left) if left > 0 else None
