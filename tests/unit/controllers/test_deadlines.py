"""How long Jobs, their logs and what came of them are waited for."""

from __future__ import annotations

from datetime import timedelta

from tests.clock import FakeClock
from trivyop.controllers.deadlines import LogDeadlines, job_deadline, spread_ttl


def test_each_log_has_its_own_half_hour_from_its_first_try() -> None:
    clock = FakeClock()
    patience = LogDeadlines(clock)
    assert not patience.is_over("a")
    clock.advance(1799)
    assert not patience.is_over("a")
    assert not patience.is_over("b")
    clock.advance(1)
    assert patience.is_over("a")
    assert not patience.is_over("b")

    patience.forget("a")
    assert not patience.is_over("a")


def test_what_was_made_together_gets_old_apart_and_never_late() -> None:
    ttls = [spread_ttl(1000, f"scan-{n}") for n in range(100)]

    assert ttls == [spread_ttl(1000, f"scan-{n}") for n in range(100)]
    assert all(ttl is not None and timedelta(seconds=900) <= ttl <= timedelta(seconds=1000) for ttl in ttls)
    assert len(set(ttls)) == 100


def test_nothing_set_means_for_ever() -> None:
    assert spread_ttl(None, "scan") is None
    assert job_deadline(0) is None
    assert job_deadline(300) == timedelta(seconds=360)
