"""The order of a run: what took longest begins first."""

from __future__ import annotations

import json
from pathlib import Path

from tests.durations import Durations


def recorded(tmp_path: Path, **seconds: float) -> Path:
    file = tmp_path / "durations.json"
    file.write_text(json.dumps({f"tests/unit/{name}.py": number for name, number in seconds.items()}))
    return file


def test_new_file_is_taken_for_as_long_as_most_of_its_folder(tmp_path: Path) -> None:
    durations = Durations(recorded(tmp_path, a=1, b=2, c=60))

    assert durations.expected("tests/unit/c.py") == 60
    assert durations.expected("tests/unit/new.py") == 2
    assert durations.expected("tests/other/new.py") == 0


def test_run_of_some_files_keeps_the_numbers_of_the_others(tmp_path: Path) -> None:
    file = recorded(tmp_path, ran=1, other=2, gone=3)
    for name in ("ran", "other"):
        (tmp_path / "tests" / "unit" / f"{name}.py").parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "tests" / "unit" / f"{name}.py").touch()

    durations = Durations(file)
    durations.add("tests/unit/ran.py", 0.2)
    durations.add("tests/unit/ran.py", 8.84)
    durations.write(tmp_path)

    assert json.loads(file.read_text()) == {"tests/unit/other.py": 2, "tests/unit/ran.py": 9.0}
