"""Trying policies before they count: each alone first, then all together.

Trivy stops at a module with a syntax error, leaves out one that does not compile, and says so in its log
only; a module that gets in the way of its own checks makes those disappear. So what it finds on a few
samples, with a policy and without any, is compared.

Promises: of what is accepted, everything is evaluated, and Trivy's own checks say what they said before. What
is not accepted is named, with Trivy's message.
Not here: crashes that depend on the resource (``splitting.py``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Protocol

import msgspec

from trivyop.audit.engine import AuditError, Batch, Check, Outcome, Subject
from trivyop.audit.policies import CustomPolicy, Module, Policies, PolicyProblem
from trivyop.audit.results import logged, without_path
from trivyop.audit.samples import SAMPLES

_TROUBLE = (
    "Error occurred while parsing",
    "Unable to parse check",
    "Failed to retrieve metadata from annotations",
)
_ABOUT_REGO = re.compile(r"[^\s/]+\.rego:\d+: .+", re.DOTALL)


class Runs(Protocol):
    """What runs Trivy."""

    async def run(
        self, subjects: tuple[Subject, ...], policies: Policies, *, debug: bool = ...
    ) -> tuple[Batch, str]: ...


async def examine(trivy: Runs, policies: Policies) -> tuple[Policies, tuple[PolicyProblem, ...]]:
    """Those policies that can be evaluated, together, and what is wrong with the others.

    ``AuditError`` when Trivy does not even work without them.
    """
    if not policies.custom:
        return policies, ()
    batch, _ = await trivy.run(SAMPLES, _without_custom(policies))
    plain = _own_findings(batch)
    problems = await _problems(trivy, policies, plain)
    if not problems:
        return policies, ()
    accepted = msgspec.structs.replace(policies, custom=(), libraries=())
    found: list[PolicyProblem] = []
    for library in policies.libraries:
        wider = msgspec.structs.replace(accepted, libraries=(*accepted.libraries, library))
        problems = await _problems(trivy, _with_probe(wider), plain)
        if problems:
            found.append(PolicyProblem(library.key, problems[0]))
        else:
            accepted = wider
    for policy in policies.custom:  # alone first, so that it is blamed for its own faults only
        alone = msgspec.structs.replace(accepted, custom=(policy,))
        problems = await _problems(trivy, alone, plain)
        if not problems and accepted.custom:
            together = msgspec.structs.replace(accepted, custom=(*accepted.custom, policy))
            problems = await _problems(trivy, together, plain)
        if problems:
            found.append(PolicyProblem(policy.name, problems[0]))
        else:
            accepted = msgspec.structs.replace(accepted, custom=(*accepted.custom, policy))
    return accepted, tuple(found)


def _without_custom(policies: Policies) -> Policies:
    return policies.without({one.name for one in policies.custom})


def _with_probe(policies: Policies) -> Policies:
    """With a policy that finds nothing: without any, Trivy would not read the libraries."""
    module = Module("policy.trivyop-probe.rego", "package trivyop_probe\n")
    return msgspec.structs.replace(
        policies, custom=(CustomPolicy("trivyop-probe", module, frozenset({"none"})),)
    )


async def _problems(trivy: Runs, policies: Policies, plain: frozenset[tuple[str, Check]]) -> list[str]:
    """What Trivy says against these policies, or what they do to its own checks.

    Trivy may also be slow or killed for a moment, through no fault of theirs. So unless it names a module, it
    has to fail twice, and work without them in between.
    """
    try:
        batch, log = await trivy.run(SAMPLES, policies, debug=True)
    except AuditError as error:
        if error.everyone:
            raise  # it says nothing about the policies
        if _ABOUT_REGO.search(error.message):
            return [_worded(error.message)]
        await trivy.run(SAMPLES, _without_custom(policies))
        try:
            batch, log = await trivy.run(SAMPLES, policies, debug=True)
        except AuditError as again:
            if again.everyone:
                raise
            return [_worded(again.message)]
    said = list(_complaints(log, {module.key for module in policies.modules}))
    if not said and not plain <= _own_findings(batch):
        said.append("it changes what checks of Trivy's own find, or keeps them from being evaluated")
    return said


def _own_findings(batch: Batch) -> frozenset[tuple[str, Check]]:
    return frozenset(
        (name, check)
        for name, outcome in batch.outcomes.items()
        if not isinstance(outcome, AuditError)
        for check in _checks(outcome)
    )


def _checks(outcome: Outcome) -> Iterator[Check]:
    yield from outcome


def _complaints(log: str, keys: set[str]) -> Iterator[str]:
    for line in log.splitlines():
        if any(trouble in line for trouble in _TROUBLE):
            values = logged(line)
            if values.get("file_path", "").rpartition("/")[2] in keys:
                yield _worded(values.get("err", line))


def _worded(message: str) -> str:
    """Of Trivy's message what is about the module, where it says so."""
    found = _ABOUT_REGO.search(message)
    return without_path(found[0] if found else message)
