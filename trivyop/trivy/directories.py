"""Private directories: where one run of Trivy has its files, readable by us only.

Each is locked for as long as it is in use. The lock ends with the process, whatever ends that, so what an
operator that was killed left behind is known by its being free; a process id would not tell: in a container,
the next operator has the same.

Promises: what is in use is never swept, also by others that share the place. Nothing is left on disk at the
end of the block. Not here: what is written.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import structlog

log = structlog.get_logger(__name__)

_PREFIX: Final = "trivyop-run-"


@contextmanager
def private_directory(purpose: str) -> Generator[Path]:
    """An empty directory for the block; ``OSError`` if there is no room for it."""
    directory, lock = _make(f"{_PREFIX}{purpose}-")
    try:
        yield directory
    finally:
        os.close(lock)  # first, because deleting takes files as well, and there may be no more
        _delete(directory)


def sweep() -> int:
    """Delete the directories that nobody uses any more; how many there were."""
    swept = 0
    try:
        found = list(Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"))
    except OSError:  # there is no place for them at all; who needs one will say so
        return 0
    for directory in found:
        with suppress(OSError):  # in use, somebody else's, or gone meanwhile
            lock = _open(directory)
            try:
                if os.fstat(lock).st_uid != os.geteuid():
                    continue
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(directory)
                swept += 1
            finally:
                os.close(lock)
    if swept:
        log.info("leftovers_deleted", directories=swept)
    return swept


def _delete(directory: Path) -> None:
    """Delete a directory of ours with no more than one open file at a time, unlike ``shutil.rmtree``."""
    for place, directories, files in os.walk(directory, topdown=False):
        for name in files:
            with suppress(OSError):
                os.unlink(os.path.join(place, name))
        for name in directories:
            with suppress(OSError):
                path = os.path.join(place, name)
                (os.unlink if os.path.islink(path) else os.rmdir)(path)
    with suppress(OSError):
        directory.rmdir()


def _make(prefix: str) -> tuple[Path, int]:
    """A new directory and what holds its lock."""
    while True:
        directory = Path(tempfile.mkdtemp(prefix=prefix))
        lock = _locked(directory)
        if lock is not None:
            return directory, lock


def _locked(directory: Path) -> int | None:
    """The lock of a directory just made; None if a sweep of another process came first."""
    try:
        lock = _open(directory)
    except FileNotFoundError:
        return None
    except OSError:
        directory.rmdir()
        raise
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    except OSError:  # no locks on this file system: then a sweep has none either, and leaves all alone
        return lock
    if os.fstat(lock).st_nlink == 0 or not directory.exists():
        os.close(lock)
        return None
    return lock


def _open(directory: Path) -> int:
    return os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
