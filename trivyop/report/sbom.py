"""Bills of materials: what an image is made of, per container (SbomReport) and per image (ClusterSbomReport).

The ClusterSbomReport is what vulnerabilities are matched against later, without pulling the image again. It
belongs to the digest, so it has no owner; its annotation says how long it is kept.
Not here: making the document (``scan``), which comes in already reduced to the fields a report can hold, and
perhaps by more than that, as its ``BomLeftOut`` says.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from trivyop.kube.resources import CLUSTERSBOMREPORTS, SBOMREPORTS
from trivyop.kube.times import format_time
from trivyop.report import keys
from trivyop.report.artifact import image_annotations, image_fields, scanner_fields
from trivyop.report.budget import Omitted
from trivyop.report.content import seal
from trivyop.report.findings import BomLeftOut, Sbom
from trivyop.report.frame import API_VERSION, frame, settings_annotation
from trivyop.report.names import cluster_sbom_name
from trivyop.report.options import ReportOptions
from trivyop.report.summary import show_numbers
from trivyop.workload.images import DOCKER_HUB, ContainerImage, ImageKey, ImageName, ImageRefError
from trivyop.workload.resolve import Workload

_NOTHING = BomLeftOut()
_REFERENCE = "aquasecurity:trivy:Reference"
_REPO_TAG = "aquasecurity:trivy:RepoTag"


def build_sbom_report(
    workload: Workload,
    container: ContainerImage,
    sbom: Sbom,
    options: ReportOptions,
    *,
    scanner_version: str,
    scanned_digest: str | None = None,
    left_out: BomLeftOut = _NOTHING,
    now: datetime,
    name: str | None = None,
) -> dict[str, Any]:
    """Build the SbomReport of a container; ``scanned_digest`` counts where neither spec nor node tell one."""
    body, annotations = _body(container, sbom, left_out, options, scanner_version, scanned_digest, now)
    report = frame(
        SBOMREPORTS.kind, workload, container, options, name=name, annotations=annotations, body=body
    )
    return seal(report, options.budget_bytes)


def build_cluster_sbom_report(
    key: ImageKey,
    container: ContainerImage,
    sbom: Sbom,
    options: ReportOptions,
    *,
    scanner_version: str,
    left_out: BomLeftOut = _NOTHING,
    matchable: bool = False,
    now: datetime,
) -> dict[str, Any]:
    """Build the ClusterSbomReport of an image; ``container`` is any that runs it, and lends its name.

    ``matchable`` says that a match of ``sbom`` finds what a scan does.
    """
    body, annotations = _body(container, sbom, left_out, options, scanner_version, key.digest, now)
    annotations |= {keys.IMAGE_DIGEST: key.digest} | ({keys.PLATFORM: key.platform} if key.platform else {})
    if matchable:
        annotations[keys.MATCHABLE] = keys.MATCHABLE_VALUE
    if options.cache_ttl:
        annotations[keys.REPORT_TTL] = options.cache_ttl
    name = cluster_sbom_name(key)
    labels = {**options.additional_labels, keys.MANAGED_BY: keys.MANAGED_BY_VALUE, keys.IMAGE_ID: name}
    report = {
        "apiVersion": API_VERSION,
        "kind": CLUSTERSBOMREPORTS.kind,
        "metadata": {"name": name, "labels": labels, "annotations": annotations},
        "report": body,
    }
    return seal(report, options.budget_bytes)


def _body(
    container: ContainerImage,
    sbom: Sbom,
    left_out: BomLeftOut,
    options: ReportOptions,
    scanner_version: str,
    scanned_digest: str | None,
    now: datetime,
) -> tuple[dict[str, Any], dict[str, str]]:
    image = image_fields(container, scanned_digest)
    summary = {
        # The image itself is one.
        "componentsCount": len(sbom.get("components", ())) + left_out.components + 1,
        "dependenciesCount": len(sbom.get("dependencies", ())) + left_out.dependencies,
    }
    body = {
        **image,
        "components": name_for(sbom, container),
        "scanner": scanner_fields(scanner_version),
        "summary": summary,
        "updateTimestamp": format_time(now),
    }
    annotations = {
        **image_annotations(container, image),
        **settings_annotation(options),
        keys.SCANNED_AT: format_time(now),
        keys.SUMMARY: sbom_summary(summary),
        **Omitted(left_out.fields, left_out.components).annotation,
    }
    return body, annotations


def name_for(sbom: Sbom, container: ContainerImage) -> Sbom:
    """The bill of materials of an image as Trivy writes it for the reference that the container has.

    Images are scanned by digest, which gives them the digest for a name and no tag; tools show the name. Only
    the component that stands for the image changes; what is given stays as it is.
    """
    metadata: dict[str, Any] = sbom.get("metadata") or {}
    root: dict[str, Any] = metadata.get("component") or {}
    if root.get("type") != "container":
        return sbom
    try:
        image = ImageName.parse(container.image)
    except ImageRefError:
        return sbom
    renamed = {**root, "name": container.image}
    if root.get("properties"):  # else they were left out for the size
        renamed["properties"] = _properties(root["properties"], image, container.image)
    return {**sbom, "metadata": {**metadata, "component": renamed}}


def _properties(there: list[dict[str, str]], image: ImageName, reference: str) -> list[dict[str, str]]:
    kept = [one for one in there if one["name"] not in (_REFERENCE, _REPO_TAG)]
    if any(one["name"] == _REFERENCE for one in there):  # older Trivy does not write it
        kept.append({"name": _REFERENCE, "value": reference})
    if not image.digest:  # a reference with a digest is one without a tag, for Trivy
        kept.append({"name": _REPO_TAG, "value": _repo_tag(image)})
    return sorted(kept, key=lambda one: (one["name"], one.get("value", "")))


def _repo_tag(image: ImageName) -> str:
    """Repository and tag as Trivy writes them: without Docker Hub's name and its ``library/``."""
    if image.registry == DOCKER_HUB:
        return f"{image.repository.removeprefix('library/')}:{image.tag}"
    return f"{image.registry}/{image.repository}:{image.tag}"


def sbom_summary(summary: dict[str, int]) -> str:
    """The counts of a bill of materials, as its annotation has them."""
    return show_numbers(
        {"components": summary["componentsCount"], "dependencies": summary["dependenciesCount"]}
    )
