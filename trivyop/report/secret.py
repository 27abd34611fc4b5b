"""Exposed secret reports: the secrets left inside the image of one container.

A report is made also when there are none, so that "clean" and "never scanned" can be told apart.
Promises: worst first, then by place; the same input gives the same report. ``match`` is what the scanner
masked, nothing else of a secret is known here. ``WORST_SECRETS`` says which of very many are worth keeping.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import orjson
from msgspec.structs import replace

from trivyop.kube.resources import EXPOSEDSECRETREPORTS
from trivyop.kube.times import format_time
from trivyop.report import keys
from trivyop.report.artifact import (
    first_digest,
    image_annotations,
    image_fields,
    os_annotation,
    scanner_fields,
)
from trivyop.report.budget import Omitted
from trivyop.report.content import seal
from trivyop.report.findings import Findings, Secret, Severity
from trivyop.report.frame import frame, settings_annotation
from trivyop.report.options import ReportOptions
from trivyop.report.plans import TEXT_LIMIT, shortened
from trivyop.report.summary import SeverityCounts
from trivyop.report.worst import Shape, Text
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
    left_out = findings.secrets_left_out
    counts = SeverityCounts.of(map(_severity, findings.secrets), left_out)
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
        "updateTimestamp": format_time(now),
    }
    annotations = {
        **image_annotations(container, image),
        **os_annotation(findings.os_family, findings.os_name, eosl=findings.eosl),
        **settings_annotation(options),
        keys.SCANNED_AT: format_time(now),
        keys.SUMMARY: str(counts),
        **Omitted(left_out.texts, left_out.count).annotation,
    }
    report = frame(
        EXPOSEDSECRETREPORTS.kind, workload, container, options, name=name, annotations=annotations, body=body
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


# what is kept of very many

_BARE_ROW = len(orjson.dumps(_row(Secret(target="", rule_id="", severity=Severity.LOW))))


def _least_size(found: Secret) -> int:
    """Bytes of the row in any report; characters may take more."""
    return (
        _BARE_ROW
        + len(found.category)
        + min(len(found.match), TEXT_LIMIT)
        + len(found.rule_id)
        + len(found.target)
        + min(len(found.title), TEXT_LIMIT)
    )


WORST_SECRETS: Shape[Secret] = Shape(
    severity=_severity,
    importance=_order,
    least_size=_least_size,
    texts=(
        Text(
            "matches",
            lambda found: max(0, len(found.match) - TEXT_LIMIT),
            lambda found: replace(found, match=shortened(found.match)),
        ),
        Text(
            "titles",
            lambda found: max(0, len(found.title) - TEXT_LIMIT),
            lambda found: replace(found, title=shortened(found.title)),
        ),
    ),
)
"""Which secrets reports keep longest, in terms of ``budget.py``."""
