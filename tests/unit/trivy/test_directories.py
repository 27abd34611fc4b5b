"""Private directories: gone afterwards, and swept when whoever had them was killed."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

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
