"""Back-off: how long to wait after the n-th failure in a row.

``Backoff`` counts the failures of one thing that is tried again, as loops do that are no reconciles; the
functions are for those that keep the count elsewhere, such as in a status.

Promises: the random numbers come in as a parameter; no wait is negative, none is above the cap but for a
server's wish.
Not here: keys of a work queue, which has a back-off for each (``control.queue``).
"""

from __future__ import annotations

import random
from typing import Protocol


def exponential(failures: int, *, base_seconds: float, max_seconds: float) -> float:
    """``base_seconds`` after the first failure (0), doubled by each further one, at most ``max_seconds``."""
    # Beyond 2**32 times the base the cap has long won; a float power of a large count would overflow.
    return min(max_seconds, base_seconds * 2.0 ** min(failures, 32))


def full_jitter(failures: int, rng: random.Random, *, base_seconds: float, max_seconds: float) -> float:
    """Somewhere between nothing and the exponential delay: spreads clients that lost one server together."""
    return rng.uniform(0, exponential(failures, base_seconds=base_seconds, max_seconds=max_seconds))


def half_jitter(failures: int, rng: random.Random, *, base_seconds: float, max_seconds: float) -> float:
    """At least half the exponential delay: spreads retries of single keys, and still slows each one down."""
    delay = exponential(failures, base_seconds=base_seconds, max_seconds=max_seconds)
    return delay * rng.uniform(0.5, 1)


class Jitter(Protocol):
    """How much of a wait is left to chance: ``full_jitter`` or ``half_jitter``."""

    def __call__(
        self, failures: int, rng: random.Random, *, base_seconds: float, max_seconds: float
    ) -> float: ...


class Backoff:
    """The waits of one thing that fails and is tried again."""

    def __init__(
        self, rng: random.Random, *, base_seconds: float, max_seconds: float, jitter: Jitter = full_jitter
    ) -> None:
        self.failures = 0  # in a row
        self._rng = rng
        self._base_seconds = base_seconds
        self._max_seconds = max_seconds
        self._jitter = jitter

    def failed(self, at_least: float | None = None) -> float:
        """Count one more failure; returns the seconds to wait, ``at_least`` those that a server asked for."""
        wait = self._jitter(
            self.failures, self._rng, base_seconds=self._base_seconds, max_seconds=self._max_seconds
        )
        self.failures += 1
        return max(wait, at_least or 0.0)

    def succeeded(self) -> None:
        """The next failure is the first again."""
        self.failures = 0
