"""PodRun: a Pod whose containers run as processes of this machine, from its volumes to its last status.

``run`` returns when the Pod has ended, by itself, by its deadline, or by ``stop``; its logs stay until
``remove``. Whatever changes is written to the API server by one writer that sends only the latest state.

Promises: when ``run`` has returned or was cancelled, no process of the Pod is left.
"""

from __future__ import annotations

import asyncio
import shutil
import signal
from contextlib import suppress

import structlog

from trivyop.control.clock import deadline
from trivyop.errors import ConflictError, TerminalError, TransientError
from trivyop.kube.resources import PODS, ObjectKey
from trivyop.sandbox.changes import Json, part, parts
from trivyop.sandbox.kubelet.container import ContainerRun
from trivyop.sandbox.kubelet.faults import EVICTED, Kind
from trivyop.sandbox.kubelet.launch import sources_of
from trivyop.sandbox.kubelet.logs import ContainerLog
from trivyop.sandbox.kubelet.machine import HOST_IP, Machine
from trivyop.sandbox.kubelet.sources import ConfigMissingError
from trivyop.sandbox.kubelet.statuses import (
    MANAGED_CONDITIONS,
    Container,
    PodFacts,
    Waiting,
    build_status,
)
from trivyop.sandbox.kubelet.volumes import Volumes, build_volumes

log = structlog.get_logger(__name__)

DEADLINE = ("DeadlineExceeded", "Pod was active on the node longer than the specified deadline")
MOUNT_SECONDS = 2.0
WRITE_SECONDS = 1.0
KILL_SECONDS = 10.0  # for the kernel to do it


class PodRun:
    """One Pod that runs here."""

    def __init__(self, machine: Machine, pod: Json) -> None:
        meta, spec = pod["metadata"], part(pod, "spec")
        self.key = ObjectKey(meta["namespace"], meta["name"])
        self.uid: str = meta["uid"]
        self.directory = machine.root / self.uid
        self._machine = machine
        self._pod = pod
        self._policy: str = spec.get("restartPolicy") or "Always"
        self._deadline: int | None = spec.get("activeDeadlineSeconds")
        self._grace = float(spec.get("terminationGracePeriodSeconds") or 30)
        self._stopping = asyncio.Event()
        self._stopped = False  # for good: nothing runs any more
        self._completed = False  # by itself
        self._ended: tuple[str, str] | None = None
        self._started_at = machine.stamp()
        self._changed = asyncio.Event()
        self._written: Json = {}
        self._gone = False
        self._mounted = False
        self._fault = machine.faults.of(pod)
        self._init = [self._container(c, init=True) for c in parts(spec, "initContainers")]
        self._main = [self._container(c, init=False) for c in parts(spec, "containers")]
        if self._init:
            for run in (*self._main, *self._init):
                run.status.state = Waiting("PodInitializing")

    def _container(self, spec: Json, *, init: bool) -> ContainerRun:
        fault = self._fault if self._fault is not None and self._fault.hits(spec["name"], init=init) else None
        directory = self.directory / "containers" / spec["name"]
        run = ContainerRun(
            self._machine, self._pod, spec, directory, self._changed.set, self._stopping, fault
        )
        run.status.sidecar = init and spec.get("restartPolicy") == "Always"
        return run

    def stop(self, grace_seconds: float | None = None) -> None:
        """End the Pod: SIGTERM, and SIGKILL when the grace period is over (None: the Pod's own)."""
        if grace_seconds is not None:
            self._grace = min(self._grace, grace_seconds) if self._stopping.is_set() else grace_seconds
        self._stopping.set()

    def log_of(self, container: str, *, previous: bool) -> ContainerLog | None:
        """The log of a container's present or last run, or of the one before; None if there was none."""
        run = next((r for r in (*self._init, *self._main) if r.spec["name"] == container), None)
        if run is None:  # an ephemeral one, which is not run
            return None
        return run.previous_log if previous else run.log

    def remove(self) -> None:
        """Delete what is left of it on disk."""
        shutil.rmtree(self.directory, ignore_errors=True)

    async def run(self) -> None:
        """Live; returns when the Pod has ended and its last status is written."""
        writer = asyncio.create_task(self._write_forever(), name=f"status/{self.key}")
        try:
            await self._live_and_stop()
        finally:
            for run in (*self._init, *self._main):
                run.signal(signal.SIGKILL)
            writer.cancel()
            with suppress(asyncio.CancelledError):
                await writer
            shutil.rmtree(self.directory / "volumes", ignore_errors=True)
        self._stopped = True
        await self._write_last()

    async def _live_and_stop(self) -> None:
        self._changed.set()
        timer = None
        if self._deadline is not None:
            timer = self._machine.clock.call_later(float(self._deadline), self._out_of_time)
        if self._fault is not None and self._fault.kind is Kind.EVICTED:
            self._ended = EVICTED
            self._stopping.set()
        living = asyncio.create_task(self._live(), name=f"pod/{self.key}")
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({living, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not living.done():
                await self._terminate(living)
            await asyncio.wait({living})
            if not living.cancelled() and (error := living.exception()) is not None:
                raise error
        finally:
            if timer is not None:
                timer.cancel()
            for task in (stopping, living):
                task.cancel()
            await asyncio.gather(stopping, living, return_exceptions=True)

    async def _live(self) -> None:
        volumes = await self._mount()
        if volumes is None:
            return
        async with asyncio.TaskGroup() as group:
            renewing = group.create_task(self._renew_tokens(volumes))
            sidecars: list[asyncio.Task[None]] = []
            for run in self._init:
                if run.status.sidecar:
                    sidecars.append(group.create_task(run.supervise("Always", volumes)))
                    await _first(run.started, self._stopping)
                    continue
                await run.supervise("Never" if self._policy == "Never" else "OnFailure", volumes)
                if not run.status.succeeded:
                    break
            else:
                async with asyncio.TaskGroup() as mains:
                    for run in self._main:
                        mains.create_task(run.supervise(self._policy, volumes))
            self._completed = not self._stopping.is_set()
            self._stopping.set()  # sidecars end with the others
            for run in self._init:
                run.signal(signal.SIGTERM)
            renewing.cancel()

    async def _mount(self) -> Volumes | None:
        while not self._stopping.is_set():
            try:
                sources = sources_of(self._machine, self._pod)
                volumes = await build_volumes(self._pod, self.directory / "volumes", sources)
            except (ConfigMissingError, TransientError, TerminalError) as error:
                log.info("volumes_missing", pod=str(self.key), error=str(error))
                self._machine.tell(self._pod, "FailedMount", str(error))
                await self._main[0].pause(MOUNT_SECONDS)
            else:
                self._mounted = True
                self._changed.set()
                return volumes
        return None

    async def _renew_tokens(self, volumes: Volumes) -> None:
        while (seconds := volumes.token_seconds) is not None:
            await self._machine.clock.sleep(seconds)
            try:
                await volumes.renew_tokens(sources_of(self._machine, self._pod))
            except (TransientError, TerminalError) as error:
                log.warning("token_not_renewed", pod=str(self.key), error=str(error))

    async def _terminate(self, living: asyncio.Task[None]) -> None:
        """Ask the processes to end, wait, and end them."""
        runs = (*self._init, *self._main)
        for number, seconds in ((signal.SIGTERM, self._grace), (signal.SIGKILL, KILL_SECONDS)):
            for run in runs:
                run.signal(number)
            if seconds <= 0:
                continue
            with suppress(TimeoutError):
                async with deadline(self._machine.clock, seconds):
                    await asyncio.wait({living})
            if living.done():
                return
        living.cancel()

    def _out_of_time(self) -> None:
        self._ended = DEADLINE
        self._stopping.set()

    # status

    def _status(self) -> Json:
        conditions = part(self._pod, "status").get("conditions") or ()
        before = part(self._written, "status").get("conditions")
        facts = PodFacts(
            restart_policy=self._policy,
            started_at=self._started_at,
            host_ip=HOST_IP,
            pod_ip=HOST_IP,
            conditions=before or [c for c in conditions if c["type"] not in MANAGED_CONDITIONS],
            alive=not self._stopped,
            mounted=self._mounted,
            stopped=self._stopped and not self._completed,
            ended=self._ended if self._stopped else None,
        )
        init: list[Container] = [run.status for run in self._init]
        main: list[Container] = [run.status for run in self._main]
        return build_status(facts, init, main, stamp=self._machine.stamp())

    async def _write_forever(self) -> None:
        while not self._gone:
            await self._changed.wait()
            self._changed.clear()
            try:
                await self._write()
            except TransientError as error:
                log.info("status_not_written", pod=str(self.key), error=str(error))
                self._changed.set()
                await self._machine.clock.sleep(WRITE_SECONDS)
            except TerminalError as error:
                log.warning("status_refused", pod=str(self.key), error=str(error))

    async def _write_last(self) -> None:
        while not self._gone:
            try:
                await self._write()
            except TransientError:
                await self._machine.clock.sleep(WRITE_SECONDS)
            except TerminalError as error:
                log.warning("status_refused", pod=str(self.key), error=str(error))
                return
            else:
                return

    async def _write(self) -> None:
        status = self._status()
        if status == self._written.get("status"):
            return
        patch = {"metadata": {"uid": self.uid}, "status": status}
        try:
            answer = await self._machine.api.patch(PODS, self.key, patch, subresource="status")
        except ConflictError:  # another Pod has the name by now
            answer = None
        if answer is None:
            self._gone = True
            self.stop(0)
        self._written = patch


async def _first(*events: asyncio.Event) -> None:
    """Wait for one of several events."""
    waiting = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()
