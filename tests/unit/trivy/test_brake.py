"""A program can be held up, and its deadline with it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from trivyop.trivy.failures import ScanError
from trivyop.trivy.process import Brake, run_program


def state_of(pid: int) -> str:
    """ "R", "S", "T" for stopped, and so on."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


async def until_stopped(pid: int) -> None:
    while state_of(pid) != "T":  # noqa: ASYNC110 (the kernel sets no event)
        await asyncio.sleep(0)


async def started(tmp_path: Path, brake: Brake, seconds: float) -> tuple[asyncio.Task[object], int]:
    """A program that tells its number and then waits for a file to appear.

    It starts no other while it waits: a process that has just forked stands still in another state.
    """
    script = "echo $$ > pid.new; mv pid.new pid; while [ ! -e go ]; do :; done"
    task = asyncio.create_task(
        run_program(
            ["/bin/sh", "-c", script],
            environment={"PATH": "/usr/bin:/bin"},
            directory=str(tmp_path),
            timeout_seconds=seconds,
            brake=brake,
        )
    )
    while not (tmp_path / "pid").exists():  # noqa: ASYNC110 (a shell sets no event)
        await asyncio.sleep(0)
    return task, int((tmp_path / "pid").read_text())


async def test_held_up_program_goes_on_where_it_was(tmp_path: Path) -> None:
    brake = Brake()
    running, pid = await started(tmp_path, brake, 60)

    brake.pull()
    await until_stopped(pid)
    assert brake.pulled
    (tmp_path / "go").touch()
    brake.release()

    await running
    assert not brake.pulled


async def test_time_held_up_does_not_count(tmp_path: Path) -> None:
    """The deadline passes while it stands still, and comes after it goes on."""
    brake = Brake()
    running, pid = await started(tmp_path, brake, 0.5)
    brake.pull()
    await until_stopped(pid)
    done, _ = await asyncio.wait([running], timeout=0.6)
    assert not done

    brake.release()

    with pytest.raises(ScanError, match=r"took more than 0\.5 s"):
        await running


async def test_program_that_is_held_up_can_be_ended(tmp_path: Path) -> None:
    brake = Brake()
    running, pid = await started(tmp_path, brake, 60)
    brake.pull()
    await until_stopped(pid)

    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    with pytest.raises(FileNotFoundError):
        state_of(pid)
