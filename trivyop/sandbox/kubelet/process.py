"""Process: one program in a process group of its own, with its output in a log.

Promises: when ``wait`` has returned, nothing of the group is left, however it came to its end, cancellation
included. A process that leaves its group (``setsid``) is out of reach; its hold on the output does not keep
``wait`` waiting.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Self

from trivyop.sandbox.kubelet.logs import ContainerLog

_CHUNK = 64 * 1024
_DRAIN_SECONDS = 5.0


class StartError(Exception):
    """The program cannot be started; the message is the runtime's."""


class Process:
    """A running program."""

    def __init__(self, process: asyncio.subprocess.Process, pumps: asyncio.Future[tuple[None, None]]) -> None:
        self._process = process
        self._pumps = pumps

    @property
    def pid(self) -> int:
        """Also the id of its process group."""
        return self._process.pid

    @classmethod
    async def start(
        cls,
        command: Sequence[str],
        environment: Mapping[str, str],
        directory: Path,
        log: ContainerLog,
        now: Callable[[], datetime],
    ) -> Self:
        """Start ``command``; raises ``StartError`` if there is no such program."""
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                cwd=directory,
                env=dict(environment),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
            )
        except FileNotFoundError as error:
            raise StartError(
                f'failed to create containerd task: exec: "{command[0]}": executable file not found in $PATH'
            ) from error
        except (OSError, ValueError) as error:
            raise StartError(f'failed to create containerd task: exec: "{command[0]}": {error}') from error
        pumps = asyncio.gather(
            _pump(process.stdout, "stdout", log, now), _pump(process.stderr, "stderr", log, now)
        )
        return cls(process, pumps)

    async def wait(self) -> int:
        """Wait for the program's end; returns its exit code, 128 and the signal's number if a signal
        ended it.
        """
        try:
            code = await self._process.wait()
            self.signal(signal.SIGKILL)  # a container ends with its first process
            with suppress(TimeoutError):
                async with asyncio.timeout(_DRAIN_SECONDS):
                    await asyncio.shield(self._pumps)
        finally:
            self.signal(signal.SIGKILL)
            self._pumps.cancel()
            with suppress(asyncio.CancelledError):
                await self._pumps
            if self._process.returncode is None:
                await self._process.wait()
            _close(self._process)
        return code if code >= 0 else 128 - code

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the whole group, if there is anything left of it."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)


async def _pump(
    stream: asyncio.StreamReader | None, name: str, log: ContainerLog, now: Callable[[], datetime]
) -> None:
    while stream is not None and (data := await stream.read(_CHUNK)):
        log.write(name, data, now())


def _close(process: asyncio.subprocess.Process) -> None:
    """Close the pipes now: a process that left the group may hold their other ends open for ever."""
    transport = getattr(process, "_transport", None)  # asyncio offers no public way
    if transport is not None:
        transport.close()
