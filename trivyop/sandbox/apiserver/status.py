"""Refusals about requests: what the API server answers when paths, users or revisions do not fit.

Those about the contents of objects are in ``objects.refusals``; all are ``Refused``.

Promises: the very words of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from trivyop.sandbox.apiserver.objects.refusals import FieldError, Refused, bad_request, invalid

__all__ = ["FieldError", "Refused", "RefusedWithHeaders", "bad_request", "invalid"]

Cause = Mapping[str, str]


class RefusedWithHeaders(Refused):
    """A refusal with HTTP headers or list metadata of its own."""

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        details: dict[str, Any] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(code, reason, message, details)
        self.headers = dict(headers or {})
        self._metadata = dict(metadata or {})

    @property
    def status(self) -> dict[str, Any]:
        return super().status | {"metadata": self._metadata}


class NoSuchPage(Refused):
    """A path that leads nowhere; answered in plain text."""

    def __init__(self) -> None:
        super().__init__(404, "NotFound", "404 page not found\n")


def deleted(name: str, group: str, plural: str, uid: str) -> dict[str, Any]:
    """Build the answer to a delete that took effect at once."""
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": _details(name, group, plural) | {"uid": uid},
    }


def qualified(group: str, plural: str) -> str:
    """Return a resource as messages name it: ``deployments.apps``, ``pods``."""
    return f"{plural}.{group}" if group else plural


def page_not_found() -> NoSuchPage:
    """404 where not even the group is known, in plain text."""
    return NoSuchPage()


def unauthorized() -> Refused:
    """401."""
    return Refused(401, "Unauthorized", "Unauthorized")


def forbidden(group: str, plural: str, name: str, why: str, causes: Sequence[Cause] | None = None) -> Refused:
    """403; ``name`` may be empty."""
    what = f'{qualified(group, plural)} "{name}"' if name else qualified(group, plural)
    details = _details(name, group, plural, causes)
    return Refused(403, "Forbidden", f"{what} is forbidden: {why}", details)


def not_found(group: str, plural: str, name: str) -> Refused:
    """404 of an object."""
    return Refused(
        404, "NotFound", f'{qualified(group, plural)} "{name}" not found', _details(name, group, plural)
    )


def no_such_path() -> Refused:
    """404 of a resource that is not served."""
    return Refused(404, "NotFound", "the server could not find the requested resource", {})


def method_not_allowed() -> Refused:
    """405."""
    message = "the server does not allow this method on the requested resource"
    return Refused(405, "MethodNotAllowed", message, {})


def already_exists(group: str, plural: str, name: str) -> Refused:
    """409 of a create."""
    return Refused(
        409,
        "AlreadyExists",
        f'{qualified(group, plural)} "{name}" already exists',
        _details(name, group, plural),
    )


def conflict(group: str, plural: str, name: str, why: str, causes: Sequence[Cause] | None = None) -> Refused:
    """409 of a change."""
    message = f'Operation cannot be fulfilled on {qualified(group, plural)} "{name}": {why}'
    return Refused(409, "Conflict", message, _details(name, group, plural, causes))


def expired(message: str, *, continue_token: str = "") -> Refused:
    """410; with a token from which an inconsistent rest of a list can be had."""
    metadata = {"continue": continue_token} if continue_token else None
    return RefusedWithHeaders(410, "Expired", message, metadata=metadata)


def too_large(message: str) -> Refused:
    """413."""
    return Refused(413, "RequestEntityTooLarge", f"Request entity too large: {message}")


def too_many_requests(retry_after: int) -> Refused:
    """429 of a server that is too busy."""
    return RefusedWithHeaders(
        429,
        "TooManyRequests",
        "Too many requests, please try again later.",
        {"retryAfterSeconds": retry_after},
        headers={"Retry-After": str(retry_after)},
    )


def initializing(retry_after: int) -> Refused:
    """429 of a kind whose cache is not filled."""
    return RefusedWithHeaders(
        429,
        "TooManyRequests",
        "storage is (re)initializing",
        {"retryAfterSeconds": retry_after},
        headers={"Retry-After": str(retry_after)},
    )


def too_early(retry_after: int) -> Refused:
    """503 of a server that has not installed all its paths."""
    message = "the request has been made before all known HTTP paths have been installed, please try again"
    return RefusedWithHeaders(
        503,
        "ServiceUnavailable",
        message,
        {"retryAfterSeconds": retry_after},
        headers={"Retry-After": str(retry_after)},
    )


def internal(message: str) -> Refused:
    """500."""
    return Refused(
        500, "InternalError", f"Internal error occurred: {message}", {"causes": [{"message": message}]}
    )


def _details(name: str, group: str, kind: str, causes: Sequence[Cause] | None = None) -> dict[str, Any]:
    parts: dict[str, Any] = {"name": name, "group": group, "kind": kind, "causes": causes and list(causes)}
    return {key: value for key, value in parts.items() if value}
