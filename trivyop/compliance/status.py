"""Status: what an evaluation writes into a ClusterComplianceReport.

``summary``, ``summaryReport`` and ``detailReport`` are what readers of trivy-operator's reports know; what it
does not have stands beside: ``result``, ``reason`` and ``message`` of each control, counts and conditions.
A control that was not evaluated has no ``totalFail``, so that nobody takes it for passed.

Promises: pure; the status fits the budget unless the controls alone do not. Counts are of everything, also of
what is not listed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Any, Final

import orjson

from trivyop.compliance.evaluation import Answer, Reason, Result
from trivyop.compliance.findings import Failure, Findings
from trivyop.compliance.resource import Condition
from trivyop.compliance.specification import (
    Problem,
    ReportType,
    Specification,
    Unreadable,
    problems_text,
)
from trivyop.kube.times import format_time
from trivyop.report.audit import CATEGORY
from trivyop.report.checkids import reported

VALID: Final = "Valid"
EVALUATED: Final = "Evaluated"

_COUNTS: Final = {
    Result.PASS: "passCount",
    Result.FAIL: "failCount",
    Result.MANUAL: "manualCount",
    Result.NOT_EVALUATED: "notEvaluatedCount",
    Result.NOT_APPLICABLE: "notApplicableCount",
}
_WITH_TOTAL = (Result.PASS, Result.FAIL)
_ROW_BYTES: Final = 100  # no listed finding is smaller: more of them than fit are not even built


def build_status(
    specification: Specification,
    answers: Sequence[Answer],
    findings: Findings,
    *,
    entries_limit: int,
    budget_bytes: int,
    now: datetime,
    former: tuple[Condition, ...] = (),
) -> dict[str, Any]:
    """Build the status. ``entries_limit`` is for each control; ``former`` are the conditions before.

    Findings are listed less and less, then descriptions left out, until the status fits.
    """
    status: dict[str, Any] = {
        "summary": _summary(answers),
        "updateTimestamp": format_time(now),
        "observedGeneration": specification.generation,
        "conditions": _conditions(specification.problems, answers, now, former),
    }
    if specification.schedule is not None:
        status["nextRun"] = format_time(specification.schedule.next_after(now))
    if specification.report_type is ReportType.SUMMARY:
        status["summaryReport"] = {
            "id": specification.id,
            "title": specification.title,
            "controlCheck": [_control_check(answer) for answer in answers],
        }
        return status
    failed = [answer for answer in answers if answer.result is Result.FAIL]
    limit, described = entries_limit, True
    while limit and sum(min(answer.findings, limit) for answer in failed) * _ROW_BYTES > budget_bytes:
        limit //= 2
    checks = {check for answer in failed for check in answer.control.checks}
    failures = {check: findings.failures(check, limit) for check in checks}
    while True:
        status["detailReport"] = _detail_report(specification, answers, findings, failures, limit, described)
        if len(orjson.dumps(status)) <= budget_bytes or not described:
            return status
        if limit:
            limit //= 2
        else:
            described = False


def build_refusal(
    unreadable: Unreadable,
    *,
    now: datetime,
    kept: Mapping[str, Any] | None = None,
    former: tuple[Condition, ...] = (),
) -> dict[str, Any]:
    """Build the status of a specification that can not be evaluated.

    ``kept`` is the status before, and stays as far as it is about what was found.
    """
    kept = kept or {}
    return {
        **kept,
        "updateTimestamp": kept.get("updateTimestamp") or format_time(now),
        "observedGeneration": unreadable.generation,
        "conditions": [_validity(unreadable.problems, now, former)],
    }


def _summary(answers: Sequence[Answer]) -> dict[str, int]:
    counts = Counter(answer.result for answer in answers)
    # trivy-operator leaves out the first two where they are 0, but a column with a number says more.
    return {field: counts[result] for result, field in _COUNTS.items()}


def _control_check(answer: Answer) -> dict[str, Any]:
    control = answer.control
    return {"id": control.id, "name": control.name, "severity": control.severity, **_beside(answer)}


def _beside(answer: Answer) -> dict[str, Any]:
    counted = answer.result in _WITH_TOTAL
    return {
        **({"totalFail": answer.findings} if counted and answer.control.is_counted else {}),
        "result": answer.result.value,
        **({"evaluated": answer.evaluated} if counted else {}),
        **({"reason": answer.reason.value, "message": answer.message} if answer.reason else {}),
    }


def _detail_report(
    specification: Specification,
    answers: Sequence[Answer],
    findings: Findings,
    failures: Mapping[str, list[Failure]],
    limit: int,
    described: bool,
) -> dict[str, Any]:
    return {
        "id": specification.id,
        "title": specification.title,
        "description": specification.description,
        "version": specification.version,
        "relatedVersion": list(specification.related_resources),
        "results": [_control_result(answer, findings, failures, limit, described) for answer in answers],
    }


def _control_result(
    answer: Answer, findings: Findings, failures: Mapping[str, list[Failure]], limit: int, described: bool
) -> dict[str, Any]:
    control = answer.control
    rows = _rows(answer, findings, failures, limit)
    omitted = answer.findings - len(rows) if answer.result is Result.FAIL else 0
    return {
        "id": control.id,
        "name": control.name,
        **({"description": control.description} if described and control.description else {}),
        "severity": control.severity,
        **({"status": control.default_status} if control.default_status else {}),
        "checks": rows,
        **_beside(answer),
        **({"omitted": omitted} if omitted else {}),
    }


def _rows(
    answer: Answer, findings: Findings, failures: Mapping[str, list[Failure]], limit: int
) -> list[dict[str, Any]]:
    if answer.result is Result.PASS:  # one row without content, which readers take for a pass
        return [{"checkID": "", "severity": "", "success": True}]
    if answer.result is not Result.FAIL:
        return []
    listed = (
        _row(check, failure, findings)
        for check in answer.control.checks
        for failure in failures.get(check, ())
        for _ in range(failure.findings)
    )
    return list(islice(listed, limit))


def _row(check: str, failure: Failure, findings: Findings) -> dict[str, Any]:
    texts = findings.texts(check)
    optional = {
        "title": texts.title,
        "description": texts.description,
        "category": CATEGORY,
        "remediation": texts.remediation,
    }
    return {
        "checkID": reported(texts.check_id),
        "target": failure.target,
        "severity": texts.severity,
        "success": False,
        **{field: text for field, text in optional.items() if text},
        **({"messages": [texts.description]} if texts.description else {}),
    }


def _conditions(
    problems: tuple[Problem, ...], answers: Sequence[Answer], now: datetime, former: tuple[Condition, ...]
) -> list[dict[str, Any]]:
    unknown = tuple(
        Problem(f"control {answer.control.id}", answer.message)
        for answer in answers
        if answer.reason is Reason.UNKNOWN_CHECK
    )
    missing = Counter(answer.reason for answer in answers if answer.result is Result.NOT_EVALUATED)
    reasons = ", ".join(f"{reason} {count}" for reason, count in sorted(missing.items(), key=str))
    evaluated = _condition(
        EVALUATED,
        status=not missing,
        reason="ControlsNotEvaluated" if missing else "AllEvaluated",
        message=f"controls that were not evaluated: {reasons}" if missing else "",
        now=now,
        former=former,
    )
    return [_validity((*problems, *unknown), now, former), evaluated]


def _validity(problems: tuple[Problem, ...], now: datetime, former: tuple[Condition, ...]) -> dict[str, Any]:
    return _condition(
        VALID,
        status=not problems,
        reason="ProblemsFound" if problems else "NoProblems",
        message=problems_text(problems),
        now=now,
        former=former,
    )


def _condition(
    kind: str, *, status: bool, reason: str, message: str, now: datetime, former: tuple[Condition, ...]
) -> dict[str, Any]:
    value = "True" if status else "False"
    before = next((one for one in former if one.type == kind), None)
    same = before is not None and before.status == value and before.last_transition_time
    return {
        "type": kind,
        "status": value,
        "reason": reason,
        "message": message,
        "lastTransitionTime": before.last_transition_time if before and same else format_time(now),
    }
