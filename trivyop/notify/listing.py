"""Listing: the findings that a report of any kind shows.

Reports are read as they are stored, whoever wrote them: what is not as the schema says is passed over, never
an error. Rows that are the same finding (a package that is there twice) are one, as bad as the worst of them.

Not here: bills of materials, which have no findings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from msgspec.structs import replace

from trivyop.notify.findings import FindingKind, FindingRef, finding_id, order
from trivyop.report.budget import Omitted
from trivyop.report.findings import Severity

Row = Mapping[str, Any]


def list_findings(report: Row) -> tuple[FindingRef, ...]:
    """Every finding once, worst first."""
    found: dict[str, FindingRef] = {}
    for one in _all(report):
        known = found.get(one.identity)
        if known is None:
            found[one.identity] = one
        elif one.id != known.id:
            found[one.identity] = _together(known, one)
    return tuple(sorted(found.values(), key=order))


def shows_everything(report: Row) -> bool:
    """Whether no finding was left out of the report for its size."""
    annotations = _mapping(_mapping(report, "metadata"), "annotations")
    return not Omitted.of({key: text for key, text in annotations.items() if isinstance(text, str)}).findings


def _all(report: Row) -> Iterator[FindingRef]:
    body = _mapping(report, "report")
    for field, read in _READERS.items():
        for row in _rows(body, field):
            yield from read(row)
    status = _mapping(report, "status")
    for row in _rows(_mapping(status, "summaryReport"), "controlCheck"):
        failed = row.get("totalFail")
        if isinstance(failed, int) and failed > 0:
            yield _control(row)
    for row in _rows(_mapping(status, "detailReport"), "results"):
        if any(check.get("success") is False for check in _rows(row, "checks")):
            yield _control(row)


def _vulnerability(row: Row) -> Iterator[FindingRef]:
    name, package, fixed = _text(row, "vulnerabilityID"), _text(row, "resource"), _text(row, "fixedVersion")
    severity = Severity.parse(_text(row, "severity"))
    yield FindingRef(
        id=finding_id((name, package), severity, fixable=bool(fixed)),
        kind=FindingKind.VULNERABILITY,
        name=name,
        severity=severity,
        fixable=bool(fixed),
        package=package,
        installed_version=_text(row, "installedVersion"),
        fixed_version=fixed,
        place=_text(row, "packagePath"),
        title=_text(row, "title"),
        link=_text(row, "primaryLink"),
    )


def _secret(row: Row) -> Iterator[FindingRef]:
    name, place = _text(row, "ruleID"), _text(row, "target")
    severity = Severity.parse(_text(row, "severity"))
    yield FindingRef(
        id=finding_id((name, place), severity, fixable=True),
        kind=FindingKind.SECRET,
        name=name,
        severity=severity,
        place=place,
        title=_text(row, "title"),
    )


def _check(row: Row) -> Iterator[FindingRef]:
    if row.get("success") is not False:
        return
    name, severity = _text(row, "checkID"), Severity.parse(_text(row, "severity"))
    yield FindingRef(
        id=finding_id((name,), severity, fixable=True),
        kind=FindingKind.CHECK,
        name=name,
        severity=severity,
        title=_text(row, "title"),
    )


def _control(row: Row) -> FindingRef:
    name, severity = _text(row, "id"), Severity.parse(_text(row, "severity"))
    return FindingRef(
        id=finding_id((name,), severity, fixable=True),
        kind=FindingKind.CONTROL,
        name=name,
        severity=severity,
        title=_text(row, "name"),
    )


_READERS: Mapping[str, Callable[[Row], Iterator[FindingRef]]] = {
    "vulnerabilities": _vulnerability,
    "secrets": _secret,
    "checks": _check,
}


def _together(one: FindingRef, other: FindingRef) -> FindingRef:
    """One finding out of two rows for it: the worse severity, and a fix if either has one."""
    first, second = sorted((one, other), key=order)
    fixable = first.fixable or second.fixable
    number = first.id | 1 if fixable else first.id
    return replace(
        first, id=number, fixable=fixable, fixed_version=first.fixed_version or second.fixed_version
    )


def _mapping(row: Row, field: str) -> Row:
    value = row.get(field)
    return value if isinstance(value, dict) else {}


def _rows(row: Row, field: str) -> Iterator[Row]:
    value = row.get(field)
    if isinstance(value, list):
        for one in value:  # pyright: ignore[reportUnknownVariableType]
            if isinstance(one, dict):
                yield one


def _text(row: Row, field: str) -> str:
    value = row.get(field)
    return value if isinstance(value, str) else ""
