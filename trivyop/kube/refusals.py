"""Refusals: what the API server's "no" means to us. No other module looks at status codes.

Promises: one error for each status and body; its message names the request and the server's own words, and
never a header or a query, which may hold secrets.
"""

from __future__ import annotations

import re

import msgspec

from trivyop.errors import (
    AdmissionError,
    AlreadyExistsError,
    ConflictError,
    ExpiredError,
    ForbiddenError,
    InvalidError,
    NotFoundError,
    TerminalError,
    TooLargeError,
    TransientError,
    WebhookError,
)

_MAX_WORDS = 1000  # characters of the server's message; an invalid object may be quoted in full

# What etcd, and the gRPC layer in front of it, say of an object that is too large; it comes as a 500.
_TOO_LARGE = ("request is too large", "trying to send message larger than max")

# A webhook or a policy denies with the status that its author chose: 400 if none, 422 for most policies.
_DENIED = re.compile(
    r"^admission webhook .* denied the request|\bValidatingAdmissionPolicy .* denied request"
)

# What the server says, with a 500, of a webhook that must be asked and cannot be.
_NO_ANSWER = re.compile(r"failed calling (?:admission )?webhook")

# What admission says, with a 403, of one object. Every other 403 is taken for what authorizers say ("cannot
# VERB resource", with "RBAC: clusterrole ... not found" behind it), or for a proxy's page.
_BY_ADMISSION = re.compile(
    r"exceeded quota|insufficient quota|must specify|violates PodSecurity|admission webhook"
    r"|denied (the )?request|security context constraint|image policy webhook|(maximum|minimum) \S+ usage per"
    r"|limit to request ratio|because it is being terminated|no PriorityClass"
)

# What its plug-ins say of every object until their own caches are filled.
_ADMISSION_NOT_READY = re.compile(r"not yet ready to handle request|status unknown for quota")

# What is said where a request was understood and is not wanted.
_REFUSED = re.compile(r"\bis (?:forbidden|invalid)\b|webhook|\bdenied\b")

# What authorizers say of everything for a moment after each start of a server.
_NOT_ALLOWED = re.compile(r"\bcannot \w+ (?:resource|path)\b")


class Cause(msgspec.Struct, frozen=True, gc=False):
    """One reason of several why an object is invalid."""

    field: str = ""
    message: str = ""
    reason: str = ""


class Details(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """The machine-readable part of a refusal."""

    causes: tuple[Cause, ...] | None = None
    retry_after_seconds: int = 0


class Status(msgspec.Struct, frozen=True, gc=False):
    """A ``Status`` object, the body of every refusal, and of a watch's ERROR event."""

    message: str = ""
    reason: str = ""
    details: Details | None = None
    code: int = 0


_decoder = msgspec.json.Decoder(Status)


def status_of(body: bytes) -> Status:
    """Read a refusal's body; what is not a ``Status`` (a proxy's page) becomes its message."""
    try:
        return _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Status(message=body[:_MAX_WORDS].decode("utf-8", "replace").strip())


def is_refused(words: str) -> bool:
    """Whether another client, which ``words`` are from, was refused; else it will try again, and may succeed.

    For Events, which have no status code.
    """
    passing = _ADMISSION_NOT_READY.search(words) or _NOT_ALLOWED.search(words)
    return passing is None and _REFUSED.search(words) is not None


def error_for(
    code: int, status: Status | bytes = b"", *, request: str = "", retry_after: float | None = None
) -> TransientError | TerminalError:
    """Name a refusal in our terms.

    ``request`` says what was tried ("GET /api/v1/pods"); ``retry_after`` is the Retry-After header in
    seconds.
    """
    if isinstance(status, bytes):
        status = status_of(status)
    words = status.message[:_MAX_WORDS] or status.reason or "no reason given"
    message = f"{request}: {code} {words}" if request else f"{code} {words}"
    causes = status.details.causes or () if status.details else ()
    if retry_after is None and status.details and status.details.retry_after_seconds > 0:
        retry_after = float(status.details.retry_after_seconds)

    if _DENIED.search(status.message):
        return AdmissionError(message)
    if code == 413 or (code >= 500 and any(words in status.message for words in _TOO_LARGE)):
        return TooLargeError(message)
    if code == 409:
        return AlreadyExistsError(message) if status.reason == "AlreadyExists" else ConflictError(message)
    if code == 410:
        return ExpiredError(message)
    if code >= 500 and _NO_ANSWER.search(status.message):
        return WebhookError(message, retry_after)
    if code in (401, 408, 425, 429) or code >= 500:
        return TransientError(message, retry_after)
    if code == 403:
        return _forbidden(status, message)
    if code == 404:
        return NotFoundError(message)
    if code in (400, 415, 422):
        return InvalidError(message, tuple(_cause(cause) for cause in causes))
    return TerminalError(message)


def _forbidden(status: Status, message: str) -> TransientError | TerminalError:
    if _ADMISSION_NOT_READY.search(status.message):
        return TransientError(message)
    return AdmissionError(message) if _BY_ADMISSION.search(status.message) else ForbiddenError(message)


def _cause(cause: Cause) -> str:
    return f"{cause.field}: {cause.message}" if cause.field else cause.message
