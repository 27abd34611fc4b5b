"""Kubeconfig files of sandboxes: written for as long as the sandbox runs, and never over somebody else's."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import yaml

from trivyop.errors import TerminalError

_SANDBOX = "sandbox"  # the name of the cluster in every kubeconfig of a sandbox


@contextmanager
def kubeconfig_file(path: Path, document: dict[str, Any]) -> Generator[None]:
    """Have the credentials in a file that only its owner may read; it goes with the block.

    One that an earlier sandbox left behind is replaced. Raises ``TerminalError`` for any other file.
    """
    if path.exists() and not _is_of_a_sandbox(path):
        raise TerminalError(f"--kubeconfig {path}: there is another cluster's kubeconfig, or no kubeconfig")
    text = yaml.safe_dump(document, sort_keys=False)
    made = _missing_parents(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600, exist_ok=True)
    path.chmod(0o600)
    path.write_text(text)
    try:
        yield
    finally:
        with suppress(OSError):  # somebody took it away, or a later sandbox wrote its own
            if path.read_text() == text:
                path.unlink()
                for directory in made:
                    directory.rmdir()


def _missing_parents(path: Path) -> list[Path]:
    """The directories that have to be made, innermost first."""
    return [parent for parent in path.parents if not parent.exists()]


def _is_of_a_sandbox(path: Path) -> bool:
    try:
        document: Any = yaml.safe_load(path.read_text())
        return document is None or [one["name"] for one in document["clusters"]] == [_SANDBOX]
    except (yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError):
        return False
