"""Failures of audits: when each is tried again, and what is told."""

from __future__ import annotations

import random

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from tests.clock import FakeClock
from trivyop.audit.engine import AuditError, AuditFailure
from trivyop.controllers.audits.failures import AuditFailures, Basis
from trivyop.controllers.audits.kinds import AuditRef
from trivyop.kube.resources import ObjectKey

REF = AuditRef("Role", ObjectKey("shop", "reader"))
BASIS = Basis("u1", "s1", "p1")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def failures(clock: FakeClock, registry: CollectorRegistry) -> AuditFailures:
    return AuditFailures(registry, clock, random.Random(1))


def error(reason: AuditFailure = AuditFailure.TIMEOUT, *, everyone: bool = False) -> AuditError:
    return AuditError(reason, "it took too long", everyone=everyone)


def test_same_audit_waits_for_its_time(failures: AuditFailures, clock: FakeClock) -> None:
    seconds = failures.failed(REF, BASIS, error())

    assert failures.wait(REF, BASIS) == seconds
    clock.advance(seconds + 1)
    assert failures.wait(REF, BASIS) is None


@pytest.mark.parametrize("change", [{"state": "s2"}, {"policies": "p2"}, {"uid": "u2"}])
def test_another_resource_or_other_policies_are_audited_at_once(
    failures: AuditFailures, change: dict[str, str]
) -> None:
    failures.failed(REF, BASIS, error())

    assert failures.wait(REF, BASIS._replace(**change)) is None


def test_waits_grow_and_begin_anew_with_a_change(failures: AuditFailures) -> None:
    waits = [failures.failed(REF, BASIS, error()) for _ in range(6)]
    again = failures.failed(REF, BASIS._replace(state="s2"), error())

    assert waits[4] > 4 * waits[0]
    assert again <= 2 * waits[0]


def test_what_only_a_change_can_help_is_tried_seldom(failures: AuditFailures) -> None:
    other = AuditRef("Role", ObjectKey("shop", "other"))

    assert failures.failed(REF, BASIS, error(AuditFailure.UNPARSABLE)) > 2 * failures.failed(
        other, BASIS, error(AuditFailure.SCANNER)
    )


def test_what_fails_for_everybody_is_logged_once(failures: AuditFailures) -> None:
    """Ten thousand resources and no Trivy."""
    with capture_logs() as logs:
        for n in range(100):
            ref = AuditRef("Role", ObjectKey("shop", f"r{n}"))
            failures.failed(ref, BASIS, error(AuditFailure.SCANNER, everyone=True))

    assert len([line for line in logs if line["event"] == "audit_failed"]) == 1
    assert failures.text() == "it took too long"


def test_what_keeps_all_from_working_is_told_while_it_does(failures: AuditFailures) -> None:
    """It is over for a resource that fails for a reason of its own, or that is gone."""
    other = AuditRef("Role", ObjectKey("shop", "other"))
    for ref in (REF, other):
        failures.failed(ref, BASIS, error(AuditFailure.SCANNER, everyone=True))

    failures.failed(REF, BASIS, error(AuditFailure.TIMEOUT))
    assert failures.text() is not None
    failures.forget(other)
    assert failures.text() is None


def test_success_ends_it(failures: AuditFailures, registry: CollectorRegistry) -> None:
    failures.failed(REF, BASIS, error())
    failures.succeeded(REF)

    assert failures.wait(REF, BASIS) is None
    assert failures.problems() == {}
    assert registry.get_sample_value("trivyop_audits_total", {"outcome": "failed"}) == 1
    assert registry.get_sample_value("trivyop_audits_total", {"outcome": "done"}) == 1
