"""When a failed scan is tried again: what can pass by itself soon, what needs a change of something rarely.

Promises: pure; every class has a policy.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from trivyop.control.backoff import half_jitter
from trivyop.trivy.failureclasses import FailureClass


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Waits double from ``base_seconds`` up to ``max_seconds``; None: only a change brings it back."""

    base_seconds: float
    max_seconds: float
    retries: bool = True


_MINUTE, _HOUR = 60.0, 3600.0
_SOON = RetryPolicy(30, 15 * _MINUTE)
_LATER = RetryPolicy(2 * _MINUTE, 2 * _HOUR)
_RARELY = RetryPolicy(10 * _MINUTE, 6 * _HOUR)

_POLICIES: dict[FailureClass, RetryPolicy] = {
    FailureClass.AUTH: RetryPolicy(5 * _MINUTE, 2 * _HOUR),  # pull secrets change without a word to us
    FailureClass.NOT_FOUND: RetryPolicy(5 * _MINUTE, 6 * _HOUR),
    FailureClass.INVALID_IMAGE: RetryPolicy(0, 0, retries=False),
    FailureClass.UNSUPPORTED: RetryPolicy(_HOUR, 24 * _HOUR),
    FailureClass.RATE_LIMIT: RetryPolicy(5 * _MINUTE, _HOUR),
    FailureClass.TLS: _RARELY,
    FailureClass.NETWORK: _SOON,
    FailureClass.PLATFORM: RetryPolicy(_HOUR, 24 * _HOUR),
    FailureClass.OUT_OF_MEMORY: RetryPolicy(10 * _MINUTE, 12 * _HOUR),
    FailureClass.TIMEOUT: _LATER,
    FailureClass.DISK: _LATER,
    FailureClass.DATABASE: RetryPolicy(_MINUTE, 30 * _MINUTE),
    FailureClass.TRIVY_SERVER: _SOON,
    FailureClass.CONFIGURATION: _RARELY,
    FailureClass.TOO_LARGE: RetryPolicy(_HOUR, 24 * _HOUR),
    FailureClass.ADMISSION: RetryPolicy(_MINUTE, _HOUR),
    FailureClass.PERMISSION: RetryPolicy(30, _MINUTE),
    FailureClass.UNSCHEDULABLE: RetryPolicy(_MINUTE, 30 * _MINUTE),
    FailureClass.SCANNER_IMAGE: RetryPolicy(2 * _MINUTE, _HOUR),
    FailureClass.POD_START: RetryPolicy(_MINUTE, 30 * _MINUTE),
    FailureClass.INTERRUPTED: RetryPolicy(10, 10 * _MINUTE),
    FailureClass.PARSE: _LATER,
    FailureClass.TRANSPORT: _LATER,
    FailureClass.SCANNER: _LATER,
}


def retry_policy(failure_class: FailureClass) -> RetryPolicy:
    return _POLICIES[failure_class]


def next_retry(
    failure_class: FailureClass, attempts: int, rng: random.Random, *, at_least_seconds: float = 0.0
) -> float | None:
    """Seconds until the next try after ``attempts`` failures in a row (1 is the first); None: no further try.

    The wait doubles with each failure and is spread over its upper half, so that what failed together does
    not come back together. It is never shorter than ``at_least_seconds``.
    """
    policy = _POLICIES[failure_class]
    if not policy.retries:
        return None
    wait = half_jitter(
        max(attempts, 1) - 1, rng, base_seconds=policy.base_seconds, max_seconds=policy.max_seconds
    )
    return max(wait, at_least_seconds)
