"""Projection: another workload's report, made from an existing report of the same image.

One scan serves all workloads that run the digest. What a report says about the image is taken as it is; whose
it is, and how that workload names the image, is written anew. A report that lacked something to fit its size
still says so, and one of unknown settings stays one of unknown settings.

A projection shares the findings with what it was made from; neither may be changed afterwards.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from trivyop.kube.resources import SBOMREPORTS
from trivyop.report import keys
from trivyop.report.artifact import image_annotations, image_fields, os_annotation
from trivyop.report.content import seal
from trivyop.report.findings import Severity
from trivyop.report.frame import frame
from trivyop.report.options import ReportOptions
from trivyop.report.plans import Rows
from trivyop.report.sbom import name_for, sbom_summary
from trivyop.report.summary import SeverityCounts
from trivyop.report.vulnerability import os_fields, target_of_os_packages, ttl_annotation
from trivyop.workload.images import ContainerImage
from trivyop.workload.resolve import Workload

_TAKEN_OVER = (keys.OMITTED, keys.SETTINGS_HASH, keys.OS)


def reproject(
    report: Mapping[str, Any],
    workload: Workload,
    container: ContainerImage,
    options: ReportOptions,
    *,
    name: str | None = None,
) -> dict[str, Any]:
    """Build the report of ``container`` from ``report``, which may also be one the Go operator made.

    The time of the scan stays that of ``report``; a ClusterSbomReport becomes an SbomReport.
    """
    kind = report["kind"]
    source: Mapping[str, str] = report["metadata"].get("annotations") or {}
    body = dict(report["report"])
    image = image_fields(container, body["artifact"].get("digest"))
    body |= image
    annotations = {
        **image_annotations(container, image),
        **{key: source[key] for key in _TAKEN_OVER if key in source},
        keys.SCANNED_AT: body["updateTimestamp"],
    }
    if Rows.COMPONENTS in body:
        kind = SBOMREPORTS.kind
        body["components"] = name_for(body["components"], container)
        annotations[keys.SUMMARY] = sbom_summary(body["summary"])
    else:
        annotations[keys.SUMMARY] = str(_counts(body["summary"]))
    if Rows.VULNERABILITIES in body:
        annotations[keys.FIXABLE] = source.get(keys.FIXABLE) or _fixable(body["vulnerabilities"])
        annotations |= ttl_annotation(options)
        _retarget(body, container)
        system = body["os"]
        family, version, eosl = system.get("family", ""), system.get("name", ""), system.get("eosl", False)
        body["os"] = os_fields(family, version, eosl=eosl)
        annotations |= os_annotation(family, version, eosl=eosl)
    projected = frame(kind, workload, container, options, name=name, annotations=annotations, body=body)
    return seal(projected, options.budget_bytes)


def _counts(summary: Mapping[str, int]) -> SeverityCounts:
    return SeverityCounts(
        critical=summary["criticalCount"],
        high=summary["highCount"],
        medium=summary["mediumCount"],
        low=summary["lowCount"],
        unknown=summary.get("unknownCount", 0),
    )


def _fixable(rows: Iterable[Mapping[str, str]]) -> str:
    return str(SeverityCounts.of(Severity.parse(row["severity"]) for row in rows if row.get("fixedVersion")))


def _retarget(body: dict[str, Any], container: ContainerImage) -> None:
    """Let the targets of operating system packages name the image as this container does."""
    family, name = body["os"].get("family", ""), body["os"].get("name", "")
    if not family:
        return
    suffix = target_of_os_packages("", family, name)
    target = target_of_os_packages(container.image, family, name)
    body["vulnerabilities"] = [
        {**row, "target": target} if row.get("target", "").endswith(suffix) else row
        for row in body["vulnerabilities"]
    ]
