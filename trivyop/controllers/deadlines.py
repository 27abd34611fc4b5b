"""Deadlines: how long reconcilers of Jobs wait, for a Job to end, for its log, and until the next one is due.

Not here: retries of a key (``control.queue``), and when a failed scan is tried again (``trivy.failures``).
"""

from __future__ import annotations

import random
from datetime import timedelta

from trivyop.control.clock import Clock

_JOB_GRACE = timedelta(seconds=60)  # for the cluster to end a Job at its own deadline
_LOG_SECONDS = 1800.0  # from the first try; the Job's node may be gone for good
_SPREAD = 0.1  # of the time to live: what was made together need not be made anew together


def job_deadline(timeout_seconds: float) -> timedelta | None:
    """How long a Job with that deadline may be there without an end; None: for ever."""
    return timedelta(seconds=timeout_seconds) + _JOB_GRACE if timeout_seconds else None


def spread_ttl(ttl_seconds: float | None, name: str) -> timedelta | None:
    """How long what was made for ``name`` is fresh: up to a tenth less, always the same; None: for ever."""
    if not ttl_seconds:
        return None
    share = random.Random(name).random()  # noqa: S311 - spreads refreshes, guards nothing
    return timedelta(seconds=ttl_seconds * (1 - _SPREAD * share))


class LogDeadlines:
    """Which Jobs' logs could not be read, and since when."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since: dict[str, float] = {}

    def is_over(self, job: str) -> bool:
        """Whether the log, which could not be read again just now, is not to be waited for any longer."""
        now = self._clock.monotonic()
        return now >= self._since.setdefault(job, now) + _LOG_SECONDS

    def forget(self, job: str) -> None:
        """The log was read, or is given up."""
        self._since.pop(job, None)
