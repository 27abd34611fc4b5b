"""Reading: the little of an audit's report that compliance is answered from.

The reports are read page by page, and none is kept: ``findings.py`` counts what they say.

Promises: pure. All spellings of a check's id become one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container
from functools import lru_cache
from typing import NamedTuple

import msgspec

from trivyop.compliance.scopes import CONTROL_PLANE_NODE, NODE, Audited, component_of
from trivyop.kube.resources import CLUSTERINFRAASSESSMENTREPORTS, INFRAASSESSMENTREPORTS, ObjectKey, Resource
from trivyop.report import keys
from trivyop.report.checkids import canonical
from trivyop.report.stored import StoredReport


class _Metadata(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    name: str
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None


class CheckTexts(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """What a report says of a check."""

    check_id: str = msgspec.field(name="checkID")
    success: bool = False
    severity: str = ""
    title: str = ""
    description: str = ""
    remediation: str = ""


class _Body(msgspec.Struct, frozen=True, gc=False):
    checks: tuple[CheckTexts, ...] = ()


class AuditReport(msgspec.Struct, frozen=True, gc=False):
    """A report of any of the six kinds that audits make."""

    metadata: _Metadata
    report: _Body = _Body()

    @property
    def key(self) -> ObjectKey:
        return ObjectKey(self.metadata.namespace, self.metadata.name)

    @property
    def version(self) -> int:
        """Stands for what the report says, as `version_of` does."""
        meta = self.metadata
        annotations = meta.annotations or {}
        revision = "" if annotations.get(keys.SUMMARY) else meta.resource_version
        return hash((meta.uid, annotations.get(keys.CONTENT_HASH, ""), revision))


def version_of(report: StoredReport) -> int:
    """Stands for what a report says, by its metadata alone."""
    return hash((report.uid, report.content_hash, report.revision))


class ReportFindings(NamedTuple):
    """What one report says."""

    target: str  # "shop/replicaset-web"; "/clusterrole-admin" of a cluster-scoped resource
    audited: Audited
    failed: tuple[tuple[str, int], ...]  # canonical id and how many findings it has; sorted by id
    checks: tuple[CheckTexts, ...]  # those that failed; several findings may be of one check


def read_report(
    resource: Resource, report: AuditReport, control_plane_nodes: Container[str] = ()
) -> ReportFindings:
    """Read a report of kind ``resource``; ``control_plane_nodes`` are names of nodes."""
    meta = report.metadata
    labels, annotations = meta.labels or {}, meta.annotations or {}
    kind = labels.get(keys.RESOURCE_KIND, "")
    name = labels.get(keys.RESOURCE_NAME) or annotations.get(keys.RESOURCE_NAME, "")
    component = ""
    if resource == CLUSTERINFRAASSESSMENTREPORTS:
        component = CONTROL_PLANE_NODE if name in control_plane_nodes else NODE
    elif resource == INFRAASSESSMENTREPORTS:
        component = component_of(name)
    failed = tuple([check for check in report.report.checks if not check.success])
    return ReportFindings(
        target=f"{meta.namespace}/{meta.name}",
        audited=Audited(
            resource=resource.name,
            kind=kind,
            component=component,
            policies=labels.get(keys.POLICIES_HASH, ""),
            complete=keys.OMITTED not in annotations,
        ),
        failed=_counts(tuple(Counter([check.check_id for check in failed]).items())),
        checks=failed,
    )


@lru_cache(maxsize=4096)  # thousands of reports say the same
def _counts(spelled: tuple[tuple[str, int], ...]) -> tuple[tuple[str, int], ...]:
    """Counts by canonical id, sorted, from those by ids as they are spelled."""
    counts = Counter[str]()
    for check_id, count in spelled:
        counts[canonical(check_id)] += count
    return tuple(sorted(counts.items()))
