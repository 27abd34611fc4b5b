"""The reconciler of workloads: which images does this one run, which scans does it need, which reports go.

It writes no report itself: it says who uses which scan, and the scan's reconciler serves all users at once.

A report that somebody deletes is a request for a new scan. It is kept apart from what the cluster collects,
and from what we delete, by looking again after a moment: the workload must still be the one that owned it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import structlog

from trivyop.control.queue import Priority
from trivyop.controllers.context import ControllerContext
from trivyop.controllers.images.imagescans import ImageScans
from trivyop.controllers.images.needs import (
    ContainerInputs,
    LostReport,
    NeedReason,
    decide_need,
    sort_lost,
)
from trivyop.controllers.images.targets import (
    DIGEST_PATIENCE_SECONDS,
    Targets,
    digest_may_come,
)
from trivyop.controllers.usage import Usage
from trivyop.errors import DeniedError, ForbiddenError, outlasts_a_start
from trivyop.kube.objects import Object
from trivyop.kube.resources import NAMESPACES, ObjectKey, Resource
from trivyop.report.kinds import About, reports_about
from trivyop.report.stored import StoredReport
from trivyop.scan.imagescan import ImageScan
from trivyop.scan.state import has_nothing
from trivyop.workload.images import ContainerImage
from trivyop.workload.objects import Node, Pod
from trivyop.workload.owners import WorkloadKind, WorkloadRef, workload_of_pod
from trivyop.workload.resolve import Skipped, Workload, concerned

log = structlog.get_logger(__name__)

_PRIMED_AT_ONCE = 64  # before others have their turn on the event loop
_DELETED_PATIENCE_SECONDS = 1.0  # time for a workload's own deletion to arrive after that of its report


class Workloads:
    """Reconciles workloads by `WorkloadRef`."""

    def __init__(self, context: ControllerContext, usage: Usage, targets: Targets, scans: ImageScans) -> None:
        self._api = context.api
        self._informers = context.informers
        self._report_kinds = reports_about(About.CONTAINER)
        self._usage = usage
        self._targets = targets
        self._reports = context.reports
        self._scans = scans
        self.queue = context.queue("workloads", WorkloadRef)
        self._clock = context.clock
        self._waits_since: dict[WorkloadRef, dict[tuple[str, str], float]] = {}  # by container and image
        self._awaiting: dict[str, set[WorkloadRef]] = {}  # who waits for which scan by reference
        self._lost: dict[WorkloadRef, dict[str, LostReport]] = {}  # by container

    # events

    def listen(self) -> None:
        """Begin to look at what changes; call it once all stores are filled. `prime` sees what is there."""
        for kind, lister in self._informers.workloads.items():
            lister.add_handler(self._handler_of(kind), replay=False)
        self._informers.nodes.add_handler(self._node_changed, replay=False)
        for resource in self._report_kinds:
            lister = self._informers.reports[resource]
            lister.add_handler(self._report_changed, replay=False)
            lister.add_recovery_handler(self._look_at_all)
        self._reports.add_permission_handler(self._look_at_all)
        self._reports.add_lost_handler(self._report_lost)
        self._informers.scans.add_handler(self._scan_changed, replay=False)

    def _handler_of(self, kind: WorkloadKind) -> Callable[[ObjectKey, Any, Any], None]:
        def changed(_key: ObjectKey, old: Object | None, new: Object | None) -> None:
            if isinstance(old, Pod) and isinstance(new, Pod):
                self._images_observed(old, new)
            for obj in filter(None, (old, new)):
                for ref in concerned(kind, obj, self._informers.listers):
                    self._look_at(ref)

        return changed

    def all(self) -> Iterator[WorkloadRef]:
        """Everything that might be a workload."""
        for kind, lister in self._informers.workloads.items():
            for key in tuple(lister.keys()):  # others may have their turn before the end
                yield WorkloadRef(kind, key)

    def _look_at_all(self) -> None:
        """Have everything looked at, after all else: reports of a kind may be missing that was off."""
        for ref in self.all():
            self.queue.add(ref, Priority.BACKLOG)

    async def prime(self) -> None:
        """Find out who uses which scan, for all workloads, before any scan is looked at.

        Only workloads of which something is not as it should be are looked at again; after a restart that is
        none of thousands.
        """
        for seen, ref in enumerate(self.all(), start=1):
            self._prime(ref)
            if seen % _PRIMED_AT_ONCE == 0:
                await asyncio.sleep(0)

    def _prime(self, ref: WorkloadRef) -> None:
        workload = self._targets.resolve(ref)
        if not isinstance(workload, Workload):
            if any(self._reports.of_owner(ref)):
                self.queue.add(ref, Priority.BACKLOG)
            return
        needs, wait = self._needs(ref, workload)
        self._usage.set(ref, needs)
        if wait is not None or self._superfluous(ref, workload):
            self.queue.add(ref, Priority.BACKLOG)
        for scan in set(needs.values()):
            if not self._scans.serves(scan, ref, workload):
                self._scans.look_at(scan, urgent=False, asked_by=ref)

    def _look_at(self, ref: WorkloadRef) -> None:
        self.queue.add(ref, Priority.USER)

    def _node_changed(self, key: ObjectKey, old: Node | None, new: Node | None) -> None:
        """Pods may be observed before the node that runs them, and its platform is that of their images."""
        if new is None or (old is not None and old.platform == new.platform):
            return
        for pod in self._informers.workloads[WorkloadKind.POD].values():
            if pod.spec.node_name == key.name:
                self._look_at(workload_of_pod(pod, self._informers.listers.jobs))

    def _images_observed(self, old: Pod, new: Pod) -> None:
        """Nodes may call what a pod runs by another digest now."""
        node = self._informers.listers.nodes.get(ObjectKey("", new.spec.node_name))
        for scan in self._informers.digests.observe(old, new, node.platform if node else None):
            self._scans.look_at(scan, urgent=False)

    def _report_changed(self, _key: ObjectKey, old: StoredReport | None, new: StoredReport | None) -> None:
        if new is not None:
            self._report_observed(new)
            return
        if old is None or self._reports.deleted_by_us(old.uid):
            return
        ref = WorkloadRef.parse(old.owner)
        if ref is None:
            return
        scan = self._usage.scans_of(ref).get(old.container)
        if scan is not None and self._scans.is_running(scan):
            self._look_at(ref)  # it comes with the result that is awaited, a new one already
            return
        due = self._clock.monotonic() + _DELETED_PATIENCE_SECONDS
        self._lost.setdefault(ref, {})[old.container] = LostReport(old.owner_uid, self._clock.now(), due)
        self.queue.add_after(ref, _DELETED_PATIENCE_SECONDS, Priority.USER)

    def _report_lost(self, resource: Resource, key: ObjectKey, report: StoredReport) -> None:
        if resource in self._report_kinds:
            self._report_changed(key, report, None)

    def _report_observed(self, report: StoredReport) -> None:
        """A report may be observed late: it was on its way when its workload was looked at."""
        ref = WorkloadRef.parse(report.owner)
        if ref is None:
            return
        scan = self._usage.scans_of(ref).get(report.container)
        if scan is None or self._scans.digest(scan) != report.digest:
            self._look_at(ref)

    # reconciling

    async def reconcile(self, ref: WorkloadRef) -> float | None:
        """Bring usage and reports of one workload up to date; returns seconds until the next look."""
        workload = self._targets.resolve(ref)
        if not isinstance(workload, Workload):
            await self._not_scanned(ref, workload)
            self._lost.pop(ref, None)
            return None
        needs, wait = self._needs(ref, workload)
        touched = self._usage.set(ref, needs)
        for resource, report in self._superfluous(ref, workload):
            await self._reports.delete(resource, report)
        await self._rescan_lost(ref, workload, needs)
        for scan in touched - set(needs.values()):
            self._scans.look_at(scan, urgent=True)
        for scan in set(needs.values()):
            if scan in touched or not self._scans.serves(scan, ref, workload):
                self._scans.look_at(scan, urgent=True, asked_by=ref)
        return wait

    async def _not_scanned(self, ref: WorkloadRef, skipped: Skipped | None) -> None:
        self._waits_since.pop(ref, None)
        for scan in self._usage.remove(ref):
            self._scans.look_at(scan, urgent=True)
        if skipped is None or skipped.keeps_reports:
            return  # of an object that is gone, the cluster collects them
        for resource, report in list(self._reports.of_owner(ref)):
            log.info("report_superfluous", report=str(report.key), why=skipped.reason.value)
            await self._reports.delete(resource, report)

    def _needs(self, ref: WorkloadRef, workload: Workload) -> tuple[dict[str, str], float | None]:
        """The scan each container needs, and in how many seconds one that still waits for a digest does."""
        needs: dict[str, str] = {}
        waits: list[float] = []
        waited = self._waits_since.pop(ref, {})
        for container in workload.containers:
            need = decide_need(self._container_inputs(ref, workload, container, waited))
            if need.scan is not None:
                needs[container.container] = need.scan
            if need.wait_seconds is not None:
                waits.append(need.wait_seconds)
            if need.reason is NeedReason.REFERENCE_AT_WORK and need.scan is not None:
                self._awaiting.setdefault(need.scan, set()).add(ref)
        return needs, min(waits, default=None)

    def _container_inputs(
        self,
        ref: WorkloadRef,
        workload: Workload,
        container: ContainerImage,
        waited: Mapping[tuple[str, str], float],
    ) -> ContainerInputs:
        """`waited`: since when which container has waited for the digest of which image."""
        wait: float | None = None
        if digest_may_come(workload, container):
            now, waiting = self._clock.monotonic(), (container.container, container.image)
            since = self._waits_since.setdefault(ref, {})[waiting] = waited.get(waiting, now)
            wait = since + DIGEST_PATIENCE_SECONDS - now
        name = self._targets.scan_name(workload, container)
        before = self._usage.scans_of(ref).get(container.container)
        has_digest, exists = container.digest is not None, self._scans.knows(name)
        by_reference = ""
        if has_digest and not exists and before != name:
            by_reference = self._targets.scan_name(workload, replace(container, digest=None))
        return ContainerInputs(
            scan=name,
            before=before,
            has_digest=has_digest,
            scan_exists=exists,
            by_reference=by_reference,
            reference_at_work=bool(by_reference) and self._scans.is_at_work(by_reference),
            wait_seconds=wait,
        )

    def _scan_changed(self, key: ObjectKey, old: ImageScan | None, new: ImageScan | None) -> None:
        had_nothing = old is not None and has_nothing(old.status)
        if new is not None and has_nothing(new.status) and not had_nothing:
            for use in self._usage.of(key.name):  # reports of an image that was there before have to go
                self._look_at(use.workload)
        if key.name in self._awaiting and (new is None or not self._scans.is_at_work(key.name)):
            for ref in self._awaiting.pop(key.name):
                self._look_at(ref)

    def _superfluous(self, ref: WorkloadRef, workload: Workload) -> list[tuple[Resource, StoredReport]]:
        """The reports of containers that are gone, and those beside the one a container has."""
        needs = self._usage.scans_of(ref)
        containers = {
            container.container
            for container in workload.containers
            if not self._scans.is_empty(needs.get(container.container, ""))
        }
        found: list[tuple[Resource, StoredReport]] = []
        for resource, report in self._reports.of_owner(ref):
            if report.container in containers:
                kept = self._reports.find(resource, workload, report.container)
                if kept is None or kept.key == report.key:
                    continue
            found.append((resource, report))
        return found

    async def _rescan_lost(self, ref: WorkloadRef, workload: Workload, needs: Mapping[str, str]) -> None:
        """Ask for scans of lost reports whose workload is certain by now to miss them."""
        now = self._clock.monotonic()
        lost = self._lost.get(ref, {})
        certain, missed = sort_lost(lost, needs, uid=workload.uid, now=now)
        if missed and not await self._is_going(workload.key.namespace):
            for container, one in missed.items():
                await self._scans.ask_for_rescan(needs[container], since=one.at)
        left = {container: one for container, one in lost.items() if certain.get(container) is not one}
        if left:  # some were lost meanwhile, or just before
            self._lost[ref] = left
            self.queue.add_after(ref, max(one.due for one in left.values()) - now, Priority.USER)
        else:
            self._lost.pop(ref, None)

    async def _is_going(self, name: str) -> bool:
        """Whether a namespace is being deleted: reports go first then, and nobody asks for anything."""
        try:
            namespace = await self._api.get(NAMESPACES, ObjectKey("", name))
        except (DeniedError, ForbiddenError) as error:
            if not outlasts_a_start(error):
                raise
            return False  # with permissions in some namespaces only; a scan too many does no harm
        return namespace is None or namespace.metadata.deletion_timestamp is not None
