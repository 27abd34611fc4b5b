"""Exposed secret reports: the secrets left inside the image of one container.

A report is made also when there are none, so that "clean" and "never scanned" can be told apart.
Promises: worst first, then by place; the same input gives the same report. ``match`` is what the scanner
masked, nothing else of a secret is known here.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from trivyop.report import keys
from trivyop.report.artifact import (
    first_digest,
    image_annotations,
    image_fields,
    os_annotation,
    scanner_fields,
    timestamp,
)
from trivyop.report.content import seal
from trivyop.report.findings import Findings, Secret, Severity
from trivyop.report.frame import frame, settings_annotation
from trivyop.report.options import ReportOptions
from trivyop.report.summary import SeverityCounts
from trivyop.workload.images import ContainerImage
from trivyop.workload.resolve import Workload


def build_secret_report(
    workload: Workload,
    container: ContainerImage,
    findings: Findings,
    options: ReportOptions,
    *,
    now: datetime,
    name: str | None = None,
) -> dict[str, Any]:
    """Build the ExposedSecretReport of a container. ``now`` is aware and is written to the second."""
    counts = SeverityCounts.of(_severity(found) for found in findings.secrets)
    image = image_fields(container, first_digest(findings.repo_digests))
    body = {
        **image,
        "scanner": scanner_fields(findings.scanner_version),
        "secrets": [_row(found) for found in sorted(findings.secrets, key=_order)],
        "summary": {
            "criticalCount": counts.critical,
            "highCount": counts.high,
            "mediumCount": counts.medium,
            "lowCount": counts.low,
        },
        "updateTimestamp": timestamp(now),
    }
    annotations = {
        **image_annotations(container, image),
        **os_annotation(findings.os_family, findings.os_name, eosl=findings.eosl),
        **settings_annotation(options),
        keys.SCANNED_AT: timestamp(now),
        keys.SUMMARY: str(counts),
    }
    report = frame(
        "ExposedSecretReport", workload, container, options, name=name, annotations=annotations, body=body
    )
    return seal(report, options.budget_bytes)


def _severity(found: Secret) -> Severity:
    """The severity as a report can hold it: the schema has no UNKNOWN, which a custom rule may have."""
    return Severity.LOW if found.severity is Severity.UNKNOWN else found.severity


def _order(found: Secret) -> tuple[int | str, ...]:
    return (_severity(found).rank, found.target, found.rule_id, found.match, found.title, found.category)


def _row(found: Secret) -> dict[str, Any]:
    return {
        "category": found.category,
        "match": found.match,
        "ruleID": found.rule_id,
        "severity": _severity(found).value,
        "target": found.target,
        "title": found.title,
    }
