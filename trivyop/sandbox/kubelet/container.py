"""Container: one container of a Pod that runs here, from its image to its last exit.

``supervise`` starts it, and starts it again as the restart policy says, with the back-off of a crash loop.
What it is up to shows in ``status``; ``changed`` is called after each change.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from contextlib import aclosing, suppress
from pathlib import Path

from trivyop.control.backoff import exponential
from trivyop.errors import TerminalError, TransientError
from trivyop.sandbox.changes import Json
from trivyop.sandbox.kubelet.faults import OUT_OF_MEMORY, Fault, Kind
from trivyop.sandbox.kubelet.images import PULL_FAILED, FamiliarName, ImagePullError, back_off_message
from trivyop.sandbox.kubelet.launch import Launch, prepare
from trivyop.sandbox.kubelet.logs import ContainerLog
from trivyop.sandbox.kubelet.machine import Machine
from trivyop.sandbox.kubelet.probes import readiness
from trivyop.sandbox.kubelet.process import Process, StartError
from trivyop.sandbox.kubelet.sources import ConfigMissingError
from trivyop.sandbox.kubelet.statuses import Container, Running, Terminated, Waiting, container_id
from trivyop.sandbox.kubelet.volumes import Volumes

SHOW_SECONDS = 1.0  # for which a failure itself shows, before the back-off does
PULL_SECONDS = (10.0, 300.0)  # back-off: first and longest
RESTART_SECONDS = (10.0, 300.0)
SOUND_SECONDS = 600.0  # a run this long makes up for all crashes before it
CONFIG_SECONDS = 5.0
MESSAGE_BYTES = 4096
FALLBACK = (80, 2048)  # lines and bytes of the log that make a termination message


class ContainerRun:
    """One container; ``stopping`` keeps it from starting again."""

    def __init__(
        self,
        machine: Machine,
        pod: Json,
        spec: Json,
        directory: Path,
        changed: Callable[[], None],
        stopping: asyncio.Event,
        fault: Fault | None = None,
    ) -> None:
        self.spec = spec
        self.status = Container(spec["name"], spec["image"])
        self.log: ContainerLog | None = None
        self.previous_log: ContainerLog | None = None
        self.started = asyncio.Event()
        self._machine = machine
        self._pod = pod
        self._directory = directory
        self._changed = changed
        self._stopping = stopping
        self._fault = fault
        self._process: Process | None = None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to whatever runs of it."""
        if self._process is not None:
            self._process.signal(number)

    async def supervise(self, policy: str, volumes: Volumes) -> None:
        """Run until it has ended for good, or the Pod stops."""
        attempt = 0
        while not self._stopping.is_set():
            if not await self._pull():
                return
            began = self._machine.clock.monotonic()
            end = await self._run_once(volumes)
            if self._machine.clock.monotonic() - began >= SOUND_SECONDS:
                attempt = 0
            if end is None:
                return
            self._set(end)
            if policy == "Never" or (policy == "OnFailure" and end.exit_code == 0):
                return
            if attempt:
                first, longest = RESTART_SECONDS
                seconds = exponential(attempt - 1, base_seconds=first, max_seconds=longest)
                meta = self._pod["metadata"]
                name = f"{meta['name']}_{meta['namespace']}({meta['uid']})"
                text = f"back-off {seconds:.0f}s restarting failed container={self.status.name} pod={name}"
                self.status.last_state = end
                self._set(Waiting("CrashLoopBackOff", text))
                await self.pause(seconds)
            if not self._stopping.is_set():
                attempt += 1
                self.status.last_state = end
                self.status.restart_count += 1

    async def pause(self, seconds: float) -> None:
        """Wait, or until the Pod stops."""
        sleeping = asyncio.ensure_future(self._machine.clock.sleep(seconds))
        stopping = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait({sleeping, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleeping.cancel()
            stopping.cancel()

    async def _pull(self) -> bool:
        """Find out the image's digest; False if the Pod stopped before."""
        if self.status.image_id:
            return True
        image = self.spec["image"]
        seconds, longest = PULL_SECONDS
        while not self._stopping.is_set():
            try:
                digest = await self._machine.images.resolve(image, self._machine.platform)
            except ImagePullError as error:
                self._set(Waiting(error.reason, str(error)))
                await self.pause(SHOW_SECONDS)
                if error.reason == PULL_FAILED:
                    self._set(Waiting("ImagePullBackOff", back_off_message(image, error)))
                await self.pause(seconds)
                seconds = min(seconds * 2, longest)
            else:
                name = FamiliarName.parse(image)
                self.status.image = str(name)
                self.status.image_id = name.image_id(digest)
                return True
        return False

    async def _run_once(self, volumes: Volumes) -> Terminated | None:
        """One life of the process; None if there was none because the Pod stopped."""
        while True:
            try:
                launch = await prepare(
                    self._machine, self._pod, self.spec, self._directory, volumes, self._fault
                )
                break
            except (ConfigMissingError, TransientError, TerminalError) as error:
                self._set(Waiting("CreateContainerConfigError", str(error)))
                await self.pause(CONFIG_SECONDS)
            if self._stopping.is_set():
                return None
        self.previous_log = self.log
        run = self.status.restart_count
        self.log = log = ContainerLog(self._directory / "logs" / f"{run}.log", self._machine.max_log_bytes)
        self.status.container_id = container_id(self._pod["metadata"]["uid"], self.status.name, run)
        started_at = self._machine.stamp()
        now = self._machine.clock.now
        try:
            self._process = process = await Process.start(
                launch.command, launch.environment, launch.directory, log, now
            )
        except StartError as error:
            log.close(now())
            return self._ended(128, "StartError", started_at, str(error))
        except asyncio.CancelledError:
            log.close(now())
            raise
        self._set(Running(started_at))
        self.started.set()
        if self._fault is not None and self._fault.kind is Kind.OOM:
            process.signal(signal.SIGKILL)
        probing = asyncio.create_task(self._probe())
        try:
            code = await process.wait()
        finally:
            self._process = None
            probing.cancel()
            log.close(now())
            with suppress(asyncio.CancelledError):
                await probing
        reason = "Completed" if code == 0 else "Error"
        if self._fault is not None and self._fault.kind is Kind.OOM:
            reason = OUT_OF_MEMORY
        return self._ended(code, reason, started_at, self._message(code, launch, log))

    async def _probe(self) -> None:
        async with aclosing(readiness(self.spec, self._machine.clock)) as changes:
            async for ready in changes:
                self.status.ready = ready
                self._changed()

    def _message(self, code: int, launch: Launch, log: ContainerLog) -> str:
        with suppress(FileNotFoundError):
            if text := launch.termination_log.read_bytes()[:MESSAGE_BYTES].decode("utf-8", "replace"):
                return text
        if code and self.spec.get("terminationMessagePolicy") == "FallbackToLogsOnError":
            return log.tail(*FALLBACK)
        return ""

    def _ended(self, code: int, reason: str, started_at: str, message: str) -> Terminated:
        finished_at = self._machine.stamp()
        return Terminated(code, reason, started_at, finished_at, message, self.status.container_id)

    def _set(self, state: Waiting | Running | Terminated) -> None:
        self.status.state = state
        if not isinstance(state, Running):
            self.status.ready = False
        self._changed()
