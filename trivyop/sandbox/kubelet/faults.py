"""Faults: failures on demand, for tests and demonstrations.

A Pod's annotation ``sandbox.trivyop.dev/fail``, or a rule of a ``Faults`` object, names one: ``oom``,
``hang``, ``exit=3``, ``evicted``. With ``@name`` behind it only that container fails; else every container
but the init ones.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self

from trivyop.sandbox.changes import Json, part

ANNOTATION = "sandbox.trivyop.dev/fail"

OUT_OF_MEMORY = "OOMKilled"
EVICTED = ("Evicted", "The node was low on resource: memory.")


class Kind(StrEnum):
    """What goes wrong."""

    OOM = "oom"  # killed right after its start, for lack of memory
    HANG = "hang"  # runs for ever and does nothing
    EXIT = "exit"  # ends at once, with a code
    EVICTED = "evicted"  # the whole Pod is thrown out


@dataclass(frozen=True, slots=True)
class Fault:
    """One failure."""

    kind: Kind
    code: int = 1
    container: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the annotation's value; raises ``ValueError``."""
        what, _, container = text.partition("@")
        kind, _, code = what.partition("=")
        return cls(Kind(kind), int(code or 1), container)

    def hits(self, container: str, *, init: bool) -> bool:
        """Whether this container is meant."""
        return self.container == container if self.container else not init


Rule = Callable[[Json], Fault | None]


@dataclass(slots=True)
class Faults:
    """Rules asked for each Pod that starts, in order; the annotation comes first."""

    rules: list[Rule] = field(default_factory=list[Rule])

    def of(self, pod: Json) -> Fault | None:
        """The fault of this Pod, if it has one."""
        text = part(part(pod, "metadata"), "annotations").get(ANNOTATION)
        if text:
            return Fault.parse(text)
        return next((fault for rule in self.rules if (fault := rule(pod)) is not None), None)

    def fail_next(self, fault: Fault, *, times: int = 1) -> None:
        """Let the next ``times`` Pods that start fail."""
        left = times

        def rule(pod: Json) -> Fault | None:  # noqa: ARG001 - any Pod
            nonlocal left
            left -= 1
            return fault if left >= 0 else None

        self.rules.append(rule)
