"""Kubelet: registers a Node, and brings each Pod that is bound to it to where it should be.

Pods that the selector picks get processes (``podrun``); all others cost one status write, or two if they
are of a Job, which is then told that they have succeeded.

Promises: when ``run`` has ended, however it ended, no process is left and the root directory is empty.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from trivyop.control.backoff import exponential
from trivyop.control.clock import Clock
from trivyop.control.controller import work
from trivyop.control.queue import WorkQueue
from trivyop.errors import ConflictError, TerminalError, TransientError
from trivyop.kube.client import Api
from trivyop.kube.events import EventRecorder
from trivyop.kube.informer import Informer
from trivyop.kube.resources import PODS, ObjectKey
from trivyop.sandbox.changes import Json
from trivyop.sandbox.kubelet.faults import Faults
from trivyop.sandbox.kubelet.images import PULL_FAILED, ImagePullError, ImageResolver, back_off_message
from trivyop.sandbox.kubelet.logs import MAX_BYTES, ContainerLog
from trivyop.sandbox.kubelet.logserver import LogServer, NoLogError
from trivyop.sandbox.kubelet.machine import HOST_IP, Machine
from trivyop.sandbox.kubelet.node import NodeRegistration
from trivyop.sandbox.kubelet.podrun import PodRun
from trivyop.sandbox.kubelet.pods import (
    BoundPod,
    RunSelector,
    Task,
    images_of,
    pretended_status,
    scan_pods,
    task_for,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from trivyop.sandbox.pki import Pki

log = structlog.get_logger(__name__)

_WORKERS = 8
_MAX_RUNNING = 64  # Pods with processes at once; more wait
_JOB_SECONDS = 1.0  # how long a Pod of a Job that is not run here seems to work
_PULL_AGAIN_SECONDS = (10.0, 300.0)
RESTARTED = "The node agent was restarted, and the Pod's processes ended with it"
CRASHED = "The node agent failed to look after the Pod"


class Kubelet:
    """One node; ``run`` it."""

    def __init__(
        self,
        api: Api,
        *,
        node_name: str,
        root_dir: Path,
        pki: Pki,
        images: ImageResolver,
        platform: str = "linux/amd64",
        run_selector: RunSelector = scan_pods,
        api_url: str = "",
        clock: Clock | None = None,
        faults: Faults | None = None,
        labels: Mapping[str, str] | None = None,
        max_log_bytes: int = MAX_BYTES,
        programs_first: Path | None = None,
        max_running: int = _MAX_RUNNING,
        job_seconds: float = _JOB_SECONDS,
        port: int = 0,
    ) -> None:
        self.node_name = node_name
        self.faults = faults or Faults()
        self._clock = clock or api.clock
        self._events = EventRecorder(api, "kubelet", instance=node_name, clock=self._clock)
        self._machine = Machine(
            api,
            self._clock,
            images,
            root_dir,
            platform,
            api_url,
            self.faults,
            max_log_bytes,
            programs_first,
            self._events,
        )
        self._selector = run_selector
        self._labels = labels or {}
        self._job_seconds = job_seconds
        self._slots = asyncio.Semaphore(max_running)
        self._queue: WorkQueue[ObjectKey] = WorkQueue(self._clock, base_seconds=0.1, max_seconds=30)
        self._pods: Informer[BoundPod] = Informer(
            api, PODS, BoundPod, field_selector=f"spec.nodeName={node_name}"
        )
        self._pods.add_handler(self._pod_changed)
        self._runs: dict[str, PodRun] = {}  # by uid, until the Pod's object is gone
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._running_since: dict[str, float] = {}
        self._pull_failures: dict[str, int] = {}
        self._addresses = 0
        self._logs = LogServer(pki, node_name, self._find_log, self._clock, port=port)
        self.ready = asyncio.Event()

    async def run(self) -> None:
        """Be a node until cancelled."""
        async with self._own_root(), self._logs, asyncio.TaskGroup() as group:
            node = NodeRegistration(self.node_name, self._machine, self._logs.port, self._labels)
            await node.register()
            group.create_task(node.keep_alive(), name="node")
            group.create_task(self._pods.run(), name="informer/pods")
            group.create_task(self._events.run(), name="events")
            await self._pods.wait_synced()
            for n in range(_WORKERS):
                group.create_task(
                    work(self._queue, lambda key: self._reconcile(key, group), name="kubelet"),
                    name=f"kubelet/{n}",
                )
            self.ready.set()
            try:
                await asyncio.Event().wait()
            finally:
                self._queue.shut_down(drain=False)
                self._events.stop()
                await node.leave()

    @asynccontextmanager
    async def _own_root(self) -> AsyncGenerator[None, None]:
        root = self._machine.root
        root.mkdir(parents=True, exist_ok=True)
        try:
            yield
        finally:
            for entry in root.iterdir():
                shutil.rmtree(entry, ignore_errors=True)

    async def wait_idle(self) -> None:
        """Wait until no Pod has processes."""
        while self._tasks:
            await asyncio.wait(tuple(self._tasks.values()))

    async def _reconcile(self, key: ObjectKey, group: asyncio.TaskGroup) -> float | None:
        pod = self._pods.store.get(key)
        if pod is None:
            return None
        uid = pod.metadata.uid
        task = task_for(pod, selected=self._selector(pod), runs=uid in self._tasks, ran=uid in self._runs)
        match task:
            case Task.RUN:
                await self._start(key, uid, group)
            case Task.PRETEND:
                return await self._pretend(pod)
            case Task.COMPLETE:
                return await self._complete(pod)
            case Task.STOP:
                grace = pod.metadata.deletion_grace_period_seconds
                self._runs[uid].stop(None if grace is None else float(grace))
            case Task.REMOVE:
                await self._machine.api.delete(PODS, key, uid=uid, grace_seconds=0)
            case Task.LOST:
                await self._report_lost(key, uid, RESTARTED)
            case Task.NOTHING:
                pass
        return None

    # Pods with processes

    async def _start(self, key: ObjectKey, uid: str, group: asyncio.TaskGroup) -> None:
        document = await self._machine.api.get_dict(PODS, key)
        if document is None or document["metadata"]["uid"] != uid or uid in self._runs:
            return
        run = PodRun(self._machine, document)
        self._runs[uid] = run
        self._tasks[uid] = group.create_task(self._live(run), name=f"pod/{key}")

    async def _live(self, run: PodRun) -> None:
        try:
            async with self._slots:
                await run.run()
        except Exception:  # a bug of ours costs this Pod, not the node
            log.exception("pod_crashed", pod=str(run.key))
            with suppress(TransientError, TerminalError):
                await self._report_lost(run.key, run.uid, CRASHED)
        finally:
            self._tasks.pop(run.uid, None)
            pod = self._pods.store.get(run.key)
            if pod is None or pod.metadata.uid != run.uid:
                self._forget(run.uid)
            self._queue.add(run.key)

    def _forget(self, uid: str) -> None:
        self._running_since.pop(uid, None)
        self._pull_failures.pop(uid, None)
        run = self._runs.get(uid)
        if run is None:
            return
        if uid in self._tasks:
            run.stop(0)  # the object is gone: nobody waits for it to end well
        else:
            del self._runs[uid]
            run.remove()

    async def _report_lost(self, key: ObjectKey, uid: str, message: str) -> None:
        status: Json = {"phase": "Failed", "reason": "ContainerStatusUnknown", "message": message}
        await self._write(key, uid, status)

    # Pods without

    async def _pretend(self, pod: BoundPod) -> float | None:
        answers: dict[str, str | tuple[str, str]] = {}
        failures = self._pull_failures.get(pod.metadata.uid, 0)
        failed = False
        for image in images_of(pod):
            try:
                answers[image] = await self._machine.images.resolve(image, self._machine.platform)
            except ImagePullError as error:
                failed = True
                text = back_off_message(image, error)
                told = failures and error.reason == PULL_FAILED
                answers[image] = ("ImagePullBackOff", text) if told else (error.reason, str(error))
        self._addresses += 1
        status = pretended_status(
            pod,
            answers,
            stamp=self._machine.stamp(),
            host_ip=HOST_IP,
            pod_ip=f"10.88.{self._addresses // 254 % 256}.{self._addresses % 254 + 1}",
        )
        await self._write(pod.metadata.key, pod.metadata.uid, status)
        if not failed:
            self._running_since[pod.metadata.uid] = self._clock.monotonic()
            return self._job_seconds if pod.of_job else None
        self._pull_failures[pod.metadata.uid] = failures + 1
        if not failures:
            return 1.0  # the failure itself shows for a moment, then the back-off does
        first, longest = _PULL_AGAIN_SECONDS
        return exponential(failures - 1, base_seconds=first, max_seconds=longest)

    async def _complete(self, pod: BoundPod) -> float | None:
        since = self._running_since.get(pod.metadata.uid, 0.0)
        left = since + self._job_seconds - self._clock.monotonic()
        if left > 0:
            return left
        answers: dict[str, str | tuple[str, str]] = {
            image: await self._machine.images.resolve(image, self._machine.platform)
            for image in images_of(pod)
        }
        status = pretended_status(
            pod, answers, stamp=self._machine.stamp(), host_ip=HOST_IP, pod_ip="", completed=True
        )
        await self._write(pod.metadata.key, pod.metadata.uid, status)
        return None

    async def _write(self, key: ObjectKey, uid: str, status: Json) -> None:
        patch = {"metadata": {"uid": uid}, "status": status}
        try:
            await self._machine.api.patch(PODS, key, patch, subresource="status")
        except ConflictError:
            return  # another Pod has the name by now, and its event is on the way

    # events and logs

    def _pod_changed(self, key: ObjectKey, old: BoundPod | None, new: BoundPod | None) -> None:
        if old is not None and (new is None or new.metadata.uid != old.metadata.uid):
            self._forget(old.metadata.uid)
        if new is not None:
            self._queue.add(key)

    def _find_log(self, namespace: str, name: str, container: str, previous: bool) -> ContainerLog | None:
        pod = self._pods.store.get(ObjectKey(namespace, name))
        if pod is None:
            raise NoLogError(f'pod "{name}" not found')
        run = self._runs.get(pod.metadata.uid)
        names = {
            c.name for c in (*pod.spec.containers, *pod.spec.init_containers, *pod.spec.ephemeral_containers)
        }
        if container not in names:
            raise NoLogError(f'container "{container}" in pod "{name}" is not available')
        if run is None and (pod.finished or not self._selector(pod)):
            return None
        found = run.log_of(container, previous=previous) if run is not None else None
        if found is None and previous:
            raise NoLogError(f'previous terminated container "{container}" in pod "{name}" not found', 400)
        if found is None:
            text = f'container "{container}" in pod "{name}" is waiting to start: ContainerCreating'
            raise NoLogError(text, 400)
        return found
