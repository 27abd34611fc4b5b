"""Running Trivy as a child process: with a deadline, bounded output, and nothing left behind.

Promises: when ``run_program`` returns or raises, for cancellation too, the process is gone, and what it
started. Beyond its limit, error output is dropped from the front, and other output is an error.
Not here: what the exit code means (``failures.py``), which arguments to give (``scan.localtrivy``).
"""

from __future__ import annotations

import asyncio
import io
import os
import signal
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import IO

from trivyop.trivy.failures import FailureClass, ScanError, failure

ERROR_TAIL_BYTES = 4096
OUTPUT_LIMIT_BYTES = 64 * 1024 * 1024
_READ_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Completed:
    """A process that ended by itself."""

    exit_code: int  # 128 + signal when a signal ended it, as shells count
    output: bytes  # if it was not sent elsewhere
    errors: str  # the last of them, up to the limit


class Brake:
    """Makes a program stand still, so that another one has its core, and lets it go on.

    It serves one program at a time; pulled before there is one, the next program starts standing still.
    """

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._scope: asyncio.Timeout | None = None
        self._left: float | None = None  # seconds, while it stands still
        self._pulled = False

    @property
    def pulled(self) -> bool:
        return self._pulled

    def pull(self) -> None:
        """Stop the program where it is."""
        if not self._pulled:
            self._pulled = True
            self._hold()

    def release(self) -> None:
        """Let it go on."""
        if not self._pulled:
            return
        self._pulled = False
        if self._process is not None and self._scope is not None and self._left is not None:
            self._scope.reschedule(asyncio.get_running_loop().time() + self._left)
            self._left = None
            _signal_group(self._process, signal.SIGCONT)

    @asynccontextmanager
    async def on(self, process: asyncio.subprocess.Process, scope: asyncio.Timeout) -> AsyncGenerator[None]:
        """Serve this program, with this deadline, for the block."""
        self._process, self._scope, self._left = process, scope, None
        if self._pulled:
            self._hold()
        try:
            yield
        finally:
            self._process = self._scope = self._left = None

    def _hold(self) -> None:
        if self._process is None or self._scope is None or self._process.returncode is not None:
            return
        when = self._scope.when()
        if when is None or self._scope.expired():
            return  # it is being killed
        self._left = when - asyncio.get_running_loop().time()
        self._scope.reschedule(None)
        _signal_group(self._process, signal.SIGSTOP)


async def run_program(
    argv: Sequence[str],
    *,
    environment: Mapping[str, str],
    directory: str,
    timeout_seconds: float | None,
    output_limit_bytes: int = OUTPUT_LIMIT_BYTES,
    output: IO[bytes] | None = None,
    errors_limit_bytes: int = ERROR_TAIL_BYTES,
    brake: Brake | None = None,
) -> Completed:
    """Run a program to its end in ``directory``, with no more environment than is given.

    What it prints goes to ``output``, or is in the answer if there is none. While ``brake`` is pulled the
    program stands still, and that time does not count. Without a timeout, the caller sees to its end.
    ``ScanError`` when it cannot be started, takes too long, or prints more than the limit. An exit code other
    than 0 is the caller's to judge.
    """
    process = await _start(argv, environment, directory)
    try:
        async with (
            asyncio.timeout(timeout_seconds) as scope,
            (brake or Brake()).on(process, scope),
            asyncio.TaskGroup() as group,
        ):
            kept = io.BytesIO()
            printed = group.create_task(
                _copy_all(process, argv[0], kept if output is None else output, output_limit_bytes),
                name="output",
            )
            errors = group.create_task(_read_tail(process.stderr, errors_limit_bytes), name="errors")
            code = await process.wait()
    except TimeoutError:
        raise timed_out(argv[0], timeout_seconds or 0.0) from None
    finally:
        if process.returncode is None:
            _kill_group(process)
            await process.wait()
    problem = printed.result()
    if problem is not None:
        raise problem
    return Completed(code if code >= 0 else 128 - code, kept.getvalue(), errors.result())


async def _start(
    argv: Sequence[str], environment: Mapping[str, str], directory: str
) -> asyncio.subprocess.Process:
    starting = asyncio.create_task(
        asyncio.create_subprocess_exec(
            *argv,
            cwd=directory,
            env=dict(environment),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,  # its own process group, to be killed as one
        ),
        name="start",
    )
    try:
        return await asyncio.shield(starting)
    except OSError as error:
        missing = isinstance(error, (FileNotFoundError, PermissionError))
        why = FailureClass.SCANNER_IMAGE if missing else FailureClass.INTERRUPTED  # files, memory, processes
        raise _error(why, f"cannot run {argv[0]}: {error.strerror}") from error
    except asyncio.CancelledError:  # asyncio would kill the process alone, and wait for what it started
        with suppress(OSError):
            process = await starting
            _kill_group(process)
            await process.wait()
        raise


def timed_out(name: str, seconds: float) -> ScanError:
    """What is wrong with a program that took longer than it may."""
    return _error(FailureClass.TIMEOUT, f"{name} took more than {seconds:g} s")


def _error(failure_class: FailureClass, message: str) -> ScanError:
    error = ScanError(message)
    error.failure = failure(failure_class, message)
    return error


async def _copy_all(
    process: asyncio.subprocess.Process, name: str, output: IO[bytes], limit: int
) -> ScanError | None:
    """Copy all that the process prints; answers with why that cannot be, and then it is killed."""
    size = 0
    while process.stdout is not None and (chunk := await process.stdout.read(_READ_BYTES)):
        size += len(chunk)
        if size > limit:
            _kill_group(process)
            return _error(FailureClass.TOO_LARGE, f"{name} printed more than {limit} bytes")
        try:
            output.write(chunk)
        except OSError as error:
            _kill_group(process)
            return _error(FailureClass.DISK, f"no room for what {name} prints: {error.strerror}")
    return None


async def _read_tail(stream: asyncio.StreamReader | None, limit: int) -> str:
    tail = b""
    while stream is not None and (chunk := await stream.read(_READ_BYTES)):
        tail = (tail + chunk)[-limit:]
    return tail.decode("utf-8", "replace")


def _kill_group(process: asyncio.subprocess.Process) -> None:
    """Kill the process and what it started; Trivy has nothing to save."""
    _signal_group(process, signal.SIGKILL)


def _signal_group(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    if process.returncode is None:  # else its number may be somebody else's by now
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
