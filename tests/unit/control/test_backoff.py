"""Back-off stays within its bounds, whatever the count."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from trivyop.control.backoff import Backoff, exponential, full_jitter, half_jitter

FAILURES = st.integers(0, 100_000)


def test_delay_doubles_until_the_cap() -> None:
    delays = [exponential(n, base_seconds=1, max_seconds=10) for n in range(6)]

    assert delays == [1, 2, 4, 8, 10, 10]


@given(FAILURES, st.integers())
def test_full_jitter_lies_between_nothing_and_the_exponential_delay(failures: int, seed: int) -> None:
    delay = full_jitter(failures, random.Random(seed), base_seconds=0.5, max_seconds=30)

    assert 0 <= delay <= exponential(failures, base_seconds=0.5, max_seconds=30)


@given(FAILURES, st.integers())
def test_half_jitter_keeps_at_least_half_the_delay(failures: int, seed: int) -> None:
    """A key that fails must slow down, however the dice fall."""
    whole = exponential(failures, base_seconds=0.5, max_seconds=30)

    assert whole / 2 <= half_jitter(failures, random.Random(seed), base_seconds=0.5, max_seconds=30) <= whole


def test_waits_grow_with_each_failure_and_start_over_after_a_success() -> None:
    backoff = Backoff(random.Random(1), base_seconds=1, max_seconds=300, jitter=half_jitter)

    waits = [backoff.failed() for _ in range(4)]
    counted = backoff.failures
    backoff.succeeded()

    assert all(2**n / 2 <= wait <= 2**n for n, wait in enumerate(waits))
    assert counted == 4
    assert backoff.failed() <= 1


def test_wait_is_never_shorter_than_a_server_asks_for() -> None:
    backoff = Backoff(random.Random(1), base_seconds=1, max_seconds=30)

    assert backoff.failed(at_least=60) == 60
    assert backoff.failed() <= 2
