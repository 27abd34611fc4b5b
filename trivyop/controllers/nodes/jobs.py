"""Collector Jobs in the cluster: made, watched over, read, and removed; one per node.

A Job holds its slot from just before it is created until it has ended or is gone. How long it runs is counted
here, by a clock that nobody sets.

Promises: at most one Job per node, across restarts, because it has the node's name. What a pod printed is
read up to a limit, and is whole and understood, or there is a failure that says why.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from trivyop.audit.nodes.failures import explain_exit, explain_reason, explained, forbidden_by
from trivyop.audit.nodes.info import LOG_LIMIT_BYTES, NodeInfo, NodeInfoError, read_info
from trivyop.audit.nodes.job import (
    CONTAINER_NAME,
    CollectorJob,
    CollectorPlace,
    build_collector_job,
    collector_job_name,
)
from trivyop.audit.nodes.lifecycle import JobView
from trivyop.control.clock import Clock
from trivyop.control.queue import Priority
from trivyop.controllers.informers import Informers
from trivyop.controllers.jobpods import pod_of, telling_reason, why_it_waits
from trivyop.controllers.runningjobs import RunningJobs
from trivyop.errors import DeniedError, ForbiddenError, TerminalError, outlasts_a_start
from trivyop.kube.client import Api
from trivyop.kube.objects import Object
from trivyop.kube.resources import JOBS, NAMESPACES, ObjectKey
from trivyop.scan.slots import Slots
from trivyop.settings import Settings
from trivyop.trivy.failures import Failure, FailureClass
from trivyop.workload.nodes import ClusterNode

_POD_FAILED = "BackoffLimitExceeded"  # why the pod failed, only the pod says


class NodeJobs:
    """The Jobs that read nodes, by the name of the node."""

    def __init__(
        self,
        api: Api,
        informers: Informers,
        settings: Settings,
        clock: Clock,
        changed: Callable[[str, Priority], None],
    ) -> None:
        """`changed` is called with a node whose Job came, ended or went, or may be made now."""
        self.namespace = CollectorPlace.of(settings).namespace
        self._api = api
        self._informers = informers
        self._settings = settings
        self.running = RunningJobs(
            informers.node_jobs,
            informers.node_pods,
            informers.start_notices,
            Slots(settings.node_collector.concurrency_limit, changed),
            clock,
            owner_of=_node_of,
            changed=lambda node: changed(node, Priority.RETRY),
        )

    def of(self, node: str) -> JobView | None:
        """The Job of a node: the one that runs, else the one that has ended."""
        running = self.running.get(node)
        if running is not None:
            return JobView(
                running.uid,
                finished=False,
                age=running.age,
                lonely=running.lonely,
                stuck=running.stuck,
            )
        job = self.observed(node)
        if job is None or not self.running.counts(job):
            return None
        return JobView(job.metadata.uid, finished=job.finished)

    def observed(self, node: str) -> CollectorJob | None:
        """The Job as the informer observed it last."""
        return self._informers.node_jobs.get(self._key(node))

    async def forbidden(self) -> Failure | None:
        """Why collectors can not run in their namespace, as far as its labels tell."""
        try:
            there = await self._api.get(NAMESPACES, ObjectKey("", self.namespace), Object)
        except (DeniedError, ForbiddenError) as error:
            if not outlasts_a_start(error):
                raise
            return None  # then it shows when there is no pod
        return forbidden_by(self.namespace, (there.metadata.labels if there else None) or {})

    async def create(self, node: ClusterNode, *, platform: str, scan_uid: str) -> str:
        """Create the Job of a node whose slot is held; returns its uid."""
        name = node.metadata.name
        job = build_collector_job(node, self._settings, platform=platform, scan_uid=scan_uid)
        created = await self._api.create(JOBS, job)
        uid: str = created["metadata"]["uid"]
        self.running.made(name, self._key(name), uid)
        return uid

    async def delete(self, node: str, uid: str) -> None:
        """Delete a Job; it does not count from then on, whatever the informer still has.

        One that cannot be deleted for good does not count either; one that cannot be now still does.
        """
        try:
            await self._api.delete(JOBS, self._key(node), uid=uid)
        except TerminalError:
            self.running.drop(node, self._key(node))
            raise
        self.running.drop(node, self._key(node))

    def release(self, node: str) -> None:
        """Give back the slot of a node, or its place in line, unless its Job runs."""
        if node not in self.running:
            self.running.slots.release(node)

    # what it printed

    async def read(self, job: CollectorJob) -> NodeInfo | Failure:
        """Read what a Job that has ended says of its node. Raises ``TransientError``."""
        pod = await pod_of(self._api, job.key)
        condition = job.failed
        if pod is None:
            if condition is not None and condition.reason != _POD_FAILED:
                return explain_reason(condition.reason, condition.message)
            return explained(FailureClass.INTERRUPTED, "the collector's pod was gone before it was read")
        ended = pod.ended(CONTAINER_NAME)
        if ended is None:
            waiting = next(filter(None, map(why_it_waits, pod.status.container_statuses)), None)
            for why in (waiting, pod.status, condition):
                if why is not None and why.reason:
                    return explain_reason(why.reason, why.message)
            return explained(FailureClass.INTERRUPTED, "the collector's pod ended without running")
        if ended.exit_code != 0:
            return explain_exit(ended.exit_code, telling_reason(ended), ended.message)
        log = bytearray()
        limit = LOG_LIMIT_BYTES + 1
        async with self._api.logs(pod.key, CONTAINER_NAME, limit_bytes=limit) as chunks:
            async for chunk in chunks:
                log += chunk[: limit - len(log)]
        try:
            return await asyncio.to_thread(read_info, bytes(log))
        except NodeInfoError as error:
            return explained(error.failure_class, str(error))

    def _key(self, node: str) -> ObjectKey:
        return ObjectKey(self.namespace, collector_job_name(node))


def _node_of(job: CollectorJob) -> str:
    """The node that a Job reads, if it has the name that we give it."""
    return job.node if job.metadata.name == collector_job_name(job.node) else ""
