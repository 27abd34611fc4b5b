"""Informers: everything the reconcilers read, each kind in an informer of its own.

Promises: one informer per kind (and target namespace), shared by all readers; a kind that the server does
not have, or that may not be read, has an empty lister and is named in `missing` and `problems`.
Not here: what follows from a change; see the reconcilers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import structlog

from trivyop.audit.nodes.job import COLLECTOR_SELECTOR, CollectorJob
from trivyop.audit.nodes.nodescan import NODESCANS, NodeScan
from trivyop.control.clock import Clock
from trivyop.controllers.digests import BY_ALIAS, BY_DIGEST, KnownDigests, aliases
from trivyop.controllers.jobpods import JobPod
from trivyop.controllers.lister import Lister
from trivyop.controllers.starting import BY_REGARDING, JOB_EVENTS, POD_EVENTS, Notice, slim_notice
from trivyop.kube.client import Api
from trivyop.kube.discovery import Discovery
from trivyop.kube.informer import Informer, InformerMetrics
from trivyop.kube.objects import Object
from trivyop.kube.resources import EVENTS, IMAGESCANS, JOBS, NODES, PODS, Resource
from trivyop.report import kinds
from trivyop.report.kinds import About, ReportKind, reports_about
from trivyop.report.stored import StoredReport
from trivyop.scan.imagescan import ImageScan
from trivyop.scan.job import SCAN_JOB_SELECTOR, ScanJob
from trivyop.workload.nodes import ClusterNode
from trivyop.workload.objects import (
    CronJob,
    DaemonSet,
    Job,
    Pod,
    ReplicaSet,
    ReplicationController,
    Slim,
    StatefulSet,
)
from trivyop.workload.owners import BY_CONTROLLER, WorkloadKind, controller_uids
from trivyop.workload.resolve import Listers

log = structlog.get_logger(__name__)

BY_OWNER = "owner"
"""Index of reports: from `str(WorkloadRef)` to the reports about that workload."""
BY_SCAN = "scan"
"""Index of scan Jobs: from the name of an ImageScan to its Jobs."""

WORKLOAD_STRUCTS: Mapping[WorkloadKind, type[Any]] = {
    WorkloadKind.POD: Pod,
    WorkloadKind.REPLICA_SET: ReplicaSet,
    WorkloadKind.REPLICATION_CONTROLLER: ReplicationController,
    WorkloadKind.STATEFUL_SET: StatefulSet,
    WorkloadKind.DAEMON_SET: DaemonSet,
    WorkloadKind.JOB: Job,
    WorkloadKind.CRON_JOB: CronJob,
}

V = TypeVar("V")


class Informers:
    """All informers, by what they hold. Build them once the server's kinds are known, then `run` them."""

    def __init__(
        self,
        api: Api,
        discovery: Discovery,
        *,
        operator_namespace: str,
        watched_namespaces: Iterable[str],
        jobs_everywhere: bool = False,
        collector_namespace: str | None = None,
        report_labels: Sequence[str] = (),
        clock: Clock,
        metrics: InformerMetrics | None = None,
    ) -> None:
        self._api = api
        self._discovery = discovery
        self._clock = clock
        self._metrics = metrics
        self._report_labels = tuple(report_labels)
        self._all: dict[str, Informer[Any]] = {}
        self.missing: list[Resource] = []
        watched = tuple(watched_namespaces)
        slim = Slim()

        self.workloads: dict[WorkloadKind, Lister[Any]] = {
            kind: self._lister(
                kind.resource, struct, watched, transform=slim, indexes={BY_CONTROLLER: controller_uids}
            )
            for kind, struct in WORKLOAD_STRUCTS.items()
        }
        self.nodes: Lister[ClusterNode] = self._lister(NODES, ClusterNode, ("",), transform=slim)
        # of every kind; of one that the server does not have, none
        self.reports: dict[Resource, Lister[StoredReport]] = {
            kind.resource: self._reports(kind, watched) for kind in kinds.KINDS
        }
        self.scans: Lister[ImageScan] = self._lister(
            IMAGESCANS,
            ImageScan,
            (operator_namespace,),
            indexes={
                BY_DIGEST: lambda scan: (scan.spec.digest,) if scan.spec.digest else (),
                BY_ALIAS: aliases,
            },
        )
        self.scan_jobs: Lister[ScanJob] = self._lister(
            JOBS,
            ScanJob,
            watched if jobs_everywhere else (operator_namespace,),
            label_selector=SCAN_JOB_SELECTOR,
            indexes={BY_SCAN: lambda job: (job.scan,)},
            called="scan-jobs",
        )
        job_scopes = set(watched if jobs_everywhere else (operator_namespace,))
        self.scan_pods: Lister[JobPod] = self._pods_of(SCAN_JOB_SELECTOR, job_scopes, called="scan-pods")
        collects = collector_namespace is not None
        self.node_scans: Lister[NodeScan] = self._lister(NODESCANS, NodeScan, ("",) if collects else ())
        self.node_jobs: Lister[CollectorJob] = self._lister(
            JOBS,
            CollectorJob,
            () if collector_namespace is None else (collector_namespace,),
            label_selector=COLLECTOR_SELECTOR,
            called="node-jobs",
        )
        collector_scopes = () if collector_namespace is None else (collector_namespace,)
        self.node_pods: Lister[JobPod] = self._pods_of(
            COLLECTOR_SELECTOR, collector_scopes, called="node-pods"
        )
        scopes = {""} if "" in job_scopes else job_scopes.union(collector_scopes)
        self.start_notices: tuple[Lister[Notice], ...] = tuple(
            self._lister(
                EVENTS,
                Notice,
                sorted(scopes),
                transform=slim_notice,
                field_selector=selector,
                indexes={BY_REGARDING: lambda notice: (notice.regarding,)},
                called=called,
            )
            for called, selector in (("job-events", JOB_EVENTS), ("pod-events", POD_EVENTS))
        )
        self.digests = KnownDigests(self.scans)
        self.listers = Listers(
            pods=self.workloads[WorkloadKind.POD],
            replica_sets=self.workloads[WorkloadKind.REPLICA_SET],
            replication_controllers=self.workloads[WorkloadKind.REPLICATION_CONTROLLER],
            stateful_sets=self.workloads[WorkloadKind.STATEFUL_SET],
            daemon_sets=self.workloads[WorkloadKind.DAEMON_SET],
            jobs=self.workloads[WorkloadKind.JOB],
            cron_jobs=self.workloads[WorkloadKind.CRON_JOB],
            nodes=self.nodes,
            same=self.digests.same,
        )

    def _reports(self, kind: ReportKind, watched: Iterable[str]) -> Lister[StoredReport]:
        """The reports of one kind, of which the metadata is enough."""
        return self._lister(
            kind.resource,
            Object,
            watched if kind.resource.namespaced else ("",),
            transform=self.stored,
            metadata_only=True,
            indexes={BY_OWNER: lambda report: (report.owner,), BY_DIGEST: _digests},
            may_miss=kind.may_be_missing,
        )

    def _pods_of(self, selector: str, namespaces: Iterable[str], *, called: str) -> Lister[JobPod]:
        """The pods of Jobs of ours, with all that says whether they start."""
        return self._lister(
            PODS,
            JobPod,
            sorted(namespaces),
            label_selector=selector,
            indexes={BY_CONTROLLER: controller_uids},
            called=called,
        )

    def _lister(
        self,
        resource: Resource,
        struct: type[Any],
        namespaces: Iterable[str],
        *,
        transform: Callable[[Any], V] | None = None,
        metadata_only: bool = False,
        label_selector: str = "",
        field_selector: str = "",
        indexes: Mapping[str, Callable[[V], Iterable[str]]] | None = None,
        called: str = "",
        may_miss: bool = False,
    ) -> Lister[V]:
        if not self._discovery.serves(resource):
            if not may_miss:
                self.missing.append(resource)
            return Lister(resource, {})
        informers: dict[str, Informer[V]] = {}
        for namespace in namespaces:
            name = (called or resource.plural) + (f"/{namespace}" if namespace else "")
            informers[namespace] = self._all[name] = Informer(
                self._api,
                resource,
                struct,
                namespace=namespace,
                label_selector=label_selector,
                field_selector=field_selector,
                metadata_only=metadata_only,
                transform=transform,
                indexes=indexes or {},
                clock=self._clock,
                metrics=self._metrics,
                streaming=None,
            )
        return Lister(resource, informers)

    def stored(self, report: Object) -> StoredReport:
        """What the listers keep of a report."""
        return StoredReport.parse(report, self._report_labels)

    @property
    def _needed(self) -> tuple[Lister[Any], ...]:
        """Without any of these there is nothing that can be done."""
        return (self.workloads[WorkloadKind.POD], self.scans, self.scan_jobs)

    @property
    def report_kinds(self) -> tuple[Resource, ...]:
        """The kinds of report on containers that can be written here."""
        return tuple(kind for kind in reports_about(About.CONTAINER) if kind not in self.missing)

    @property
    def waiting_for(self) -> list[str]:
        """The informers whose first list is not complete, and that no refusal explains."""
        return [name for name, one in self._all.items() if not one.synced and not one.problem]

    def needs(self) -> list[str]:
        """Why nothing can be done: the problems of kinds without which there is no work."""
        return [lister.problem or "" for lister in self._needed if lister.unavailable]

    def problems(self) -> list[str]:
        """What may not be read or is not there, and why; what needs it is off, the rest is not."""
        missing = [f"the server has no {resource.name}" for resource in self.missing]
        return missing + [f"{name}: {one.problem}" for name, one in self._all.items() if one.problem]

    def sole_platform(self) -> str | None:
        """The platform of the nodes, if they all have the same; what a scan assumes when no pod says."""
        platforms = {node.platform for node in self.nodes.values() if node.platform}
        return platforms.pop() if len(platforms) == 1 else None

    async def run(self) -> None:
        """Run all informers until cancelled."""
        async with asyncio.TaskGroup() as group:
            for name, informer in self._all.items():
                group.create_task(informer.run(), name=f"informer/{name}")

    async def wait_synced(self) -> bool:
        """Wait until every informer has its first list, or a refusal that says why it has none; then True.

        Of what there is no work without, a refusal is not enough.
        """
        for informer in self._all.values():
            await informer.wait_settled()
        for lister in self._needed:
            await lister.wait_available()
        return True


def _digests(report: StoredReport) -> Iterable[str]:
    return (report.digest,) if report.digest else ()
