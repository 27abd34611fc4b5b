"""The program: errors that people can cause are one line each, ours are tracebacks."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from trivyop.cli import status
from trivyop.cli.main import main
from trivyop.errors import ForbiddenError, TransientError

Failing = Callable[[BaseException], None]

WITHOUT_EXTRA = """
import sys
sys.modules["cryptography"] = None  # as if it were not installed
from trivyop.cli.main import main
sys.exit(main(sys.argv[1:]))
"""
IMPORTED = """
import sys
import trivyop.cli.main
print("\\n".join(sys.modules))
"""


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Failing:
    """Make `trivyop status` fail in a given way."""

    def fail_with(error: BaseException) -> None:
        async def failing_status(_: argparse.Namespace) -> int:
            raise error

        monkeypatch.setattr(status, "status", failing_status)

    return fail_with


def python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ForbiddenError("list pods: 403 no"), ["list pods: 403 no"]),
        (TransientError("the server is away"), ["the server is away"]),
        (TimeoutError(), ["TimeoutError"]),
        (FileNotFoundError(2, "No such file or directory", "ca.crt"), ["ca.crt: No such file or directory"]),
        (OSError(98, "address in use"), ["address in use"]),
        (
            ExceptionGroup("tasks", [TransientError("a"), ExceptionGroup("more", [TransientError("b")])]),
            ["a", "b"],
        ),
        (ExceptionGroup("tasks", [TransientError("a"), TransientError("a")]), ["a"]),
    ],
)
def test_expected_error_is_told_in_a_line_of_its_own(
    failing: Failing, capsys: pytest.CaptureFixture[str], error: Exception, said: list[str]
) -> None:
    failing(error)

    assert main(["status"]) == 1
    assert capsys.readouterr().err.splitlines() == [f"trivyop: {line}" for line in said]


@pytest.mark.parametrize(
    "error", [ValueError("a bug"), ExceptionGroup("tasks", [TransientError("a"), KeyError("a bug")])]
)
def test_bug_is_not_hidden(failing: Failing, error: Exception) -> None:
    failing(error)

    with pytest.raises(type(error)) as caught:
        main(["status"])

    assert caught.value is error


def test_interrupt_has_the_exit_code_of_shells(failing: Failing) -> None:
    failing(KeyboardInterrupt())

    assert main(["status"]) == 130


@pytest.mark.parametrize(
    "arguments", [[], ["nope"], ["sandbox", "--listen", "nope"], ["demo", "--timeout", "0"]]
)
def test_wrong_arguments_are_refused_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)

    assert caught.value.code == 2
    assert "error: " in capsys.readouterr().err


@pytest.mark.parametrize("command", ["demo", "sandbox"])
def test_missing_extra_is_named(command: str, tmp_path: Path) -> None:
    done = python(WITHOUT_EXTRA, command, "--kubeconfig", str(tmp_path / "kubeconfig"))

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "trivyop: this command needs the extra 'sandbox', and cryptography is missing: "
        "pip install 'trivyop[sandbox]'\n"
    )


def test_version_needs_no_extra() -> None:
    done = python(WITHOUT_EXTRA, "--version")

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("trivyop ")


def test_program_starts_without_the_sandbox() -> None:
    """The operator's image has none of its dependencies, and no use for its memory."""
    imported = python(IMPORTED).stdout.splitlines()

    assert "trivyop.app" in imported
    assert not any(name.startswith(("trivyop.sandbox", "cryptography")) for name in imported)
