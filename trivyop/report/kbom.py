"""Reports on the cluster itself: its bill of materials, and the vulnerabilities of what it lists.

The bill of materials is named after the version of Kubernetes, as in the Go operator; the vulnerabilities
belong to it, and go with it.
Not here: making the document, and matching it (``scan``).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from trivyop.kube.resources import CLUSTERSBOMREPORTS, ObjectKey
from trivyop.kube.times import format_time
from trivyop.report import keys
from trivyop.report.artifact import scanner_fields
from trivyop.report.content import seal
from trivyop.report.findings import Findings, Sbom
from trivyop.report.frame import API_VERSION, settings_annotation
from trivyop.report.hashing import compute_hash
from trivyop.report.names import report_names
from trivyop.report.options import ReportOptions
from trivyop.report.sbom import sbom_summary
from trivyop.report.vulnerability import build_vulnerability_report
from trivyop.workload.images import ContainerImage, ContainerKind
from trivyop.workload.resolve import Workload

REGISTRY, REPOSITORY = "k8s.io", "kubernetes"
CONTAINER = "k8s-cluster"
KBOM = "kbom"


def kbom_name(tag: str) -> str:
    """The name of the cluster's ClusterSbomReport, by the version of Kubernetes without its ``v``."""
    return compute_hash(f"{REGISTRY}/{REPOSITORY}:{tag}")


def cluster_vulnerabilities_name(tag: str) -> str:
    """The name of the ClusterVulnerabilityReport."""
    return report_names(CLUSTERSBOMREPORTS.kind, kbom_name(tag), {CONTAINER})[CONTAINER]


def build_kbom_report(
    tag: str, bom: Sbom, options: ReportOptions, *, scanner_version: str, now: datetime
) -> dict[str, Any]:
    """Build the ClusterSbomReport of the cluster."""
    name = kbom_name(tag)
    summary = {
        "componentsCount": len(bom["components"]) + 1,  # the cluster itself is one
        "dependenciesCount": len(bom["dependencies"]),
    }
    report = {
        "apiVersion": API_VERSION,
        "kind": CLUSTERSBOMREPORTS.kind,
        "metadata": {
            "name": name,
            "labels": {
                **options.additional_labels,
                keys.MANAGED_BY: keys.MANAGED_BY_VALUE,
                keys.IMAGE_ID: name,
                keys.SBOM_TYPE: KBOM,
            },
            "annotations": {
                **settings_annotation(options),
                keys.IMAGE: f"{REGISTRY}/{REPOSITORY}:{tag}",
                keys.SCANNED_AT: format_time(now),
                keys.SUMMARY: sbom_summary(summary),
            },
        },
        "report": {
            "artifact": {"repository": REPOSITORY, "tag": tag},
            "registry": {"server": REGISTRY},
            "components": bom,
            "scanner": scanner_fields(scanner_version),
            "summary": summary,
            "updateTimestamp": format_time(now),
        },
    }
    return seal(report, options.budget_bytes)


def build_cluster_vulnerability_report(
    tag: str, sbom_uid: str, findings: Findings, options: ReportOptions, *, spec_hash: str, now: datetime
) -> dict[str, Any]:
    """Build the ClusterVulnerabilityReport; it belongs to the ClusterSbomReport of that uid."""
    image = ContainerImage(CONTAINER, ContainerKind.REGULAR, f"{REGISTRY}/{REPOSITORY}:{tag}")
    workload = Workload(
        kind=CLUSTERSBOMREPORTS.kind,
        api_version=API_VERSION,
        key=ObjectKey("", kbom_name(tag)),
        uid=sbom_uid,
        labels={},
        annotations={},
        containers=(image,),
        spec_hash=spec_hash,
        service_account="",
        pull_secrets=(),
        node_name="",
    )
    return build_vulnerability_report(workload, image, findings, options, now=now)
