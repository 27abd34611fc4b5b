"""What the operator does without: room on its disk, and file descriptors."""

from __future__ import annotations

import asyncio
import os
import resource
import subprocess
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.e2e.harness import running_cluster, running_operator
from tests.e2e.looking import until_phase
from tests.faults.replicas import replica
from tests.faults.scanner import WITHOUT_DATABASE, Scanner, bare_pod, image, use_no_database
from tests.patience import patience

MANY = 10


@contextmanager
def full_disk(directory: Path) -> Generator[Path]:
    """A directory without room for anything: a tiny file system, or where we may not mount one, none."""
    directory.mkdir()
    mount = ["/usr/bin/env", "mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(directory)]
    mounted = subprocess.run(mount, capture_output=True, check=False)
    if mounted.returncode != 0:
        yield directory / "gone"
        return
    try:
        yield directory
    finally:
        subprocess.run(["/usr/bin/env", "umount", str(directory)], check=True)


async def test_result_without_room_on_the_disk_is_read_when_there_is_some(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The scan has done its work; a full disk here is no reason to do it again."""
    scanner = Scanner.install(tmp_path / "programs")
    scanner.pad(9 << 20)  # more than stays in memory
    async with running_cluster(tmp_path, programs_first=scanner.directory) as cluster:
        await cluster.create(bare_pod(0))
        with capture_logs() as logs, full_disk(tmp_path / "full") as full:
            monkeypatch.setattr(tempfile, "tempdir", str(full))
            async with running_operator(cluster, environ=WITHOUT_DATABASE):
                async with patience(60):
                    while not (told := [one for one in logs if "no room" in str(one.get("error"))]):  # noqa: ASYNC110
                        await asyncio.sleep(0.05)
                status = await until_phase(cluster, image(0), "Running")
                monkeypatch.undo()
                healed = await until_phase(cluster, image(0), "Succeeded")
                await cluster.until_reported("shop/Pod/w0/app")

    assert told[0]["event"] == "reconcile_deferred"
    assert status["attempts"] == healed["attempts"] == 1
    assert scanner.scanned().total() == 1


async def test_operator_out_of_file_descriptors_goes_on_more_slowly(tmp_path: Path) -> None:
    """Three more than it has in idleness must do, however many workloads come."""
    scanner = Scanner.install(tmp_path / "programs")
    async with running_cluster(tmp_path, programs_first=scanner.directory) as cluster:
        await use_no_database(cluster)
        async with replica(cluster, "poor") as poor:
            await poor.until_told("operator_running")
            files = len(os.listdir(f"/proc/{poor.process.pid}/fd")) + 3
            resource.prlimit(poor.process.pid, resource.RLIMIT_NOFILE, (files, files))

            await cluster.create(*(bare_pod(n) for n in range(MANY)))
            await cluster.until_reported(*(f"shop/Pod/w{n}/app" for n in range(MANY)), seconds=120)
            await cluster.until_settled()

            assert poor.process.returncode is None
            deferred = poor.told("reconcile_deferred")
            assert any("Too many open files" in line["error"] for line in deferred)
            assert not poor.told("reconcile_crashed")
    assert set(scanner.scanned().values()) == {1}
