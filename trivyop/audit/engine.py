"""The small interface between audits and whatever evaluates checks: resources in, findings per resource out.

Promises: an outcome is everything the engine said about one subject, checks that passed included, unfiltered.
What an engine cannot judge is an error of its own in the answer, never an empty outcome.
Not here: which resources to audit and when (controllers), how batches come together (``auditor.py``), which
checks a report shows (``report/``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Protocol, TypeAlias

import msgspec

from trivyop.audit.policies import Policies, PolicyProblem
from trivyop.control.clock import Clock
from trivyop.errors import TransientError
from trivyop.report.checks import Check
from trivyop.report.findings import Severity
from trivyop.trivy.process import Brake


class Subject(msgspec.Struct, frozen=True):
    """One thing to audit."""

    name: str  # unique in a batch, like "Role/shop/reader"; appears in logs only
    kind: str  # "Role", "Pod", "NodeInfo"
    document: bytes  # a manifest as JSON, or what the node collector printed


Outcome: TypeAlias = tuple[Check, ...]


class AuditFailure(StrEnum):
    """Why there is no outcome, for metrics and states."""

    UNPARSABLE = "unparsable"  # the subject is not what checks can read
    TIMEOUT = "timeout"
    MEMORY = "memory"  # for a batch that is no one's fault: a smaller one may fit
    POLICY = "policy"  # a policy or a check crashed
    SCANNER = "scanner"  # anything else that Trivy says


class AuditError(TransientError):
    """There is no outcome; ``culprit`` is the name of the subject or policy at fault, "" if unknown."""

    def __init__(
        self, reason: AuditFailure, message: str, culprit: str = "", *, everyone: bool = False
    ) -> None:
        super().__init__(message)
        self.everyone = everyone  # no subject is to blame: no room, no Trivy
        self.reason = reason
        self.message = message
        self.culprit = culprit


class Crash(msgspec.Struct, frozen=True):
    """A check that crashed on at least one subject of a batch; then its result is missing for all of them."""

    check: str  # the key of a custom policy's module, or the file of a check of Trivy's own
    message: str


class Batch(msgspec.Struct, frozen=True):
    """What came out of one batch."""

    outcomes: Mapping[str, Outcome | AuditError]  # one for every subject's name
    crashes: tuple[Crash, ...] = ()
    evaluated: frozenset[str] | None = None  # packages that said something of any subject; None if unknown


class Engine(Protocol):
    """Evaluates checks."""

    async def audit(
        self,
        subjects: Sequence[Subject],
        policies: Policies,
        *,
        cluster_version: str,
        urgent: bool,
        brake: Brake,
    ) -> Batch:
        """Audit subjects together. ``AuditError`` when the batch failed as a whole.

        ``cluster_version`` is like "1.36.0", "" if unknown. What is ``urgent`` has as much claim to CPUs as
        the operator itself, else less. The caller may hold the work up with ``brake``.
        """
        ...

    @property
    def preparing(self) -> bool:
        """Whether it is getting ready, which takes a core, and no more time than an urgent run begun now."""
        ...

    def prepare(self, policies: Policies, *, cluster_version: str) -> None:
        """Be ready for urgent subjects, for a while; whether it will be soon, ``preparing`` says at once."""
        ...

    async def keep_ready(self, clock: Clock, changed: Callable[[], None]) -> None:
        """Serve those wishes until cancelled; ``changed`` is called when ``preparing`` may have changed."""
        ...

    def is_learned(self, kind: str, policies: Policies, *, cluster_version: str) -> bool:
        """Whether subjects of this kind need no run of their own, beside that of other kinds in a batch."""
        ...

    async def version(self) -> str:
        """Version of what evaluates, like "0.76.0"."""
        ...

    async def audit_samples(self, policies: Policies) -> Batch:
        """Audit something of each family at once, which says little more than whether that works."""
        ...

    async def checks(self, policies: Policies) -> Mapping[str, Severity]:
        """All checks that there are with these policies, by canonical id; raises ``AuditError``."""
        ...

    async def examine(self, policies: Policies) -> tuple[Policies, tuple[PolicyProblem, ...]]:
        """Try policies: those that can be evaluated, and what is wrong with the others."""
        ...
