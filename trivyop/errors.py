"""The errors that several layers speak of: three kinds, because there are three answers.

``TransientError``: try the same again later. ``ConflictError``: our view was stale, so read and decide again.
``TerminalError``: trying again as is cannot help. The worker loop knows these three and nothing finer; the
finer classes below are for code that has an answer of its own to one refusal, and for the words people read.

Promises: messages say what was tried, on which object, and the answer; never a secret.
Not here: which HTTP status means which error (``kube.refusals``).
"""

from __future__ import annotations

import errno
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

_SCARCE: Final = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOSPC, errno.EDQUOT, errno.ENOMEM))


class TransientError(Exception):
    """Later may work; ``retry_after`` is the server's own wish in seconds, if it had one."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ConflictError(TransientError):
    """Our view was stale: read again, decide again, never resend."""


class AlreadyExistsError(ConflictError):
    """A create found the name taken."""


class ExpiredError(ConflictError):
    """The server no longer has the resource version we asked for: list again."""


class TerminalError(Exception):
    """Trying again as is cannot help; a change of the object, or the periodic resync, brings the key back."""


class ForbiddenError(TerminalError):
    """We may not do this; somebody has to grant it first."""


class NotFoundError(TerminalError):
    """What a write needs is missing: its namespace, its kind, or the object a replace is for."""


class TooLargeError(TerminalError):
    """The object exceeds what the server, or its etcd, takes."""


class InvalidError(TerminalError):
    """The server understood and says no; ``causes`` are its reasons, each "field: message"."""

    def __init__(self, message: str, causes: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.causes = causes


def is_scarcity(error: BaseException) -> bool:
    """Whether this says that there is no more of something just now: of files, of room on a disk, of memory.

    It can strike wherever a file is opened, also where a module is imported or data of our own is read, and
    is nobody's fault there.
    """
    return isinstance(error, OSError) and error.errno in _SCARCE


@contextmanager
def renamed_scarcity() -> Generator[None]:
    """What there is no more of just now is a ``TransientError`` of the block; other errors pass."""
    try:
        yield
    except OSError as error:
        if not is_scarcity(error):
            raise
        where = f": {error.filename}" if error.filename else ""
        raise TransientError(f"the operator lacks something it needs: {error.strerror}{where}") from error
