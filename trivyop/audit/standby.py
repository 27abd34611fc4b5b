"""Standby: a Trivy that has loaded its checks and waits for resources, so that a change is audited at once.

Nearly all of a run for a few resources goes into loading checks, the same every time. When they are loaded,
and before it lists what it is to scan, Trivy looks for the git repository of that: it reads ``.git`` there.
Here that is a named pipe, which Trivy waits at until somebody opens it; meanwhile the resources are put
beside it.

Promises: there is one at most, none for longer than the settings say after the last wish, and nothing is left
of it at the end. Whether a Trivy waits at all decides how long a run takes, never what comes out of it: one
that does not has ended by the time it is needed, and the run starts another.
Not here: when one is wished for, and which runs have one (``auditor.py``); the command (``command.py``).
"""

from __future__ import annotations

import asyncio
import errno
import math
import os
import stat
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeAlias

import structlog

from trivyop.audit.policies import Policies
from trivyop.control.clock import Clock
from trivyop.trivy.directories import private_directory
from trivyop.trivy.failures import ScanError
from trivyop.trivy.process import Completed, timed_out

log = structlog.get_logger(__name__)

PIPE: Final = ".git"
POLL_SECONDS: Final = 0.02  # whether it waits yet; there is no event for that
PATIENCE_SECONDS: Final = 5.0  # what loads for longer than this is no reason to hold up runs
RETRY_SECONDS: Final = 600.0

Start: TypeAlias = Callable[["Wish", Path], Coroutine[Any, Any, Completed]]
"""Runs Trivy to its end, in this directory, over the inputs that it has by the time Trivy looks for them."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What checks to have loaded."""

    policies: Policies
    cluster_version: str


@dataclass(slots=True, eq=False)
class Waiting:
    """A Trivy that waits for its resources, or is about to."""

    program: str
    wish: Wish
    directory: Path
    inputs: Path
    since: float
    process: asyncio.Task[Completed]
    left: ExitStack
    _pipe: int | None = field(default=None, init=False)

    @property
    def loaded(self) -> bool:
        return self._pipe is not None

    def look(self) -> None:
        """See whether it waits by now; ``OSError`` if that cannot be seen."""
        try:
            self._pipe = os.open(self.inputs / PIPE, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            if error.errno != errno.ENXIO:  # nobody reads there yet
                raise

    async def finish(self, timeout_seconds: float) -> Completed | None:
        """Have it audit what is in ``inputs`` by now; None if it failed: it may have ended while it waited.

        ``ScanError`` at the deadline, ``OSError`` if there are no more files.
        """
        if not self.loaded:  # it may come to the pipe just now, and has to get past it
            self._pipe = os.open(self.inputs / PIPE, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        ended = self.process.done()
        (self.inputs / PIPE).unlink()
        self._close()
        done, _ = await asyncio.wait((self.process,), timeout=timeout_seconds)
        if not done:
            raise timed_out(self.program, timeout_seconds)
        if ended or self.process.exception() is not None or self.process.result().exit_code != 0:
            return None
        return self.process.result()

    async def end(self) -> None:
        """Leave nothing of it; a cancellation is put off until then, which is soon for a killed process."""
        cancelled: asyncio.CancelledError | None = None
        with self.left:
            self.process.cancel()
            while not self.process.done():
                try:
                    await asyncio.wait((self.process,))
                except asyncio.CancelledError as error:
                    cancelled = error
            self._close()
            if not self.process.cancelled():
                self.process.exception()  # whoever wanted to know does
        if cancelled is not None:
            raise cancelled

    def _close(self) -> None:
        if self._pipe is not None:
            os.close(self._pipe)
            self._pipe = None


class Standby:
    """Keeps a Trivy ready while one is wished for. ``run`` has to run beside it, else there is none."""

    def __init__(
        self, program: str, start: Start, *, lay_out: Callable[[Wish, Path], Path], keep_seconds: float
    ):
        """``lay_out`` puts into a directory what Trivy needs there, and says where the resources go."""
        self._program = program
        self._start = start
        self._lay_out = lay_out
        self._keep_seconds = keep_seconds
        self._clock: Clock | None = None
        self._changed: Callable[[], None] = lambda: None
        self._wish: Wish | None = None
        self._until = self._retry = -math.inf  # when it is wished for no more, and may be tried again
        self._waiting: Waiting | None = None
        self._loading = False
        self._wake = asyncio.Event()
        self._settled = asyncio.Event()

    @property
    def loading(self) -> bool:
        """Whether there is none that has loaded its checks, but soon will be."""
        return self._loading

    def wish(self, wish: Wish) -> None:
        """Have one ready, from now until some time after the last wish."""
        if self._clock is None:
            return
        self._wish = wish
        self._until = self._clock.monotonic() + self._keep_seconds
        if self._waiting is None or self._waiting.wish != wish:
            self._expect()
        self._wake.set()

    @asynccontextmanager
    async def taken(self, wish: Wish) -> AsyncGenerator[Waiting | None]:
        """One for a run, as soon as it has loaded these checks; None if none will have soon."""
        while self._loading and wish == self._wish:
            await self._settled.wait()
        waiting = self._waiting
        if waiting is None or waiting.wish != wish or waiting.process.done():
            yield None
            return
        self._waiting = None
        self._expect()
        self._wake.set()
        try:
            yield waiting
        finally:
            await waiting.end()

    async def run(self, clock: Clock, changed: Callable[[], None]) -> None:
        """Keep one until cancelled; ``changed`` is called when ``loading`` changes."""
        self._clock, self._changed = clock, changed
        try:
            while True:
                self._wake.clear()
                now = clock.monotonic()
                try:
                    await self._tend(now)
                except (OSError, ScanError) as error:
                    self._retry = now + RETRY_SECONDS
                    self._set_loading(False)
                    log.info("audit_standby_failed", reason=str(error), retry_seconds=RETRY_SECONDS)
                await self._sleep(clock, POLL_SECONDS if self._is_on_its_way() else self._until - now)
        finally:
            self._clock = None
            self._set_loading(False)
            await self._drop()

    def _is_wanted(self, now: float) -> bool:
        return self._retry <= now < self._until

    def _expect(self) -> None:
        """There is none with these checks; will there be one?"""
        self._set_loading(self._clock is not None and self._is_wanted(self._clock.monotonic()))

    def _set_loading(self, loading: bool) -> None:
        if loading != self._loading:
            self._loading = loading
            if loading:
                self._settled.clear()
            else:
                self._settled.set()
            self._changed()

    async def _sleep(self, clock: Clock, seconds: float) -> None:
        timer = clock.call_later(seconds, self._wake.set) if seconds > 0 else None
        try:
            await self._wake.wait()
        finally:
            if timer is not None:
                timer.cancel()

    def _is_on_its_way(self) -> bool:
        return self._waiting is not None and not self._waiting.loaded

    async def _tend(self, now: float) -> None:
        """Start, watch or end the one there is. ``OSError`` or ``ScanError`` if it is of no use."""
        waiting = self._waiting
        if waiting is not None:
            if waiting.process.done():
                await self._drop()
                done = waiting.process.result()
                words = done.errors.strip().rpartition("\n")[2]
                raise ScanError(
                    f"{self._program} did not wait: exit code {done.exit_code}: {words}".rstrip(": ")
                )
            if not self._is_wanted(now):
                self._set_loading(False)
                await self._drop()
            elif waiting.wish != self._wish:
                await self._drop()
            elif not waiting.loaded:
                try:
                    waiting.look()
                except OSError:
                    await self._drop()
                    raise
                if waiting.loaded or now >= waiting.since + PATIENCE_SECONDS:
                    self._set_loading(False)
        if self._is_wanted(now) and self._waiting is None and self._wish is not None:
            self._waiting = await self._begin(self._wish, now)

    async def _begin(self, wish: Wish, now: float) -> Waiting:
        with ExitStack() as stack:
            directory = stack.enter_context(private_directory("audit"))
            inputs = await asyncio.to_thread(self._lay_out, wish, directory)
            os.mkfifo(inputs / PIPE, stat.S_IRUSR | stat.S_IWUSR)
            process = asyncio.create_task(self._start(wish, directory), name="audit/standby")
            process.add_done_callback(lambda _: self._wake.set())
            return Waiting(self._program, wish, directory, inputs, now, process, stack.pop_all())

    async def _drop(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            with suppress(OSError):
                await waiting.end()
