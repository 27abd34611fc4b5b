"""Jobs: what a Job's status should say and which of its Pods should be. Pure.

A finished Pod is counted once: its uid first goes into ``uncountedTerminatedPods`` of the status, then the
Pod loses the tracking finalizer, then the uid moves into the counts. Each of these is one ``plan``, so any
of them may be interrupted. A Pod that is being deleted has failed from that moment on, and is replaced,
unless ``podReplacementPolicy`` is ``Failed``: then it counts once it has ended. Not here: Indexed completion,
pod failure and success policies; the back-off after a deletion.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import cast

from trivyop.kube.times import format_time, parse_time
from trivyop.sandbox.changes import Json, has_condition, set_condition
from trivyop.sandbox.controllers.objects import Pod, Workload

TRACKING = "batch.kubernetes.io/job-tracking"
MANAGER = "kubernetes.io/job-controller"
BACKOFF_SECONDS = 10.0
MAX_BACKOFF_SECONDS = 600.0

DEADLINE = ("DeadlineExceeded", "Job was active longer than specified deadline")
BACKOFF = ("BackoffLimitExceeded", "Job has reached the specified backoff limit")
REACHED = ("CompletionsReached", "Reached expected number of succeeded pods")


@dataclass(frozen=True, slots=True)
class JobPlan:
    """What to do for one Job now, in this order: create and delete, write the status, take finalizers off."""

    create: int = 0
    delete: tuple[Pod, ...] = ()
    status: Json = field(default_factory=dict[str, object])
    release: tuple[Pod, ...] = ()  # finished, and counted as such by the status
    look_again_seconds: float | None = None


def is_finished(job: Workload) -> bool:
    """Complete or Failed."""
    return has_condition(job.conditions, "Complete") or has_condition(job.conditions, "Failed")


def finish_time(job: Workload) -> datetime | None:
    """When the Job became Complete or Failed."""
    for condition in job.conditions:
        if condition.get("type") in ("Complete", "Failed") and condition.get("status") == "True":
            moment = condition.get("lastTransitionTime")
            return parse_time(moment) if moment else None
    return None


def is_ours(job: Workload) -> bool:
    """Whether the built-in controller has to look after it."""
    return job.spec.get("managedBy", MANAGER) == MANAGER


def plan(job: Workload, pods: Sequence[Pod], now: datetime) -> JobPlan:
    """The next step of ``job``, whose Pods are ``pods``; what is not due now is in ``look_again_seconds``."""
    stamp = format_time(now)
    suspended = bool(job.spec.get("suspend"))
    status: Json = dict(job.status)
    tracked = [pod for pod in pods if TRACKING in pod.metadata.finalizers]

    if is_finished(job):
        return JobPlan(status=status, release=tuple(pod for pod in tracked if pod.finished or pod.deleting))

    if not suspended:
        status.setdefault("startTime", stamp)
    waits_for_ends = job.spec.get("podReplacementPolicy") == "Failed"
    uncounted, release = _count(status, pods, waits_for_ends=waits_for_ends)
    waiting_succeeded = uncounted["succeeded"]
    waiting_failed = uncounted["failed"]
    succeeded = int(status.get("succeeded") or 0) + len(waiting_succeeded)
    failed = int(status.get("failed") or 0) + len(waiting_failed)

    active = [pod for pod in pods if pod.active]
    terminating = [pod for pod in pods if pod.deleting and not pod.finished]
    parallelism = 0 if suspended else int(job.spec.get("parallelism", 1))
    completions = job.spec.get("completions")
    conditions = job.conditions
    verdict = _verdict(job, status, pods, now, succeeded=succeeded, failed=failed, active=len(active))
    if verdict is None and has_condition(conditions, "FailureTarget"):
        verdict = _stored_verdict(conditions, "FailureTarget")
    if verdict is None and has_condition(conditions, "SuccessCriteriaMet"):
        verdict = _stored_verdict(conditions, "SuccessCriteriaMet")

    create = 0
    delete: tuple[Pod, ...] = ()
    look_again: float | None = None
    if verdict is not None:
        type_, reason, message = verdict
        conditions = set_condition(conditions, _condition(type_, reason, message, stamp))
        delete = tuple(active)
    else:
        wanted = parallelism if completions is None else min(parallelism, int(completions) - succeeded)
        if completions is None and succeeded:
            wanted = len(active)  # a work queue: after one success no more are started
        if len(active) > wanted:
            delete = tuple(sorted(active, key=_victim_order)[: len(active) - wanted])
        else:
            missing = wanted - len(active) - (len(terminating) if waits_for_ends else 0)
            hold = _backoff(pods, failed, now) if missing > 0 else 0.0
            if hold > 0:
                look_again = hold
            else:
                create = max(0, missing)
    if suspended or job.status.get("conditions"):
        conditions = _suspension(conditions, stamp, suspended=suspended)

    status["active"] = len(active) - len(delete) + create
    status["terminating"] = len(terminating) + sum(1 for _ in delete)
    status["ready"] = sum(1 for pod in active if pod.ready and pod not in delete)
    status["conditions"] = conditions
    if verdict is not None and not (
        waiting_succeeded or waiting_failed or status["active"] or terminating or delete
    ):
        _finish(status, verdict, stamp)
    if look_again is None and verdict is None:
        look_again = _deadline_left(job, status, now)
    return JobPlan(create, delete, _tidy(status), tuple(release), look_again)


def _count(
    status: Json, pods: Sequence[Pod], *, waits_for_ends: bool
) -> tuple[dict[str, list[str]], list[Pod]]:
    """Move the uids on by one stage; returns those still uncounted, and the Pods whose finalizer may go."""
    by_uid = {pod.metadata.uid: pod for pod in pods}
    before = cast("dict[str, list[str]]", status.get("uncountedTerminatedPods") or {})
    uncounted: dict[str, list[str]] = {"succeeded": [], "failed": []}
    release: list[Pod] = []
    for outcome, uids in uncounted.items():
        for uid in before.get(outcome) or ():
            pod = by_uid.get(uid)
            if pod is None or TRACKING not in pod.metadata.finalizers:
                status[outcome] = int(status.get(outcome) or 0) + 1
            else:
                uids.append(uid)
                release.append(pod)
    known = {uid for uids in before.values() for uid in uids}
    for pod in pods:
        if TRACKING not in pod.metadata.finalizers or pod.metadata.uid in known:
            continue
        if pod.finished or (pod.deleting and not (waits_for_ends and pod.spec.node_name)):
            uncounted["succeeded" if pod.status.phase == "Succeeded" else "failed"].append(pod.metadata.uid)
            release.append(pod)
    status["uncountedTerminatedPods"] = {outcome: uids for outcome, uids in uncounted.items() if uids}
    return uncounted, release


def _verdict(
    job: Workload,
    status: Json,
    pods: Sequence[Pod],
    now: datetime,
    *,
    succeeded: int,
    failed: int,
    active: int,
) -> tuple[str, str, str] | None:
    if has_condition(job.conditions, "FailureTarget") or has_condition(job.conditions, "SuccessCriteriaMet"):
        return None  # stays as it was decided
    limit = int(job.spec.get("backoffLimit", 6))
    restarts = sum(
        status.restart_count
        for pod in pods
        if pod.active and pod.spec.restart_policy == "OnFailure"
        for status in (*pod.status.init_container_statuses, *pod.status.container_statuses)
    )
    if failed > limit or restarts >= max(1, limit):
        return ("FailureTarget", *BACKOFF)
    left = _deadline_left(job, status, now)
    if left is not None and left <= 0:
        return ("FailureTarget", *DEADLINE)
    completions = job.spec.get("completions")
    done = succeeded > 0 and active == 0 if completions is None else succeeded >= int(completions)
    return ("SuccessCriteriaMet", *REACHED) if done else None


def _stored_verdict(conditions: Sequence[Json], type_: str) -> tuple[str, str, str]:
    condition = next(c for c in conditions if c["type"] == type_)
    return type_, condition.get("reason", ""), condition.get("message", "")


def _finish(status: Json, verdict: tuple[str, str, str], stamp: str) -> None:
    type_, reason, message = verdict
    final = "Complete" if type_ == "SuccessCriteriaMet" else "Failed"
    status["conditions"] = set_condition(status["conditions"], _condition(final, reason, message, stamp))
    if final == "Complete":
        status["completionTime"] = stamp


def _deadline_left(job: Workload, status: Json, now: datetime) -> float | None:
    seconds = job.spec.get("activeDeadlineSeconds")
    start = status.get("startTime")
    if seconds is None or not start or job.spec.get("suspend"):
        return None
    return (parse_time(start) + timedelta(seconds=int(seconds)) - now).total_seconds()


def _backoff(pods: Sequence[Pod], failed: int, now: datetime) -> float:
    """Seconds to wait before another Pod replaces the failed ones."""
    ends = [
        status.state.terminated.finished_at
        for pod in pods
        if pod.status.phase == "Failed"
        for status in pod.status.container_statuses
        if status.state.terminated is not None and status.state.terminated.finished_at
    ]
    if not failed or not ends:
        return 0.0
    pause = min(BACKOFF_SECONDS * 2 ** min(failed - 1, 16), MAX_BACKOFF_SECONDS)
    return (max(map(parse_time, ends)) + timedelta(seconds=pause) - now).total_seconds()


def _suspension(conditions: list[Json], stamp: str, *, suspended: bool) -> list[Json]:
    if suspended:
        return set_condition(conditions, _condition("Suspended", "JobSuspended", "Job suspended", stamp))
    if any(c["type"] == "Suspended" for c in conditions):
        resumed = {**_condition("Suspended", "JobResumed", "Job resumed", stamp), "status": "False"}
        return set_condition(conditions, resumed)
    return conditions


def _condition(type_: str, reason: str, message: str, stamp: str) -> Json:
    return {
        "type": type_,
        "status": "True",
        "lastProbeTime": stamp,
        "lastTransitionTime": stamp,
        "reason": reason,
        "message": message,
    }


def _victim_order(pod: Pod) -> tuple[bool, bool, str]:
    return (bool(pod.spec.node_name), pod.ready, pod.metadata.name)


def _tidy(status: Json) -> Json:
    """Leave out counts of zero, as the API does, save those it always shows."""
    for name in ("active", "succeeded", "failed", "conditions"):
        if not status.get(name):
            status.pop(name, None)
    return status
