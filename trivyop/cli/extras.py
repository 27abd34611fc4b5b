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
        package = (error.name or "trivyop").partition(".")[0]
        if package == "trivyop":
            if error.name != "trivyop.sandbox":
                raise
            raise TerminalError(
                "this command needs the sandbox, which the operator's image does not have; "
                f"elsewhere: pip install 'trivyop[{extra}]'"
            ) from error
        raise TerminalError(
            f"this command needs the extra '{extra}', and {package} is missing: "
            f"pip install 'trivyop[{extra}]'"
        ) from error
