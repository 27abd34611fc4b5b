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

_START_SECONDS: Final = 5.0  # real servers deny everything for up to one second after their start
_SCARCE: Final = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOSPC, errno.EDQUOT, errno.ENOMEM))


class TransientError(Exception):
    """Later may work; ``retry_after`` is the server's own wish in seconds, if it had one."""

    retry_within: float | None = None
    """Seconds after which to try again at the latest, however often it failed; None: no such limit."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ConflictError(TransientError):
    """Our view was stale: read again, decide again, never resend."""


class AlreadyExistsError(ConflictError):
    """A create found the name taken."""


class ExpiredError(ConflictError):
    """The server no longer has the resource version we asked for: list again."""


class DeniedError(TransientError):
    """The server says that we may not do this, and has not said so for long enough to be believed.

    API servers say so of everything for a moment after each start, and a role may be replaced just now.
    ``seconds`` is for how long it has been so.
    """

    retry_within = 30.0

    def __init__(self, message: str, seconds: float = 0.0) -> None:
        super().__init__(message)
        self.seconds = seconds


class WebhookError(TransientError):
    """An admission webhook that has to be asked does not answer; the object itself may be fine."""


class TerminalError(Exception):
    """Trying again as is cannot help; a change of the object, or the periodic resync, brings the key back."""


class ForbiddenError(TerminalError):
    """We may not do this, and have not been allowed to for minutes; somebody has to grant it first."""


class AdmissionError(TerminalError):
    """We may do this, but not with this object: a quota, Pod Security or an admission webhook says no."""


class NotFoundError(TerminalError):
    """What a write needs is missing: its namespace, its kind, or the object a replace is for."""


class TooLargeError(TerminalError):
    """The object exceeds what the server, or its etcd, takes."""


class InvalidError(TerminalError):
    """The server understood and says no; ``causes`` are its reasons, each "field: message"."""

    def __init__(self, message: str, causes: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.causes = causes


def outlasts_a_start(error: DeniedError | ForbiddenError) -> bool:
    """Whether this has been denied for longer than any API server takes to start.

    Enough for who has another way that does no harm; all others wait for the ``ForbiddenError``.
    """
    return isinstance(error, ForbiddenError) or error.seconds >= _START_SECONDS


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
