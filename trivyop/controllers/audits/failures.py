"""Failures of audits: which resources have no audit of their present state, why, and when the next try is.

They are kept in memory only: after a restart each is tried once at once, and fails again or does not.

Promises: what failed is not tried again before its time, unless the resource or the policies are others than
they were. Each failure is counted and logged, one that is everybody's once.
Not here: Events (`reconciler.py`).
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import NamedTuple

import structlog
from prometheus_client import CollectorRegistry, Counter

from trivyop.audit.engine import AuditError, AuditFailure
from trivyop.control.backoff import half_jitter
from trivyop.control.clock import Clock
from trivyop.controllers.audits.kinds import AuditRef

log = structlog.get_logger(__name__)

REFUSED = "refused"  # the API server does not take the report
_MINUTE, _HOUR = 60.0, 3600.0
_PACE: dict[str, tuple[float, float]] = {
    AuditFailure.UNPARSABLE.value: (10 * _MINUTE, 6 * _HOUR),  # only a change of it can help
    AuditFailure.TIMEOUT.value: (2 * _MINUTE, 2 * _HOUR),
    AuditFailure.MEMORY.value: (2 * _MINUTE, 2 * _HOUR),
    AuditFailure.POLICY.value: (10 * _MINUTE, 6 * _HOUR),
    AuditFailure.SCANNER.value: (30.0, 15 * _MINUTE),
    REFUSED: (_HOUR, 6 * _HOUR),
}
_OTHERWISE = (30.0, 15 * _MINUTE)


class Basis(NamedTuple):
    """What an audit goes by."""

    uid: str
    state: str
    policies: str


@dataclass(slots=True)
class AuditProblem:
    """How the audit of a resource stands, while it fails."""

    basis: Basis
    reason: str
    message: str
    attempts: int
    until: float  # by the monotonic clock
    everyone: bool  # nothing can be audited; it is not about this resource


class AuditFailures:
    """The audits that fail, by resource."""

    def __init__(self, registry: CollectorRegistry, clock: Clock, rng: random.Random) -> None:
        self._clock = clock
        self._rng = rng
        self._problems: dict[AuditRef, AuditProblem] = {}
        self._everyones: dict[AuditRef, str] = {}  # messages of those that are for everyone
        self.audits = Counter(
            "trivyop_audits_total",
            "Audits of resources by how they ended: done, failed, refused (the report, by the API server).",
            ["outcome"],
            registry=registry,
        )
        for outcome in ("done", "failed", REFUSED):
            self.audits.labels(outcome)

    def problems(self) -> dict[AuditRef, AuditProblem]:
        """All that fail now."""
        return self._problems

    def wait(self, ref: AuditRef, basis: Basis) -> float | None:
        """Seconds until the same audit is worth another try; None if it is now."""
        problem = self._problems.get(ref)
        if problem is None or problem.basis != basis:
            return None
        left = problem.until - self._clock.monotonic()
        return left if left > 0 else None

    def failed(self, ref: AuditRef, basis: Basis, error: AuditError) -> float:
        """Note a failure; returns the seconds until the next try."""
        self.audits.labels("failed").inc()
        return self._note(
            ref, basis, error.reason.value, error.message, error.retry_after, everyone=error.everyone
        )

    def refused(self, ref: AuditRef, basis: Basis, message: str) -> float:
        """Note that the report was refused; returns as `failed`."""
        self.audits.labels(REFUSED).inc()
        return self._note(ref, basis, REFUSED, message)

    def _note(
        self,
        ref: AuditRef,
        basis: Basis,
        reason: str,
        message: str,
        at_least: float | None = None,
        *,
        everyone: bool = False,
    ) -> float:
        before = self._problems.get(ref)
        attempts = before.attempts + 1 if before is not None and before.basis == basis else 1
        base, most = _PACE.get(reason, _OTHERWISE)
        delay = half_jitter(attempts - 1, self._rng, base_seconds=base, max_seconds=most)
        seconds = max(delay, at_least or 0.0)
        until = self._clock.monotonic() + seconds
        known = everyone and self.text() == message
        self._problems[ref] = AuditProblem(basis, reason, message, attempts, until, everyone)
        if everyone:
            self._everyones[ref] = message
        else:
            self._everyones.pop(ref, None)
        if not known:  # of thousands of the same, one is told
            log.warning(
                "audit_failed",
                resource=str(ref),
                reason=reason,
                message=message,
                attempts=attempts,
                seconds=round(seconds),
            )
        return seconds

    def succeeded(self, ref: AuditRef) -> None:
        self.audits.labels("done").inc()
        self.forget(ref)

    def forget(self, ref: AuditRef) -> None:
        """The resource is audited, or need not be."""
        self._problems.pop(ref, None)
        self._everyones.pop(ref, None)

    def text(self) -> str | None:
        """What keeps any audit from working, for people; None if nothing does."""
        return next(iter(self._everyones.values()), None)
