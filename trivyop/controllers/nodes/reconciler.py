"""The reconciler of nodes: read how each is set up, have it checked, and keep the report on it.

`_gather` reads what decides, `lifecycle.decide` decides, and why, `_act` takes the step, as for image scans.

Promises: a node that is not read says why in its NodeScan; a failure has a class, a next try, an Event on the
node and a metric, and holds up no other node. A report that is gone, or that other checks would make another
one, is made from what was read before, without a new pod on the node.
Not here: the control plane's pods, which are audited as any other.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

import structlog
from msgspec.structs import replace
from structlog.contextvars import bound_contextvars

from trivyop.audit.nodes import nodescan
from trivyop.audit.nodes.commands import detect_platform
from trivyop.audit.nodes.eligibility import Skip, why_not
from trivyop.audit.nodes.failures import explain_reason, explained
from trivyop.audit.nodes.info import NodeInfo
from trivyop.audit.nodes.job import CollectorJob
from trivyop.audit.nodes.lifecycle import (
    Collect,
    Evaluate,
    Inputs,
    Policy,
    Reap,
    Reason,
    Settle,
    SkipNode,
    Start,
    Step,
    Wait,
    decide,
)
from trivyop.audit.nodes.nodescan import NODESCANS, NodeScan, NodeScanStatus, Phase
from trivyop.control.queue import Priority
from trivyop.controllers.audits.selecting import build_audit_options
from trivyop.controllers.context import ControllerContext
from trivyop.controllers.deadlines import LogDeadlines, job_deadline, spread_ttl
from trivyop.controllers.metrics import NodeMetrics
from trivyop.controllers.nodes.jobs import NodeJobs
from trivyop.controllers.nodes.outcomes import NodeOutcomes
from trivyop.controllers.nodes.reports import NodeAuditor, NodeReports
from trivyop.controllers.records import Records
from trivyop.errors import AlreadyExistsError, ForbiddenError, TerminalError, TransientError, WebhookError
from trivyop.kube.resources import CLUSTERINFRAASSESSMENTREPORTS, CLUSTERVERSIONS, NODES, ObjectKey, Resource
from trivyop.report.stored import StoredReport
from trivyop.trivy.failures import Failure, FailureClass
from trivyop.workload.nodes import ClusterNode

log = structlog.get_logger(__name__)

_POD_PATIENCE = timedelta(seconds=60)  # a Job without a pod for so long is not going to get one
_REFUSED_SECONDS = 3600.0  # as long as the reports remember a refusal


class NodeReconciler:
    """Reconciles nodes by name."""

    def __init__(self, context: ControllerContext, auditor: NodeAuditor) -> None:
        api, informers, settings = context.api, context.informers, context.settings
        clock, reports = context.clock, context.reports
        metrics = NodeMetrics(context.registry)
        self.queue = queue = context.queue("nodes", str)
        self._api = api
        self._informers = informers
        self._openshift = context.discovery.serves(CLUSTERVERSIONS)
        self._settings = settings
        self._reports = NodeReports(reports, auditor, build_audit_options(settings), clock)
        self._clock = clock
        self._metrics = metrics
        self._jobs = NodeJobs(api, informers, settings, clock, queue.add)
        self._records = Records[NodeScan, NodeScanStatus](
            api,
            NODESCANS,
            NodeScan,
            informers.node_scans,
            to_document=nodescan.to_document,
            lost=lambda name: queue.add(name, Priority.USER),
        )
        self._outcomes = NodeOutcomes(
            self._records,
            context.events,
            metrics,
            retry_after_seconds=settings.scan_job.retry_after_seconds,
            clock=clock,
            rng=context.rng,
        )
        reports.add_lost_handler(self._report_lost)
        self._git_version = ""
        self._log_patience = LogDeadlines(clock)

    # events

    def listen(self) -> None:
        """Begin to look at what changes; call it once all stores are filled."""
        self._jobs.running.listen()
        self._informers.nodes.add_handler(self._node_changed)
        self._informers.node_scans.add_handler(self._scan_changed)
        self._informers.reports[CLUSTERINFRAASSESSMENTREPORTS].add_handler(self._report_changed)

    def look_at_all(self) -> None:
        """Have all nodes looked at, after everything else: checks have changed."""
        for name in self.names():
            self.queue.add(name, Priority.REFRESH)

    def names(self) -> Iterable[str]:
        return [key.name for key in self._informers.nodes.keys()]  # noqa: SIM118 - a lister, not a dict

    def _node_changed(self, key: ObjectKey, old: ClusterNode | None, new: ClusterNode | None) -> None:
        if old is None or new is None or old.metadata.uid != new.metadata.uid:
            self.queue.add(key.name, Priority.USER)
        elif self._shown(old) != self._shown(new):
            self.queue.add(key.name, Priority.BACKLOG)

    def _shown(self, node: ClusterNode) -> object:
        return why_not(node, self._settings), node.metadata.labels

    def _scan_changed(self, key: ObjectKey, old: NodeScan | None, new: NodeScan | None) -> None:
        if new is None or old is None or old.status != new.status:
            self.queue.add(key.name, Priority.USER if new is None else Priority.BACKLOG)

    def _report_changed(self, _: ObjectKey, old: StoredReport | None, new: StoredReport | None) -> None:
        report = new or old
        if report is not None and (new is None or old is None or new.content_hash != old.content_hash):
            self.queue.add(report.owner.rpartition("/")[2], Priority.USER)

    def _report_lost(self, resource: Resource, _: ObjectKey, report: StoredReport) -> None:
        if resource is CLUSTERINFRAASSESSMENTREPORTS:
            self.queue.add(report.owner.rpartition("/")[2], Priority.USER)

    # reconciling

    async def reconcile(self, name: str) -> float | None:
        """Take the one next step of the node; returns seconds until the next look."""
        node = self._informers.nodes.get(ObjectKey("", name))
        if node is None:
            self._jobs.running.slots.release(name)
            self._reports.forget(name)
            return None  # what there is of it belongs to it, and goes with it
        if self._reports.is_off:
            return None
        scan = self._records.get(name)
        if scan is None:
            scan = await self._records.write(name, {}, ownerReferences=[_owner_reference(node)])
        elif all(owner.uid != node.metadata.uid for owner in scan.metadata.owner_references):
            await self._records.delete(scan)  # of another node of that name
            return None  # until its end is observed
        inputs = self._gather(node, self._records.status(name) or NodeScanStatus())
        step, reason = decide(inputs, self._clock.now())
        if not isinstance(step, Start):
            self._jobs.release(name)  # a place in line that is not needed any more
        with bound_contextvars(because=reason.value):
            return await self._act(step, reason, node, scan, inputs)

    def _gather(self, node: ClusterNode, status: NodeScanStatus) -> Inputs:
        name = node.metadata.name
        policy = Policy(
            report_ttl=spread_ttl(self._settings.reports.ttl_seconds, name),
            job_deadline=job_deadline(self._settings.scan_job.timeout_seconds),
            pod_patience=_POD_PATIENCE,
        )
        return Inputs(
            status,
            why_not(node, self._settings),
            self._jobs.of(name),
            policy,
            reported=self._reports.is_current(node, status),
            untried=not self._reports.failed_before(name, status),
        )

    async def _act(
        self, step: Step, reason: Reason, node: ClusterNode, scan: NodeScan, inputs: Inputs
    ) -> float | None:
        name, status = node.metadata.name, inputs.status
        match step:
            case Wait(seconds):
                return seconds
            case Collect():
                await self._collect(node, status, inputs.policy)
            case Reap(overdue, refused):
                await self._reap(node, status, overdue=overdue, refused=refused)
                return None  # until its end is observed
            case Start(priority):
                status = replace(status, scan_reason=reason.value)
                if not await self._start(node, scan, status, priority):
                    return None  # until a slot is free
            case Evaluate():
                return await self._evaluate(node, status)
            case SkipNode(skip):
                await self._skip(node, status, skip)
            case Settle():
                await self._records.save(name, nodescan.recovered(status))
        return 0.0

    # steps

    async def _start(
        self, node: ClusterNode, scan: NodeScan, status: NodeScanStatus, priority: Priority
    ) -> bool:
        """Create the Job, if there is a slot."""
        name = node.metadata.name
        if not self._jobs.running.slots.acquire(name, priority):
            if status.phase is not Phase.QUEUED:
                await self._records.save(name, nodescan.queued(status))
            return False
        why: Failure | None = None
        uid = ""
        try:
            why = await self._jobs.forbidden()
            if why is None:
                platform = await self._platform()
                uid = await self._jobs.create(node, platform=platform, scan_uid=scan.metadata.uid)
        except (AlreadyExistsError, ForbiddenError):
            raise  # the one before is still on its way out; or we may not, which says nothing about the node
        except (TerminalError, WebhookError) as error:
            why = explained(FailureClass.ADMISSION, str(error))
        finally:
            if not uid:
                self._jobs.release(name)
        now = self._clock.now()
        if why is not None:
            await self._outcomes.failed(node, nodescan.attempted(status, now=now), why)
            return True
        self._metrics.jobs.inc()
        log.info("node_collector_job_created", node=name, job=uid)
        await self._records.save(name, nodescan.started(status, uid, now=now))
        return True

    async def _platform(self) -> str:
        if not self._git_version:
            self._git_version = (await self._api.version()).get("gitVersion", "")
        return detect_platform(self._git_version, self.names(), openshift=self._openshift)

    async def _collect(self, node: ClusterNode, status: NodeScanStatus, policy: Policy) -> None:
        """Read what a Job that has ended printed."""
        name = node.metadata.name
        job = self._jobs.observed(name)
        if job is None:
            return
        now = self._clock.now()
        uid = job.metadata.uid
        if status.job != uid:  # its creation was the last thing a former life did
            status = nodescan.started(status, uid, now=now)
        result = await self._read(job)
        if isinstance(result, Failure):
            await self._outcomes.failed(node, status, result)
            return
        await self._outcomes.read(name, status, result, policy)

    async def _read(self, job: CollectorJob) -> Failure | NodeInfo:
        uid = job.metadata.uid
        try:
            result = await self._jobs.read(job)
        except TransientError as error:
            if not self._log_patience.is_over(uid):
                raise
            result = explained(FailureClass.INTERRUPTED, f"the collector's log cannot be read: {error}")
        except ForbiddenError:
            raise  # the Job stays until somebody lets us read it
        except TerminalError as error:
            result = explained(FailureClass.INTERRUPTED, f"the collector's log cannot be read: {error}")
        self._log_patience.forget(uid)
        return result

    async def _reap(self, node: ClusterNode, status: NodeScanStatus, *, overdue: bool, refused: bool) -> None:
        name = node.metadata.name
        job, obstacle = self._jobs.of(name), self._jobs.running.obstacle(name)
        if job is None:
            return
        try:
            await self._jobs.delete(name, job.uid)
        except TerminalError as error:
            log.warning("node_collector_job_not_deleted", node=name, error=str(error))
            self.queue.add(name, Priority.REFRESH)  # no event will say that it ended
        if not (overdue or refused):
            return
        if status.job != job.uid:
            status = nodescan.started(status, job.uid, now=self._clock.now())
        if refused and obstacle is not None:
            why = explain_reason(obstacle.reason, obstacle.message)
            await self._outcomes.failed(node, status, why)
        elif refused:
            words = f"no pod could be made in the namespace {self._jobs.namespace} within a minute"
            await self._outcomes.failed(node, status, explained(FailureClass.ADMISSION, words))
        else:
            minutes = round(self._settings.scan_job.timeout_seconds / 60, 1)
            words = f"the collector did not end within {minutes} minutes"
            await self._outcomes.failed(node, status, explained(FailureClass.TIMEOUT, words))

    async def _evaluate(self, node: ClusterNode, status: NodeScanStatus) -> float | None:
        """Have what was read checked, and write the report."""
        name = node.metadata.name
        info = status.info
        if info is None:  # not what we wrote
            await self._records.save(name, replace(status, node_info="", info_hash=""))
            return 0.0
        basis = self._reports.basis(status)
        unmade = await self._reports.make(node, status, info)
        if unmade is not None:
            await self._outcomes.unreported(node, status, unmade)
            return 0.0
        if not self._reports.is_current(node, status):  # other checks meanwhile, or no place for the report
            return _REFUSED_SECONDS if self._reports.basis(status) == basis else 0.0
        if status.audit_failed:
            await self._records.save(name, nodescan.recovered(status))
        return 0.0

    async def _skip(self, node: ClusterNode, status: NodeScanStatus, skip: Skip) -> None:
        name = node.metadata.name
        if skip.for_good:
            await self._reports.delete(node)
        await self._records.save(name, nodescan.skipped(status, skip))
        log.info("node_skipped", node=name, why=skip.why.value)


def _owner_reference(node: ClusterNode) -> dict[str, object]:
    """What makes an object of a node go with it."""
    owner = {"apiVersion": NODES.api_version, "kind": NODES.kind, "name": node.metadata.name}
    return {**owner, "uid": node.metadata.uid, "blockOwnerDeletion": False, "controller": True}
