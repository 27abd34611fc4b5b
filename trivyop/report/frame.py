"""Frame: what all reports of a container have around their findings: name, labels, annotations, owner."""

from __future__ import annotations

from typing import Any

from trivyop.report import keys
from trivyop.report.labels import name_annotations, owner_reference, report_labels
from trivyop.report.names import report_names
from trivyop.report.options import ReportOptions
from trivyop.workload.images import ContainerImage
from trivyop.workload.resolve import Workload

API_VERSION = "aquasecurity.github.io/v1alpha1"


def settings_annotation(options: ReportOptions) -> dict[str, str]:
    """The annotation by which a report says which settings its scan had."""
    return {keys.SETTINGS_HASH: options.settings_hash} if options.settings_hash else {}


def frame(
    kind: str,
    workload: Workload,
    container: ContainerImage,
    options: ReportOptions,
    *,
    name: str | None,
    annotations: dict[str, str],
    body: dict[str, Any],
) -> dict[str, Any]:
    """Put a report together; ``name`` only where the usual one is taken (see ``names.py``)."""
    if name is None:
        containers = {container.container, *(other.container for other in workload.containers)}
        name = report_names(workload.kind, workload.key.name, containers)[container.container]
    namespace = workload.key.namespace
    return {
        "apiVersion": API_VERSION,
        "kind": kind,
        "metadata": {
            "name": name,
            **({"namespace": namespace} if namespace else {}),
            "labels": report_labels(workload, container.container, options),
            "annotations": {**name_annotations(workload), **annotations},
            "ownerReferences": [owner_reference(workload)],
        },
        "report": body,
    }
