"""Back-off: how long to wait after the n-th failure in a row.

Promises: pure but for the random numbers, which come in as a parameter; never negative, never above the cap.
"""

from __future__ import annotations

import random


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
