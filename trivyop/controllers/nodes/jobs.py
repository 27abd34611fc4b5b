"""Collector Jobs in the cluster: made, watched over, read, and removed; one per node.

A Job holds its slot from just before it is created until it has ended or is gone. How long it runs is counted
here, by a clock that nobody sets.

Promises: at most one Job per node, across restarts, because it has the node's name. What a pod printed is
read up to a limit, and is whole and understood, or there is a failure that says why.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

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
from trivyop.controllers.ahead import Ahead
from trivyop.controllers.informers import Informers
from trivyop.controllers.jobpods import pod_of, told, why_it_waits
from trivyop.controllers.starting import Obstacle, Starts, Stuck
from trivyop.errors import DeniedError, ForbiddenError, TerminalError, outlasts_a_start
from trivyop.kube.client import Api
from trivyop.kube.objects import Object
from trivyop.kube.resources import JOBS, NAMESPACES, ObjectKey
from trivyop.scan.slots import Slots
from trivyop.settings import Settings
from trivyop.trivy.failures import Failure, FailureClass
from trivyop.workload.nodes import ClusterNode

_POD_FAILED = "BackoffLimitExceeded"  # why the pod failed, only it could tell


@dataclass(slots=True)
class _Held:
    """A Job that runs."""

    uid: str
    since: float  # when we first knew of it, by the monotonic clock
    had_pod: bool = False


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
        self.slots = Slots(settings.node_collector.concurrency_limit, changed)
        self.namespace = CollectorPlace.of(settings).namespace
        self._api = api
        self._informers = informers
        self._settings = settings
        self._clock = clock
        self._changed = changed
        self._held: dict[str, _Held] = {}
        self._ignored: set[str] = set()  # uids of those that we deleted
        self._starts = Starts(informers.node_pods, informers.start_notices, clock, self._start_changed)
        self._made = Ahead[str, CollectorJob](informers.node_jobs, lost=lambda _, node: self._lost(node))

    def listen(self) -> None:
        """Begin to look at what changes; call it once all stores are filled."""
        self._informers.node_jobs.add_handler(self._job_changed)
        self._starts.listen()

    def __contains__(self, node: str) -> bool:
        return node in self._held

    def of(self, node: str) -> JobView | None:
        """The Job of a node: the one that runs, else the one that has ended."""
        held = self._held.get(node)
        if held is not None:
            age = timedelta(seconds=self._clock.monotonic() - held.since)
            stuck = self.stuck(node)
            return JobView(
                held.uid,
                finished=False,
                age=age,
                lonely=timedelta() if held.had_pod else age,
                stuck=None if stuck is None else stuck.age,
            )
        job = self.observed(node)
        if job is None or job.going or job.metadata.uid in self._ignored:
            return None
        return JobView(job.metadata.uid, finished=job.finished)

    def stuck(self, node: str) -> Stuck | None:
        """What keeps the pod of the Job that runs from starting, if something is known to."""
        held = self._held.get(node)
        return None if held is None else self._starts.stuck(held.uid)

    def obstacle(self, node: str) -> Obstacle | None:
        """Whatever is said of the pod of the Job that runs, also what may pass by itself."""
        held = self._held.get(node)
        return None if held is None else self._starts.obstacle(held.uid)

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
        self._held[name] = _Held(uid, self._clock.monotonic())
        observed = self.observed(name)
        if observed is None or observed.metadata.uid != uid:
            self._made.put(self._key(name), name)
        elif observed.finished:  # the informer was faster than the answer
            self._ended(name, uid)
        return uid

    async def delete(self, node: str, uid: str) -> None:
        """Delete a Job; it does not count from then on, whatever the informer still has.

        One that cannot be deleted for good does not count either; one that cannot be now still does.
        """
        try:
            await self._api.delete(JOBS, self._key(node), uid=uid)
        except TerminalError:
            self._ignore(node, uid)
            raise
        self._ignore(node, uid)

    def _ignore(self, node: str, uid: str) -> None:
        there = self.observed(node)
        if there is not None and there.metadata.uid == uid:
            self._ignored.add(uid)
        self._ended(node, uid)

    def release(self, node: str) -> None:
        """Give back the slot of a node, or its place in line, unless its Job runs."""
        if node not in self._held:
            self.slots.release(node)

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
            return explain_exit(ended.exit_code, told(ended), ended.message)
        log = bytearray()
        limit = LOG_LIMIT_BYTES + 1
        async with self._api.logs(pod.key, CONTAINER_NAME, limit_bytes=limit) as chunks:
            async for chunk in chunks:
                log += chunk[: limit - len(log)]
        try:
            return await asyncio.to_thread(read_info, bytes(log))
        except NodeInfoError as error:
            return explained(error.failure_class, str(error))

    # events

    def _job_changed(self, key: ObjectKey, old: CollectorJob | None, new: CollectorJob | None) -> None:
        job = new or old
        assert job is not None  # noqa: S101 - a change has a before or an after
        node, uid = job.node, job.metadata.uid
        if key.name != collector_job_name(node):
            return  # not one of ours
        if new is None:
            self._ignored.discard(uid)
        if new is None or new.going or new.finished:
            self._ended(node, uid)
            self._changed(node, Priority.RETRY)
            return
        held = self._held.get(node)
        if held is None or held.uid != uid:
            held = self._held[node] = _Held(uid, self._clock.monotonic())
            self.slots.hold(node)
        held.had_pod = held.had_pod or new.suspended or new.status.active > 0
        self._changed(node, Priority.BACKLOG)

    def _start_changed(self, key: ObjectKey, uid: str) -> None:
        """A pod of some Job changed, or an Event says why it has none."""
        job = self._informers.node_jobs.get(key)
        held = None if job is None else self._held.get(job.node)
        if job is not None and held is not None and held.uid == uid:
            held.had_pod = held.had_pod or self._starts.has_pod(uid)
            self._changed(job.node, Priority.RETRY)

    def _lost(self, node: str) -> None:
        """A Job that we made was gone before the informer observed it."""
        held = self._held.get(node)
        if held is not None:
            self._ended(node, held.uid)
        self._changed(node, Priority.RETRY)

    def _ended(self, node: str, uid: str) -> None:
        held = self._held.get(node)
        self._starts.forget(uid)
        if held is not None and held.uid == uid:
            del self._held[node]
            self.slots.release(node)

    def _key(self, node: str) -> ObjectKey:
        return ObjectKey(self.namespace, collector_job_name(node))
