"""Health: named conditions that parts of the operator set, and that the probes read.

*Live* means the event loop turns; a probe that is answered at all shows that. *Ready* means that every
named condition holds; the body of `/readyz` says of each one that does not, why. What only limits the work,
such as a missing permission that no restart would bring, is mentioned there and harms no readiness.
"""

from __future__ import annotations

from collections.abc import Callable

Condition = Callable[[], str | None]
"""Answers ``None`` when all is well, else why not, in a few words."""


class Health:
    """The conditions of readiness, by name."""

    def __init__(self) -> None:
        self._conditions: dict[str, Condition] = {}
        self._mentions: dict[str, Condition] = {}
        self._notes: dict[str, Callable[[], str]] = {}

    def require(self, name: str, condition: Condition) -> None:
        """Make readiness depend on `condition`; asked at each probe, so it has to be cheap."""
        self._conditions[name] = condition

    def mention(self, name: str, condition: Condition) -> None:
        """Show `condition` at each probe, though readiness does not depend on it."""
        self._mentions[name] = condition

    def add_note(self, name: str, note: Callable[[], str]) -> None:
        """Show `note` at each probe, whatever it says."""
        self._notes[name] = note

    def notes(self) -> dict[str, str]:
        """What is shown in any case, by name."""
        return {name: note() for name, note in self._notes.items()}

    def mentions(self) -> dict[str, str]:
        """Name and reason of each such condition that does not hold now."""
        answers = ((name, condition()) for name, condition in self._mentions.items())
        return {name: reason for name, reason in answers if reason is not None}

    def problems(self) -> dict[str, str]:
        """Name and reason of each condition that does not hold now; empty when ready."""
        answers = ((name, condition()) for name, condition in self._conditions.items())
        return {name: reason for name, reason in answers if reason is not None}

    def names(self) -> tuple[str, ...]:
        return tuple(self._conditions)
