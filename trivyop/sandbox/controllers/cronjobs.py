"""CronJobs: a Job at each due time of a schedule, and no more finished ones than the history limits say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import structlog

from trivyop.errors import AlreadyExistsError
from trivyop.kube.resources import CRONJOBS, JOBS, ObjectKey
from trivyop.kube.times import format_time, parse_time
from trivyop.sandbox.changes import Json, has_condition, part, parts
from trivyop.sandbox.controllers.cluster import BY_CONTROLLER, Cluster, enqueue, enqueue_controller
from trivyop.sandbox.controllers.cron import Schedule, ScheduleError
from trivyop.sandbox.controllers.jobs import finish_time, is_finished
from trivyop.sandbox.controllers.objects import Workload
from trivyop.sandbox.controllers.templates import owner_reference

log = structlog.get_logger(__name__)

SCHEDULED_AT = "batch.kubernetes.io/cronjob-scheduled-timestamp"
_TOO_MANY = 100  # due times missed; more are not looked through one by one


@dataclass(frozen=True, slots=True)
class CronPlan:
    """What to do for one CronJob now, in this order: delete, start, write the status."""

    start: datetime | None
    delete: tuple[Workload, ...]
    active: tuple[Workload, ...]
    next_seconds: float | None


class CronJobs:
    """The controller."""

    def __init__(self, cluster: Cluster) -> None:
        self.queue = cluster.queue()
        self._cluster = cluster
        self._cron_jobs = cluster.workloads(CRONJOBS)
        self._jobs = cluster.workloads(JOBS)
        self._cron_jobs.add_handler(enqueue(self.queue))
        self._jobs.add_handler(enqueue_controller(self.queue, CRONJOBS.kind))

    async def reconcile(self, key: ObjectKey) -> float | None:
        """Start the Job that is due, if one is; returns when to look again."""
        cron_job = self._cron_jobs.store.get(key)
        if cron_job is None or cron_job.deleting:
            return None
        jobs = self._jobs.store.by_index(BY_CONTROLLER, cron_job.metadata.uid)
        try:
            step = plan(cron_job, jobs, self._cluster.clock.now())
        except ScheduleError as error:
            log.warning("schedule_unusable", key=str(key), error=str(error))
            return None
        for job in step.delete:
            await self._cluster.api.delete(JOBS, job.metadata.key, uid=job.metadata.uid)
        status = dict(cron_job.status)
        known: dict[str, Json] = {entry["uid"]: entry for entry in parts(status, "active")}
        active = [known.get(job.metadata.uid) or _reference(job) for job in step.active]
        if step.start is not None:
            status["lastScheduleTime"] = format_time(step.start)
            try:
                created = await self._cluster.api.create(
                    JOBS, build_job(cron_job, step.start), namespace=key.namespace
                )
                active.append(_reference_of(created["metadata"]))
            except AlreadyExistsError:
                pass  # its name is that of the due time, so it has been started for it
        ends = [finish_time(job) for job in jobs if has_condition(job.conditions, "Complete")]
        if ends:
            status["lastSuccessfulTime"] = format_time(max(end for end in ends if end is not None))
        status["active"] = active
        if not active:
            del status["active"]
        await self._cluster.write_status(CRONJOBS, cron_job, status)
        return step.next_seconds


def plan(cron_job: Workload, jobs: Sequence[Workload], now: datetime) -> CronPlan:
    """The next step, of a CronJob with these Jobs; raises ``ScheduleError``."""
    spec = cron_job.spec
    running = [job for job in jobs if not is_finished(job) and not job.deleting]
    delete = _history(spec, jobs)
    if spec.get("suspend"):
        return CronPlan(None, delete, tuple(running), None)
    zone = ZoneInfo(spec["timeZone"]) if spec.get("timeZone") else now.tzinfo
    since = parse_time(cron_job.status.get("lastScheduleTime") or cron_job.metadata.creation_timestamp)
    deadline = spec.get("startingDeadlineSeconds")
    if deadline is not None:
        since = max(since, now - timedelta(seconds=int(deadline)))
    schedule = Schedule.parse(spec["schedule"])
    due: datetime | None = None
    upcoming: datetime | None = None
    for missed, moment in enumerate(schedule.after(since.astimezone(zone))):
        if moment > now:
            upcoming = moment
            break
        due = moment
        if missed > _TOO_MANY:  # asleep for long: the last due time is enough, and close to now
            recent = list(islice(schedule.after((now - timedelta(days=1)).astimezone(zone)), 2000))
            due = max((m for m in recent if m <= now), default=due)
            upcoming = next((m for m in recent if m > now), None)
            break
    seconds = None if upcoming is None else (upcoming - now).total_seconds()
    policy = spec.get("concurrencyPolicy")
    if due is not None and running:
        if policy == "Forbid":
            return CronPlan(None, delete, tuple(running), seconds)
        if policy == "Replace":
            return CronPlan(due, (*delete, *running), (), seconds)
    return CronPlan(due, delete, tuple(running), seconds)


def build_job(cron_job: Workload, due: datetime) -> Json:
    """The Job of one due time."""
    template = part(cron_job.spec, "jobTemplate")
    meta = part(template, "metadata")
    return {
        "apiVersion": JOBS.api_version,
        "kind": JOBS.kind,
        "metadata": {
            "name": f"{cron_job.metadata.name}-{int(due.timestamp()) // 60}",
            "labels": part(meta, "labels"),
            "annotations": part(meta, "annotations") | {SCHEDULED_AT: format_time(due)},
            "ownerReferences": [owner_reference(CRONJOBS.api_version, CRONJOBS.kind, cron_job.metadata)],
        },
        "spec": part(template, "spec"),
    }


def _history(spec: Json, jobs: Sequence[Workload]) -> tuple[Workload, ...]:
    """Finished Jobs beyond the limits, the oldest first."""
    surplus: list[Workload] = []
    for type_, field, default in (
        ("Complete", "successfulJobsHistoryLimit", 3),
        ("Failed", "failedJobsHistoryLimit", 1),
    ):
        limit = spec.get(field)
        ended = [job for job in jobs if has_condition(job.conditions, type_) and not job.deleting]
        ended.sort(key=lambda job: (job.status.get("startTime") or "", job.metadata.name))
        surplus += ended[: max(0, len(ended) - (default if limit is None else int(limit)))]
    return tuple(surplus)


def _reference(job: Workload) -> Json:
    meta = job.metadata
    version = meta.resource_version
    return _reference_of(
        {"name": meta.name, "namespace": meta.namespace, "resourceVersion": version, "uid": meta.uid}
    )


def _reference_of(meta: Json) -> Json:
    return {
        "apiVersion": JOBS.api_version,
        "kind": JOBS.kind,
        **{name: meta[name] for name in ("name", "namespace", "resourceVersion", "uid")},
    }
