"""Trying policies: what is laid to them, and what is not; with a Trivy that fails to order."""

from __future__ import annotations

import pytest

from trivyop.audit.engine import AuditError, AuditFailure, Batch, Subject
from trivyop.audit.examination import examine
from trivyop.audit.policies import CustomPolicy, Module, Policies


def policy(name: str) -> CustomPolicy:
    return CustomPolicy(name, Module(f"policy.{name}.rego", f"package trivyoperator.{name}"), frozenset("*"))


POLICIES = Policies((policy("a"), policy("b")))
KILLED = AuditError(AuditFailure.MEMORY, "exit code 137")
SLOW = AuditError(AuditFailure.TIMEOUT, "took more than 60 s")
NO_ROOM = AuditError(AuditFailure.SCANNER, "no space left on device", everyone=True)


class Trivy:
    """Finds nothing; fails on the runs that are named, counted from 0, and on policies that are named."""

    def __init__(self, failures: dict[int, AuditError], bad: dict[str, AuditError] | None = None) -> None:
        self.failures = failures
        self.bad = bad or {}
        self.runs = 0

    async def run(
        self, subjects: tuple[Subject, ...], policies: Policies, *, debug: bool = False
    ) -> tuple[Batch, str]:
        number, self.runs = self.runs, self.runs + 1
        if number in self.failures:
            raise self.failures[number]
        for one in policies.custom:
            if one.name in self.bad:
                raise self.bad[one.name]
        return Batch({subject.name: () for subject in subjects}), ""


@pytest.mark.parametrize("error", [KILLED, SLOW])
async def test_no_policy_is_refused_for_what_happened_once(error: AuditError) -> None:
    assert await examine(Trivy({1: error}), POLICIES) == (POLICIES, ())


@pytest.mark.parametrize("error", [KILLED, SLOW])
async def test_policy_that_fails_whenever_it_is_tried_is_refused(error: AuditError) -> None:
    accepted, problems = await examine(Trivy({}, {"b": error}), POLICIES)

    assert [one.name for one in accepted.custom] == ["a"]
    assert [(one.policy, one.message) for one in problems] == [("b", error.message)]


async def test_policy_that_trivy_names_is_refused_at_once() -> None:
    """It needs no second run to be believed."""
    named = AuditError(AuditFailure.SCANNER, "policy.b.rego:3: rego_parse_error: unexpected eof")
    trivy = Trivy({}, {"b": named})

    _, problems = await examine(trivy, POLICIES)

    assert [one.policy for one in problems] == ["b"]
    assert trivy.runs == 4  # without any, all, a, b


@pytest.mark.parametrize(
    "failures", [{0: SLOW}, {1: NO_ROOM}, {1: SLOW, 2: SLOW}, {1: KILLED, 2: KILLED}, {1: SLOW, 3: NO_ROOM}]
)
async def test_trial_that_fails_without_policies_too_says_nothing_about_them(
    failures: dict[int, AuditError],
) -> None:
    """It is for the caller to try again later."""
    with pytest.raises(AuditError):
        await examine(Trivy(failures), POLICIES)
