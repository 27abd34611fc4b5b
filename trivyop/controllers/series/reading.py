"""Reading: what metrics need of one report's body, as text that stands in series.

A finding becomes its labels, ``vuln_id="CVE-1",severity="High"``: one string that all reports with that
finding share. Findings come worst first, each set of labels once.
Not here: which reports are read, and when (``reader.py``).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import msgspec

from trivyop.controllers.series.bodies import (
    AuditReport,
    ComplianceReport,
    Counts,
    ScanBody,
    ScanReport,
    Status,
    Totals,
)
from trivyop.kube.objects import Object
from trivyop.kube.resources import Resource
from trivyop.observe.exposition import show_labels
from trivyop.report.findings import Severity
from trivyop.report.kinds import ReportKind, kind_of
from trivyop.report.plans import Rows
from trivyop.report.summary import SeverityCounts

SEVERITIES = tuple(severity.title() for severity in Severity)  # as labels show them, worst first


class Reading(msgspec.Struct, frozen=True, weakref=True):
    """What was read of one report, or of several that say the same."""

    counts: Counts = (0, 0, 0, 0, 0)
    fixable: Counts = (0, 0, 0, 0, 0)
    image: str = ""  # labels
    digest: str = ""
    system: str = ""  # labels
    rows: tuple[str, ...] = ()  # labels of each finding
    ends: Counts = (0, 0, 0, 0, 0)  # where the findings of each severity end among the rows


class ComplianceReading(msgspec.Struct, frozen=True, weakref=True):
    """What was read of a report on compliance."""

    title: str  # labels
    failed: int
    passed: int
    controls: tuple[tuple[str, int], ...]  # labels and value


def image_labels(registry: str, repository: str, tag: str, digest: str) -> str:
    """The labels that name an image."""
    return show_labels(
        image_registry=registry, image_repository=repository, image_tag=tag, image_digest=digest
    )


def split_image(text: str) -> tuple[str, str, str, str]:
    """Registry, repository, tag and digest of ``keys.IMAGE``."""
    registry, _, rest = text.partition("/")
    name, _, digest = rest.partition("@")
    repository, _, tag = name.partition(":")
    return registry, repository, tag, digest


def system_labels(family: str, name: str, *, eosl: bool) -> str:
    """The labels that name an operating system."""
    return show_labels(image_os_family=family, image_os_name=name, image_os_eosl="true" if eosl else "")


def split_system(text: str) -> tuple[str, str, bool]:
    """Family, name, and whether it is past its end, of ``keys.OS``."""
    family, _, name = text.partition("/")
    return family, name.removesuffix("/eosl"), name.endswith("/eosl")


def read_vulnerabilities(report: ScanReport) -> Reading:
    """What a VulnerabilityReport says."""
    body = report.report
    found = body.vulnerabilities or ()
    rows, ends = _rows((row.severity, row.labels()) for row in found)
    fixable = SeverityCounts.of(Severity.parse(row.severity) for row in found if row.fixed_version)
    return Reading(
        body.summary.counts,
        counts_of(fixable),
        _image(body),
        body.artifact.digest,
        system_labels(body.os.family, body.os.name, eosl=body.os.eosl),
        rows,
        ends,
    )


def read_secrets(report: ScanReport) -> Reading:
    """What an ExposedSecretReport says."""
    body = report.report
    rows, ends = _rows((row.severity, row.labels()) for row in body.secrets or ())
    return Reading(body.summary.counts, image=_image(body), digest=body.artifact.digest, rows=rows, ends=ends)


def read_checks(report: AuditReport, prefix: str) -> Reading:
    """What a report on a resource says; of several checks with one id the first."""
    first = {check.id: check for check in reversed(report.report.checks or ())}
    rows, ends = _rows(
        (
            check.severity,
            show_labels(
                **{
                    f"{prefix}_id": check.id,
                    f"{prefix}_title": check.title,
                    f"{prefix}_description": check.description,
                    f"{prefix}_category": check.category,
                    f"{prefix}_success": "true" if check.success else "false",
                },
                severity=check.severity.title(),
            ),
        )
        for check in first.values()
    )
    return Reading(report.report.summary.counts, rows=rows, ends=ends)


def read_compliance(report: ComplianceReport) -> ComplianceReading:
    """What a ClusterComplianceReport says; nothing of controls if it is one with all details."""
    standard, status = report.spec.compliance, report.status or Status()
    totals = status.summary or Totals()
    controls: dict[str, int] = {}
    for control in (status.summary_report and status.summary_report.control_check) or ():
        if control.total_fail is not None:
            labels = show_labels(
                compliance_id=control.id,
                compliance_name=control.name,
                status="Fail" if control.total_fail else "Pass",
                severity=control.severity,
            )
            controls.setdefault(labels, control.total_fail or 1)
    title = show_labels(title=standard.title, description=standard.description)
    return ComplianceReading(title, totals.fail_count, totals.pass_count, tuple(controls.items()))


def counts_of(counts: SeverityCounts) -> Counts:
    return (counts.critical, counts.high, counts.medium, counts.low, counts.unknown)


def _image(body: ScanBody) -> str:
    artifact = body.artifact
    return sys.intern(image_labels(body.registry.server, artifact.repository, artifact.tag, artifact.digest))


def _rows(found: Iterable[tuple[str, str]]) -> tuple[tuple[str, ...], Counts]:
    groups: tuple[dict[str, None], ...] = tuple({} for _ in Severity)
    for severity, labels in found:
        groups[Severity.parse(severity).rank][sys.intern(labels)] = None
    end = 0
    ends = [end := end + len(group) for group in groups]
    return tuple(row for group in groups for row in group), (ends[0], ends[1], ends[2], ends[3], ends[4])


def _prefix(kind: ReportKind) -> str:
    """What the labels of a check begin with, in the metric that has a series for each; "" without one."""
    labels = (label for family in kind.families if family.per_finding for label in family.labels)
    return next((label.removesuffix("_id") for label in labels if label.endswith("_id")), "")


Read = Callable[[Any], Reading | ComplianceReading]

_READERS: Mapping[Rows, tuple[type[Object], Read]] = {
    Rows.VULNERABILITIES: (ScanReport, read_vulnerabilities),
    Rows.SECRETS: (ScanReport, read_secrets),
    Rows.CONTROLS: (ComplianceReport, read_compliance),
}


def reader_of(resource: Resource) -> tuple[type[Object], Read]:
    """How a report of that kind is decoded and read."""
    kind = kind_of(resource)
    if kind.rows is Rows.CHECKS:
        return AuditReport, partial(read_checks, prefix=_prefix(kind))
    return _READERS[kind.rows]
