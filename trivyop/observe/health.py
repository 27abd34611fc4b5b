"""Health: named conditions that parts of the operator set, and that the probes read.

*Live* means the event loop turns; a probe that is answered at all shows that. *Ready* means that every
named condition holds; the body of `/readyz` says of each one that does not, why.
"""

from __future__ import annotations

from collections.abc import Callable

Condition = Callable[[], str | None]
"""Answers ``None`` when all is well, else why not, in a few words."""


class Health:
    """The conditions of readiness, by name."""

    def __init__(self) -> None:
        self._conditions: dict[str, Condition] = {}

    def require(self, name: str, condition: Condition) -> None:
        """Make readiness depend on `condition`; asked at each probe, so it has to be cheap."""
        self._conditions[name] = condition

    def problems(self) -> dict[str, str]:
        """Name and reason of each condition that does not hold now; empty when ready."""
        answers = ((name, condition()) for name, condition in self._conditions.items())
        return {name: reason for name, reason in answers if reason is not None}

    def names(self) -> tuple[str, ...]:
        return tuple(self._conditions)
