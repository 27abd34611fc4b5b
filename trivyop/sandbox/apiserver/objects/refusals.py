"""Refusals: every way in which the API server says no, as one exception with the Status object to send.

Promises: the words, reasons and codes of the real server; ``Refused.status`` is ready to be encoded.
Not here: when to refuse. Whoever finds the fault raises one of these.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class FieldError:
    """One fault of one field, as a Status lists it among its causes."""

    reason: str  # "FieldValueInvalid", "FieldValueRequired", ...
    field: str  # "spec.template.spec.containers[0].name"
    message: str  # without the field: 'Invalid value: "x": must be y'

    def __str__(self) -> str:
        return f"{self.field}: {self.message}"

    def cause(self) -> dict[str, str]:
        return {"reason": self.reason, "message": self.message, "field": self.field}


class Refused(Exception):  # noqa: N818  # it is an answer, not a failure of ours
    """A request that is answered with a Status of failure."""

    def __init__(self, code: int, reason: str, message: str, details: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details
        self.warnings: tuple[str, ...] = ()  # a refusal may come with warnings, too

    @property
    def status(self) -> dict[str, Any]:
        """The Status object; ``reason`` and ``details`` only where the real server has them."""
        status: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
        }
        if self.reason:
            status["reason"] = self.reason
        if self.details is not None:
            status["details"] = self.details
        status["code"] = self.code
        return status


def bad_request(message: str) -> Refused:
    return Refused(400, "BadRequest", message)


def internal_error(message: str) -> Refused:
    """A 500 that carries nothing but words, as failures inside server-side apply do."""
    return Refused(500, "", message)


def invalid(kind: str, group: str, name: str, errors: Sequence[FieldError]) -> Refused:
    """The 422 of validation. One error stands alone in the message, several in brackets."""
    qualified = f"{kind}.{group}" if group else kind
    said = list(dict.fromkeys(map(str, errors)))
    words = said[0] if len(said) == 1 else f"[{', '.join(said)}]"
    details: dict[str, Any] = {}
    if name:
        details["name"] = name
    if group:
        details["group"] = group
    if kind:
        details["kind"] = kind
    details["causes"] = [error.cause() for error in errors]
    return Refused(422, "Invalid", f'{qualified} "{name}" is invalid: {words}', details)


def rejected() -> Refused:
    """What the server says when a patch can not be carried out and it does not care to say why."""
    message = "the server rejected our request due to an error in our request"
    return Refused(422, "Invalid", message, {})


def conflict(plural: str, group: str, name: str, why: str) -> Refused:
    qualified = f"{plural}.{group}" if group else plural
    details: dict[str, Any] = {"name": name}
    if group:
        details["group"] = group
    details["kind"] = plural
    message = f'Operation cannot be fulfilled on {qualified} "{name}": {why}'
    return Refused(409, "Conflict", message, details)
