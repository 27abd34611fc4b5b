"""The program `trivyop`: reads arguments, runs a command, turns errors into one line and an exit code.

Exit codes: 0 done, 1 failed, 2 wrong arguments, 130 interrupted.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence

from trivyop import __version__
from trivyop.cli import demo, run, sandbox, status
from trivyop.errors import TerminalError, TransientError

_COMMANDS = (run, status, sandbox, demo)


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
    except (TerminalError, TransientError, TimeoutError) as error:
        print(f"trivyop: {error or type(error).__name__}", file=sys.stderr)
        return 1
