"""The reconciler of workloads: which images does this one run, which scans does it need, which reports go.

It writes no report itself: it says who uses which scan, and the scan's reconciler serves all users at once.

A report that somebody deletes is a request for a new scan. That is told apart from what the cluster collects,
and from what we delete, by looking again after a moment: the workload must still be the one that owned it.
"""

from __future__ import annotations

import structlog

from trivyop.control.clock import Clock
from trivyop.control.queue import Priority, WorkQueue
from trivyop.controllers.imagescans import ImageScans
from trivyop.controllers.reports import Reports
from trivyop.controllers.targets import (
    DIGEST_PATIENCE_SECONDS,
    Targets,
    digest_may_come,
    keeps_reports,
)
from trivyop.controllers.usage import Usage
from trivyop.controllers.view import View
from trivyop.kube.client import Api
from trivyop.kube.objects import Object
from trivyop.kube.resources import NAMESPACES, ObjectKey
from trivyop.report.stored import StoredReport
from trivyop.workload.objects import Job, Pod
from trivyop.workload.owners import (
    WorkloadKind,
    WorkloadRef,
    revisions,
    workload_of_job,
    workload_of_pod,
)
from trivyop.workload.resolve import Skipped, Workload

log = structlog.get_logger(__name__)

_DELETED_PATIENCE_SECONDS = 1.0  # time for a workload's own deletion to arrive after that of its report


class Workloads:
    """Reconciles workloads by `WorkloadRef`."""

    def __init__(
        self,
        api: Api,
        view: View,
        usage: Usage,
        targets: Targets,
        reports: Reports,
        scans: ImageScans,
        queue: WorkQueue[WorkloadRef],
        clock: Clock,
    ) -> None:
        self._api = api
        self._view = view
        self._usage = usage
        self._targets = targets
        self._reports = reports
        self._scans = scans
        self._queue = queue
        self._clock = clock
        self._started = False
        self._waits_since: dict[tuple[WorkloadRef, str, str], float] = {}  # workload, container, image
        self._lost: dict[WorkloadRef, dict[str, str]] = {}  # container -> uid of the owner of its lost report

    # events

    def listen(self) -> None:
        """Begin to look at what changes; call it once all stores are filled."""
        for kind, mirror in self._view.workloads.items():
            match kind:
                case WorkloadKind.POD:
                    mirror.add_handler(self._pod_changed)
                case WorkloadKind.JOB:
                    mirror.add_handler(self._job_changed)
                case WorkloadKind.REPLICA_SET | WorkloadKind.REPLICATION_CONTROLLER:
                    mirror.add_handler(self._revision_changed(kind))
                case _:
                    mirror.add_handler(
                        lambda key, _old, _new, kind=kind: self._look_at(WorkloadRef(kind, key))
                    )
        for mirror in self._view.reports.values():
            mirror.add_handler(self._report_changed)
        self._reports.add_lost_handler(lambda key, report: self._report_changed(key, report, None))
        self._started = True

    def all(self) -> list[WorkloadRef]:
        """Everything that might be a workload."""
        return [
            WorkloadRef(kind, key)
            for kind, mirror in self._view.workloads.items()
            for key in mirror.keys()  # noqa: SIM118
        ]

    def prime(self) -> None:
        """Find out who uses which scan, for all workloads at once, before any scan is looked at."""
        for ref in self.all():
            workload = self._targets.resolve(ref)
            if isinstance(workload, Workload):
                self._usage.set(ref, self._needs(ref, workload)[0])

    def _look_at(self, ref: WorkloadRef) -> None:
        self._queue.add(ref, Priority.USER if self._started else Priority.BACKLOG)

    def _pod_changed(self, _key: ObjectKey, old: Pod | None, new: Pod | None) -> None:
        for pod in (old, new):
            if pod is not None:
                self._look_at(workload_of_pod(pod, self._view.listers.jobs))

    def _job_changed(self, _key: ObjectKey, old: Job | None, new: Job | None) -> None:
        for job in (old, new):
            if job is not None:
                self._look_at(WorkloadRef(WorkloadKind.JOB, job.key))
                self._look_at(workload_of_job(job))

    def _revision_changed(self, kind: WorkloadKind):
        siblings = self._view.listers.of(kind)

        def changed(_key: ObjectKey, old: Object | None, new: Object | None) -> None:
            for obj in (old, new):
                if obj is not None:
                    for ref in revisions(kind, obj, siblings):
                        self._look_at(ref)

        return changed

    def _report_changed(self, _key: ObjectKey, old: StoredReport | None, new: StoredReport | None) -> None:
        if new is not None or old is None or self._reports.deleted_by_us(old.uid):
            return
        ref = WorkloadRef.parse(old.owner)
        if ref is None:
            return
        self._lost[ref] = {**self._lost.get(ref, {}), old.container: old.owner_uid}
        self._queue.add_after(ref, _DELETED_PATIENCE_SECONDS, Priority.USER)

    # reconciling

    async def reconcile(self, ref: WorkloadRef) -> float | None:
        """Bring usage and reports of one workload up to date; returns seconds until the next look."""
        lost = self._lost.get(ref, {})
        workload = self._targets.resolve(ref)
        if not isinstance(workload, Workload):
            await self._not_scanned(ref, workload)
            self._lost.pop(ref, None)
            return None
        needs, wait = self._needs(ref, workload)
        touched = self._usage.set(ref, needs)
        await self._delete_superfluous(ref, workload)
        await self._rescan_lost(workload, lost, needs)
        if self._lost.get(ref, {}) == lost:  # else more were lost meanwhile
            self._lost.pop(ref, None)
        for scan in touched | {name for name in needs.values() if not self._scans.serves(name, ref)}:
            self._scans.look_at(scan, urgent=self._started)
        return wait

    async def _not_scanned(self, ref: WorkloadRef, skipped: Skipped | None) -> None:
        for key in [key for key in self._waits_since if key[0] == ref]:
            del self._waits_since[key]
        for scan in self._usage.remove(ref):
            self._scans.look_at(scan, urgent=self._started)
        if skipped is None or keeps_reports(skipped):
            return  # of an object that is gone, the cluster collects them
        for resource, report in list(self._reports.of_owner(ref)):
            log.info("report_superfluous", report=str(report.key), why=skipped.reason.value)
            await self._reports.delete(resource, report)

    def _needs(self, ref: WorkloadRef, workload: Workload) -> tuple[dict[str, str], float | None]:
        """The scan each container needs, and in how many seconds one that still waits for a digest does."""
        needs: dict[str, str] = {}
        waits: list[float] = []
        now = self._clock.monotonic()
        for container in workload.containers:
            waiting = (ref, container.container, container.image)
            if digest_may_come(workload, container):
                left = self._waits_since.setdefault(waiting, now) + DIGEST_PATIENCE_SECONDS - now
                if left > 0:
                    waits.append(left)
                    before = self._usage.scans_of(ref).get(container.container)
                    if before is not None:
                        needs[container.container] = before  # a restart must not take the old reports away
                    continue
            else:
                self._waits_since.pop(waiting, None)
            needs[container.container] = self._targets.scan_name(workload, container)
        return needs, min(waits, default=None)

    async def _delete_superfluous(self, ref: WorkloadRef, workload: Workload) -> None:
        """Delete the reports of containers that are gone, and those beside the one a container has."""
        containers = {container.container for container in workload.containers}
        for resource, report in list(self._reports.of_owner(ref)):
            if report.container in containers:
                kept = self._reports.find(resource, workload, report.container)
                if kept is None or kept.key == report.key:
                    continue
            await self._reports.delete(resource, report)

    async def _rescan_lost(self, workload: Workload, lost: dict[str, str], needs: dict[str, str]) -> None:
        scans = {needs[name] for name, uid in lost.items() if name in needs and uid == workload.uid}
        if not scans:
            return
        namespace = await self._api.get(NAMESPACES, ObjectKey("", workload.key.namespace))
        if namespace is None or namespace.metadata.deletion_timestamp is not None:
            return  # reports go first when a namespace goes; nobody asks for anything
        for scan in sorted(scans):
            await self._scans.ask_for_rescan(scan)
