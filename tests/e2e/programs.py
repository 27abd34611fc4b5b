"""kubectl and trivyop as users run them: programs, with what they print."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.patience import patience
from trivyop.sandbox.programs import kubectl

TRIVYOP = Path(sys.executable).parent / "trivyop"
ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Done:
    """A program that has ended."""

    code: int
    out: str
    err: str


async def run(*command: str | Path, seconds: float = 90, cwd: Path | None = None, **environ: str) -> Done:
    """Run a program to its end; it fails the test if that takes too long."""
    async with started(*command, cwd=cwd, **environ) as process, patience(seconds):
        out, err = await process.communicate()
    return Done(process.returncode or 0, out.decode(), err.decode())


@asynccontextmanager
async def started(
    *command: str | Path, cwd: Path | None = None, **environ: str
) -> AsyncGenerator[asyncio.subprocess.Process]:
    """A program that runs during the block, and no longer."""
    process = await asyncio.create_subprocess_exec(
        *map(str, command),
        cwd=cwd,
        env={**_environment(), **environ},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,  # a Ctrl-C of ours is not its
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.communicate()


def _environment() -> Mapping[str, str]:
    kept = ("PATH", "LANG", "TMPDIR")
    return {"HOME": "/nonexistent", **{name: os.environ[name] for name in kept if name in os.environ}}


class Kubectl:
    """kubectl with one kubeconfig; a call raises ``AssertionError`` if it fails."""

    def __init__(self, directory: Path, kubeconfig: Mapping[str, Any] | Path) -> None:
        if isinstance(kubeconfig, Path):
            self.kubeconfig = kubeconfig
        else:
            self.kubeconfig = directory / "kubeconfig"
            self.kubeconfig.write_text(yaml.safe_dump(dict(kubeconfig)))
        self._home = directory

    async def try_(self, *arguments: str | Path, seconds: float = 60) -> Done:
        """Run it, whatever comes of it."""
        environ = {"KUBECONFIG": str(self.kubeconfig), "HOME": str(self._home)}
        return await run(kubectl(), *arguments, seconds=seconds, **environ)

    async def __call__(self, *arguments: str | Path, seconds: float = 60) -> Done:
        done = await self.try_(*arguments, seconds=seconds)
        assert done.code == 0, f"kubectl {' '.join(map(str, arguments))}: {done.code}\n{done.out}{done.err}"
        return done


def left_of(directory: Path) -> Sequence[str]:
    """What a program that lived in a directory has left: files, and processes."""
    return [*map(str, directory.iterdir()), *processes_of(directory)]


def processes_of(directory: Path) -> Sequence[str]:
    """The command lines of processes that have anything to do with a directory: place or environment."""
    mark = str(directory).encode()
    found: list[str] = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with suppress(OSError):  # gone meanwhile
            command = (entry / "cmdline").read_bytes()
            place = os.readlink(entry / "cwd").encode()
            if mark in command or mark in place or mark in (entry / "environ").read_bytes():
                found.append(command.replace(b"\0", b" ").decode())
    return found
