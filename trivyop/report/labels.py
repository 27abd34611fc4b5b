"""Labels: the metadata of a report, by which people and we find what it belongs to.

Later wins: labels copied from the workload, then the configured ones, then ours, because our own watches
select on ours. A workload name that is no label value goes into an annotation, with its hash as the label.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trivyop.kube.objects import ObjectMeta
from trivyop.report import keys
from trivyop.report.hashing import compute_hash
from trivyop.report.names import is_label_value
from trivyop.report.options import ReportOptions
from trivyop.workload.owners import WorkloadRef
from trivyop.workload.resolve import Workload


def resource_labels(kind: str, namespace: str, name: str) -> dict[str, str]:
    """The labels that name a resource; all of a resource's reports carry them."""
    by_name = (
        {keys.RESOURCE_NAME: name} if is_label_value(name) else {keys.RESOURCE_NAME_HASH: compute_hash(name)}
    )
    return {keys.RESOURCE_KIND: kind, **by_name, keys.RESOURCE_NAMESPACE: namespace}


def report_labels(workload: Workload, container: str, options: ReportOptions) -> dict[str, str]:
    """All labels of a container's report."""
    return {
        **{key: workload.labels[key] for key in options.resource_labels if key in workload.labels},
        **options.additional_labels,
        keys.MANAGED_BY: keys.MANAGED_BY_VALUE,
        keys.CONTAINER_NAME: container,
        keys.SPEC_HASH: workload.spec_hash,
        **resource_labels(workload.kind, workload.key.namespace, workload.key.name),
    }


def name_annotations(workload: Workload) -> dict[str, str]:
    """The annotation with the workload's name, where no label can hold it."""
    name = workload.key.name
    return {} if is_label_value(name) else {keys.RESOURCE_NAME: name}


def owner_reference(workload: Workload) -> dict[str, Any]:
    """What makes the cluster collect a report when its workload goes; it never holds the workload back."""
    return {
        "apiVersion": workload.api_version,
        "blockOwnerDeletion": False,
        "controller": True,
        "kind": workload.kind,
        "name": workload.key.name,
        "uid": workload.uid,
    }


def describes(meta: ObjectMeta, workload: WorkloadRef, container: str) -> bool:
    """Whether a report is this container's; its name alone may be that of another workload's."""
    labels: Mapping[str, str] = meta.labels or {}
    expected = resource_labels(workload.kind, workload.key.namespace, workload.key.name)
    return labels.get(keys.CONTAINER_NAME) == container and expected.items() <= labels.items()
