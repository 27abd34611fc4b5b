"""Permissions: when a server that says no is believed, and who is asked meanwhile."""

from __future__ import annotations

from itertools import pairwise

import pytest

from tests.clock import FakeClock
from trivyop.errors import DeniedError, ForbiddenError
from trivyop.kube.permissions import Permissions

NO = ForbiddenError('403 jobs.batch is forbidden: User "u" cannot create resource "jobs"')
JOBS = ("create", "jobs", "/apis/batch/v1/namespaces/shop/jobs")
REPORT = "/apis/aquasecurity.github.io/v1alpha1/namespaces/shop/vulnerabilityreports/{}"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def permissions(clock: FakeClock) -> Permissions:
    return Permissions(clock)


def apply(name: str) -> tuple[str, str, str]:
    return "apply", "vulnerabilityreports", REPORT.format(name)


def test_denial_is_believed_after_minutes_of_it(permissions: Permissions, clock: FakeClock) -> None:
    for _ in range(18):
        assert isinstance(permissions.denied(*JOBS, NO), DeniedError)
        clock.advance(10)

    assert permissions.denied(*JOBS, NO) is NO
    assert permissions.text() == "not allowed: create jobs in shop"


def test_permission_that_is_given_begins_anew(permissions: Permissions, clock: FakeClock) -> None:
    permissions.denied(*JOBS, NO)
    clock.advance(100)
    permissions.allowed(*JOBS)
    permissions.denied(*JOBS, NO)
    clock.advance(100)

    assert isinstance(permissions.denied(*JOBS, NO), DeniedError)
    assert permissions.text() is None


def test_denial_that_nobody_met_for_long_begins_anew(permissions: Permissions, clock: FakeClock) -> None:
    """Two starts of a server in a day are not a day of denial."""
    permissions.denied(*JOBS, NO)
    clock.advance(3600)

    assert isinstance(permissions.denied(*JOBS, NO), DeniedError)


def test_kind_that_is_denied_is_believed_for_objects_not_yet_asked_for(
    permissions: Permissions, clock: FakeClock
) -> None:
    for number in range(10):
        permissions.denied(*apply(f"a{number}"), NO)
        clock.advance(20)

    assert permissions.denied(*apply("new"), NO) is NO


def test_object_may_be_denied_while_others_of_its_kind_are_allowed(
    permissions: Permissions, clock: FakeClock
) -> None:
    """A role may name objects."""
    secrets = "/api/v1/namespaces/shop/secrets/{}"
    for _ in range(10):
        permissions.denied("get", "secrets", secrets.format("theirs"), NO)
        permissions.allowed("get", "secrets", secrets.format("ours"))
        clock.advance(20)

    assert permissions.denied("get", "secrets", secrets.format("theirs"), NO) is NO
    assert isinstance(permissions.denied("get", "secrets", secrets.format("new"), NO), DeniedError)


def test_kind_that_is_denied_is_asked_for_ever_more_rarely_until_it_is_allowed(
    permissions: Permissions, clock: FakeClock
) -> None:
    """A thousand reports are held back; their requests would all be answered alike."""
    asked: list[float] = []
    for second in range(600):
        for number in range(50):
            try:
                permissions.check(*apply(f"a{number}"))
            except (DeniedError, ForbiddenError):
                continue
            permissions.denied(*apply(f"a{number}"), NO)
            asked.append(second)
        clock.advance(1)
    assert len(asked) < 60
    assert max(later - earlier for earlier, later in pairwise(asked)) <= 21

    permissions.allowed(*apply("a0"))
    for number in range(50):
        permissions.check(*apply(f"a{number}"))


def test_denials_of_a_moment_hold_nobody_up_for_longer(permissions: Permissions, clock: FakeClock) -> None:
    """A hundred requests were under way when the server started."""
    for number in range(100):
        permissions.denied(*apply(f"a{number}"), NO)
    clock.advance(0.5)

    permissions.check(*apply("a0"))


def test_command_believes_at_once_what_it_is_denied_when_it_was_allowed_anything(clock: FakeClock) -> None:
    permissions = Permissions(clock, hurried=True)
    assert isinstance(permissions.denied(*JOBS, NO), DeniedError)
    clock.advance(2)
    assert permissions.denied(*JOBS, NO) is NO

    permissions.allowed("list", "pods", "/api/v1/pods")
    assert permissions.denied("get", "secrets", "/api/v1/namespaces/shop/secrets/a", NO) is NO
