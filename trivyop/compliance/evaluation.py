"""Evaluation: the answer to each control of a specification, and why there is none.

A control passes only where something was looked at: a resource that its checks are for has a report, made
with checks that include them, and has no finding. Whatever else is missing has a reason.

Promises: pure; the same findings and circumstances give the same answers. A control fails if any of its
checks has a finding, and passes if all that apply pass.
Not here: how it is written into a status (``status.py``).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from trivyop.compliance.findings import Findings
from trivyop.compliance.scopes import CONTROL_PLANE_NODE, NODE, Audited, Scope, scope_of
from trivyop.compliance.specification import Control
from trivyop.report.findings import Severity

# That there is none of these is what the controls are about.
_ASKED_FOR: Final = frozenset({"NetworkPolicy", "LimitRange", "ResourceQuota"})


class Result(StrEnum):
    """The answer to a control."""

    PASS = "pass"  # noqa: S105
    FAIL = "fail"
    MANUAL = "manual"  # it has no checks: people have to look
    NOT_EVALUATED = "not evaluated"
    NOT_APPLICABLE = "not applicable"


class Reason(StrEnum):
    """Why a control is neither passed nor failed."""

    SCANNER_OFF = "ScannerOff"
    UNKNOWN_CHECK = "UnknownCheck"
    MANAGED_CONTROL_PLANE = "ManagedControlPlane"
    SEVERITY_LEFT_OUT = "SeverityLeftOut"
    POLICIES_STALE = "PoliciesStale"
    INCOMPLETE = "IncompleteReports"
    NO_NODE_COLLECTED = "NoNodeCollected"
    NOTHING_AUDITED = "NothingAudited"
    NO_SUCH_RESOURCE = "NoSuchResource"  # the only one that makes a control not applicable


class Scanner(StrEnum):
    """What makes the reports that controls are answered from."""

    CONFIG_AUDIT = "config audit"
    RBAC_ASSESSMENT = "RBAC assessment"
    INFRA_ASSESSMENT = "infra assessment"


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What else there is to know about audits and about the cluster."""

    checks: Mapping[str, Severity]  # those that Trivy and the policies have, by canonical id
    scanners_off: frozenset[Scanner] = frozenset()
    severities: frozenset[Severity] = frozenset(Severity)  # those that reports show
    policies: Mapping[str, str] = field(default_factory=dict[str, str])  # the current hash for each kind
    absent_kinds: frozenset[str] = frozenset()  # those of which the cluster has no object
    managed_control_plane: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one control."""

    control: Control
    result: Result
    findings: int = 0
    evaluated: int = 0  # reports that its checks had a say in
    reason: Reason | None = None
    message: str = ""


@dataclass(frozen=True, slots=True)
class _CheckAnswer:
    result: Result
    evaluated: int = 0
    reason: Reason | None = None
    message: str = ""


def evaluate(
    controls: Collection[Control], findings: Findings, circumstances: Circumstances
) -> Iterator[Answer]:
    """Answer each control, in order."""
    known: dict[str, _CheckAnswer] = {}
    for control in controls:
        for check in control.checks:
            if check not in known:
                known[check] = _answer_check(check, findings, circumstances)
        yield _answer(control, [known[check] for check in control.checks], findings)


def _answer(control: Control, checks: list[_CheckAnswer], findings: Findings) -> Answer:
    if not checks:
        return Answer(control, Result.MANUAL)
    results = {check.result for check in checks}
    total = 0
    for check, answered in zip(control.checks, checks, strict=True):
        total += findings.total(check) if answered.result is Result.FAIL else 0
    evaluated = max(check.evaluated for check in checks)
    for result in (Result.FAIL, Result.NOT_EVALUATED, Result.PASS):
        if result in results:
            break
    else:
        result = Result.NOT_APPLICABLE
    why = next(check for check in checks if check.result is result)
    return Answer(control, result, total, evaluated, why.reason, why.message)


def _answer_check(check: str, findings: Findings, circumstances: Circumstances) -> _CheckAnswer:
    scope = scope_of(check)
    scanner = _scanner(check, scope)
    off = scanner in circumstances.scanners_off
    audited = {one: count for one, count in findings.audited.items() if scope.includes(one)}
    if not off and findings.total(check):
        return _CheckAnswer(Result.FAIL, evaluated=sum(audited.values()))
    trusted = sum(count for one, count in audited.items() if _is_current(one, circumstances) and one.complete)
    reason, message = _why_not(check, scope, circumstances, audited)
    if off:
        reason, message = Reason.SCANNER_OFF, f"the scanner of {scanner} is off"
    if reason is None and trusted:
        return _CheckAnswer(Result.PASS, evaluated=trusted)
    if reason is None:
        reason, message = _why_nothing(scope, circumstances, audited)
    result = Result.NOT_APPLICABLE if reason is Reason.NO_SUCH_RESOURCE else Result.NOT_EVALUATED
    return _CheckAnswer(result, 0, reason, message)


def _scanner(check: str, scope: Scope) -> Scanner:
    if check.startswith("KCV-"):
        return Scanner.INFRA_ASSESSMENT
    return Scanner.RBAC_ASSESSMENT if scope.in_roles else Scanner.CONFIG_AUDIT


def _is_current(audited: Audited, circumstances: Circumstances) -> bool:
    return circumstances.policies.get(audited.kind, audited.policies) == audited.policies


def _why_not(
    check: str, scope: Scope, circumstances: Circumstances, audited: Mapping[Audited, int]
) -> tuple[Reason | None, str]:
    """Why the absence of findings says nothing, whatever was audited."""
    severity = circumstances.checks.get(check)
    if severity is None:
        return Reason.UNKNOWN_CHECK, f"there is no check {check}"
    if scope.in_control_plane and circumstances.managed_control_plane and not audited:
        return Reason.MANAGED_CONTROL_PLANE, f"the provider of the cluster runs its {scope}"
    if severity not in circumstances.severities:
        return Reason.SEVERITY_LEFT_OUT, f"reports leave out findings of severity {severity.value}"
    return None, ""


def _why_nothing(
    scope: Scope, circumstances: Circumstances, audited: Mapping[Audited, int]
) -> tuple[Reason, str]:
    """Why no report can be relied upon."""
    if any(_is_current(one, circumstances) for one in audited):
        return Reason.INCOMPLETE, "reports left out findings for their size"
    if audited:
        return Reason.POLICIES_STALE, "reports were made with other policies than those of now"
    if scope.component in (NODE, CONTROL_PLANE_NODE):
        return Reason.NO_NODE_COLLECTED, f"no {scope} has been collected"
    absent = scope.kinds & circumstances.absent_kinds
    if scope.kinds and absent == scope.kinds and not scope.kinds & _ASKED_FOR:
        return Reason.NO_SUCH_RESOURCE, f"the cluster has no {scope}"
    return Reason.NOTHING_AUDITED, f"no {scope} has been audited"
