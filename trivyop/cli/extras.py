"""Extras: parts of trivyop whose dependencies are installed on request only."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from trivyop.errors import TerminalError


@contextmanager
def needs_extra(extra: str) -> Generator[None]:
    """For imports in the block: ``TerminalError``, saying what helps, if a package is missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "trivyop":
            raise
        raise TerminalError(
            f"this command needs the extra '{extra}', and {error.name} is missing: "
            f"pip install 'trivyop[{extra}]'"
        ) from error
