"""The errors that several layers speak of: three kinds, because there are three answers.

``TransientError``: try the same again later. ``ConflictError``: our view was stale, so read and decide again.
``TerminalError``: trying again as is cannot help. The worker loop knows these three and nothing finer; the
finer classes below are for code that has an answer of its own to one refusal, and for the words people read.

Promises: messages say what was tried, on which object, and the answer; never a secret.
Not here: which HTTP status means which error (``kube.refusals``).
"""

from __future__ import annotations


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
