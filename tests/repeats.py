"""Repeats: a run of Trivy over the very same files is made once in a process, and told again from then on.

Policies are tried on the same samples in each test, and what comes with a cluster is audited in each.
What Trivy says then is what it said before: it is given the same files, arguments and environment, and has
no other input.

Promises: what is told again is what the real Trivy said, the file with its results included. Runs that fail
or do not end by themselves, that wait for their files, that read anything outside their directory, or that
are of another program are made each time.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from trivyop.audit import command
from trivyop.audit.standby import PIPE
from trivyop.sandbox.programs import trivy
from trivyop.trivy.process import Completed

Run = Callable[..., Awaitable[Completed]]


class Repeats:
    """In the place of ``run_program``."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._known: dict[bytes, tuple[str, Completed, bytes]] = {}

    async def __call__(self, argv: Sequence[str], *, directory: str, **options: Any) -> Completed:
        if not _is_closed(argv, directory):
            return await self._run(argv, directory=directory, **options)
        key = await asyncio.to_thread(_digest, argv, options["environment"], directory)
        result = Path(directory) / command.RESULT
        if key in self._known:
            former, done, printed = self._known[key]
            await asyncio.to_thread(result.write_bytes, printed)
            return replace(done, errors=done.errors.replace(former, directory))
        done = await self._run(argv, directory=directory, **options)
        if done.exit_code == 0:
            self._known[key] = directory, done, await asyncio.to_thread(result.read_bytes)
        return done


def _is_closed(argv: Sequence[str], directory: str) -> bool:
    """Whether it is an audit by Trivy that depends on nothing but its directory."""
    if str(trivy()) not in argv or argv[-1] != command.INPUTS or "--cache-dir" not in argv:
        return False
    if (Path(directory) / command.INPUTS / PIPE).is_fifo():
        return False
    return argv[argv.index("--cache-dir") + 1].startswith(f"{directory}/")


def _digest(argv: Sequence[str], environment: dict[str, str], directory: str) -> bytes:
    digest = hashlib.sha256()
    words = [*argv, *(f"{name}={value}" for name, value in sorted(environment.items()))]
    for word in words:
        digest.update(word.replace(directory, "@").encode() + b"\0")
    place = Path(directory)
    for file in sorted(path for path in place.rglob("*") if path.is_file()):
        data = file.read_bytes()
        digest.update(f"{file.relative_to(place)}\0{len(data)}\0".encode() + data)
    return digest.digest()
