"""Child processes: bounded in time and output, and gone afterwards."""

from __future__ import annotations

import asyncio
import os
import select
import sys
from contextlib import suppress
from pathlib import Path
from typing import IO

import pytest

from trivyop.trivy.failures import FailureClass, ScanError
from trivyop.trivy.process import ERROR_TAIL_BYTES, Completed, run_program

ENVIRONMENT = {"PATH": os.environ["PATH"]}


async def run(code: str, directory: Path, *, timeout_seconds: float = 30, limit: int = 10_000) -> Completed:
    return await run_program(
        [sys.executable, "-c", code],
        environment=ENVIRONMENT,
        directory=str(directory),
        timeout_seconds=timeout_seconds,
        output_limit_bytes=limit,
    )


async def test_output_and_errors_come_apart(tmp_path: Path) -> None:
    done = await run("import sys; print('result'); print('chatter', file=sys.stderr); sys.exit(3)", tmp_path)

    assert done == Completed(3, b"result\n", "chatter\n")


async def test_only_the_end_of_errors_is_kept(tmp_path: Path) -> None:
    done = await run("import sys; sys.stderr.write('x' * 1_000_000 + 'the end')", tmp_path)

    assert len(done.errors) == ERROR_TAIL_BYTES
    assert done.errors.endswith("the end")


async def test_signal_is_told_as_shells_tell_it(tmp_path: Path) -> None:
    done = await run("import os; os.kill(os.getpid(), 9)", tmp_path)

    assert done.exit_code == 137


async def test_environment_is_what_was_given(tmp_path: Path) -> None:
    """Nothing of the operator's own environment, where its secrets are, gets through."""
    done = await run("import os; print(sorted(set(os.environ) - {'LC_CTYPE'}), os.getcwd())", tmp_path)

    assert done.output.decode() == f"['PATH'] {tmp_path}\n"


async def test_slow_program_is_stopped(tmp_path: Path) -> None:
    with pytest.raises(ScanError, match="took more than") as caught:
        await run("import time; time.sleep(600)", tmp_path, timeout_seconds=0.1)

    assert caught.value.failure.failure_class is FailureClass.TIMEOUT


HAS_A_CHILD = """\
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
open("started", "w").write(f"{os.getpid()} {child.pid}")
time.sleep(600)
"""


async def test_cancelled_run_leaves_no_process_behind(tmp_path: Path) -> None:
    """Nor a grandchild, which holds the pipes: if it lived on, reading would never end."""
    os.mkfifo(tmp_path / "started")
    task = asyncio.create_task(run(HAS_A_CHILD, tmp_path))
    pids = (await asyncio.to_thread((tmp_path / "started").read_text)).split()

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert not is_running(int(pids[0]))
    await asyncio.to_thread(_wait_until_gone, int(pids[1]))


@pytest.mark.parametrize("steps", range(12))
async def test_run_that_is_cancelled_while_it_is_started_leaves_no_process_behind(
    tmp_path: Path, steps: int
) -> None:
    os.mkfifo(tmp_path / "started")
    task = asyncio.create_task(run(HAS_A_CHILD, tmp_path))
    for _ in range(steps):
        await asyncio.sleep(0)
    pids = _started(tmp_path)  # while the event loop is no further than that

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    for pid in pids:
        await asyncio.to_thread(_wait_until_gone, pid)
    assert not any(is_running(pid) for pid in pids)


async def test_endless_output_is_stopped(tmp_path: Path) -> None:
    with pytest.raises(ScanError, match="printed more than 10000 bytes") as caught:
        await run("while True: print('x' * 1000)", tmp_path)

    assert caught.value.failure.failure_class is FailureClass.TOO_LARGE


async def test_missing_program_is_a_failure_with_a_class(tmp_path: Path) -> None:
    with pytest.raises(ScanError, match="cannot run /nowhere/trivy") as caught:
        await run_program(
            ["/nowhere/trivy"], environment=ENVIRONMENT, directory=str(tmp_path), timeout_seconds=1
        )

    assert caught.value.failure.failure_class is FailureClass.SCANNER_IMAGE


def is_running(pid: int) -> bool:
    """A zombie that nobody reaps (the grandchild of a killed parent, in a container) does not run."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def _started(directory: Path) -> list[int]:
    """The program in this directory and its child, once there is that; none if there is no program yet."""
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    if not any(_place(pid) == str(directory) for pid in children):
        return []
    return list(map(int, (directory / "started").read_text().split()))


def _place(pid: str) -> str:
    with suppress(FileNotFoundError):
        return os.readlink(f"/proc/{pid}/cwd")
    return ""


def _wait_until_gone(pid: int) -> None:
    """A signal was sent; the kernel delivers it in its time. The time limit of tests bounds this."""
    try:
        watched = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        select.select([watched], [], [])
    finally:
        os.close(watched)


async def test_output_can_go_to_a_file(tmp_path: Path) -> None:
    with (tmp_path / "output").open("w+b") as output:
        done = await run_program(
            [sys.executable, "-c", "print('result')"],
            environment=ENVIRONMENT,
            directory=str(tmp_path),
            timeout_seconds=30,
            output=output,
        )

    assert done == Completed(0, b"", "")
    assert (tmp_path / "output").read_bytes() == b"result\n"


def full_file() -> IO[bytes]:
    return Path("/dev/full").open("wb", buffering=0)


async def test_program_that_prints_to_a_full_disk_is_ended_and_said_so(tmp_path: Path) -> None:
    with full_file() as full, pytest.raises(ScanError) as caught:
        await run_program(
            ["/bin/sh", "-c", "while :; do echo more; done"],
            environment={},
            directory=str(tmp_path),
            timeout_seconds=30,
            output=full,
        )

    assert caught.value.failure.failure_class is FailureClass.DISK
    assert "No space left on device" in caught.value.failure.message
