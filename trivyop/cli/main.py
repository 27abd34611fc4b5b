"""The program `trivyop`: reads arguments, runs a command, turns errors into one line and an exit code.

Exit codes: 0 done, 1 failed, 2 wrong arguments, 130 interrupted.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Iterator, Sequence
from typing import cast

from trivyop import __version__
from trivyop.cli import demo, run, sandbox, status
from trivyop.errors import TerminalError, TransientError

_COMMANDS = (run, status, sandbox, demo)
_EXPECTED = (TerminalError, TransientError, OSError)  # OSError: files and addresses that cannot be used


def build_parser() -> argparse.ArgumentParser:
    """The arguments of all commands."""
    parser = argparse.ArgumentParser(
        prog="trivyop", description="Kubernetes security operator: keeps Trivy reports up to date."
    )
    parser.add_argument("--version", action="version", version=f"trivyop {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for module in _COMMANDS:
        module.add_command(commands)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that the arguments name; returns the exit code."""
    given = build_parser().parse_args(arguments)
    try:
        return asyncio.run(given.command(given))
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # whoever read our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        errors = list(_leaves(error))
        if not all(isinstance(one, _EXPECTED) for one in errors):
            raise  # a bug of ours
        for message in dict.fromkeys(_message(one) for one in errors):
            print(f"trivyop: {message}", file=sys.stderr)
        return 1


def _message(error: Exception) -> str:
    """The message for users; errors of the system come without their number."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error) or type(error).__name__


def _leaves(error: Exception) -> Iterator[Exception]:
    """The errors in a group of a group; an error that is none is itself."""
    if isinstance(error, ExceptionGroup):
        for inner in cast("ExceptionGroup[Exception]", error).exceptions:
            yield from _leaves(inner)
    else:
        yield error


if __name__ == "__main__":
    sys.exit(main())
