"""Private directories: gone afterwards, and swept when whoever had them was killed."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest

from tests.scarcity import no_more_files
from trivyop.trivy.directories import private_directory, sweep

OTHER_OPERATOR = """
import sys
from trivyop.trivy.directories import private_directory
with private_directory("audit") as directory:
    (directory / "policy.rego").write_text("package a")
    print(directory, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where directories are made here and by child processes."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


def test_directory_is_ours_alone_and_gone_afterwards(place: Path) -> None:
    with private_directory("audit") as directory:
        (directory / "file").write_text("x")
        assert directory.stat().st_mode & 0o777 == 0o700

    assert list(place.iterdir()) == []


def test_directory_goes_with_all_that_is_in_it(place: Path) -> None:
    """What links lead to stays."""
    (place / "precious").mkdir()
    (place / "precious/file").write_text("x")
    with private_directory("audit") as directory:
        (directory / "cache/db").mkdir(parents=True)
        (directory / "cache/db/trivy.db").write_text("x")
        (directory / "link").symlink_to(place / "precious")
        (directory / "broken").symlink_to(place / "nowhere")

    assert [path.name for path in place.iterdir()] == ["precious"]
    assert (place / "precious/file").exists()


def test_directory_that_cannot_be_locked_is_not_left_behind(place: Path) -> None:
    with no_more_files(), pytest.raises(OSError, match="Too many open files"), private_directory("audit"):
        pass

    assert list(place.iterdir()) == []


def test_directory_goes_with_the_one_file_that_may_still_be_opened(place: Path) -> None:
    """Its lock is one, and deleting takes no more than that at a time."""
    with private_directory("audit") as directory:
        (directory / "cache/db").mkdir(parents=True)
        (directory / "cache/db/trivy.db").write_text("x")
        spare: list[int] = []
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))) + 1, hard))
        with suppress(OSError):
            while True:
                spare.append(os.open(os.devnull, os.O_RDONLY))
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    for descriptor in spare:
        os.close(descriptor)

    assert list(place.iterdir()) == []


def test_directory_in_use_is_not_swept(place: Path) -> None:
    with private_directory("audit") as directory:
        assert sweep() == 0
        assert list(place.iterdir()) == [directory]


def test_what_a_killed_process_left_is_swept(place: Path) -> None:
    """Not before it is dead, and nothing else in that place."""
    (place / "somebody-elses").mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", OTHER_OPERATOR], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        directory = Path(other.stdout.readline().strip())
        assert sweep() == 0
        assert (directory / "policy.rego").exists()
        other.kill()

    assert sweep() == 1
    assert [path.name for path in place.iterdir()] == ["somebody-elses"]


def test_link_to_another_directory_is_left_alone(place: Path) -> None:
    (place / "precious").mkdir()
    (place / "trivyop-run-audit-link").symlink_to(place / "precious")

    assert sweep() == 0
    assert (place / "precious").exists()
