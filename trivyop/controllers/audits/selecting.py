"""What the settings mean to audits: which resources are audited, and how reports of audits look."""

from __future__ import annotations

from dataclasses import replace

import structlog

from trivyop.controllers.audits.kinds import OTHER_KINDS
from trivyop.controllers.selecting import build_selection
from trivyop.report.audit import RBAC_KINDS, AuditOptions
from trivyop.report.findings import Severity
from trivyop.settings import Settings
from trivyop.settings.durations import format_duration
from trivyop.workload.owners import WorkloadKind
from trivyop.workload.selection import Selection

log = structlog.get_logger(__name__)

_ALL_WORKLOADS = "Workload"
_WITHOUT_EFFECT = frozenset(
    {_ALL_WORKLOADS, "Deployment", "Node"}
)  # known to all, and audited as something else


def build_audit_selection(settings: Settings) -> Selection:
    """Which workloads are audited, and in which namespaces anything is."""
    kinds = set(settings.audit.supported_kinds)
    selection = build_selection(settings)
    wanted = {kind for kind in selection.kinds if _ALL_WORKLOADS in kinds or kind.value in kinds}
    return replace(
        selection,
        kinds=frozenset(wanted),
        excluded_images=(),
        skip_init_containers=False,
        only_current_revisions=settings.audit.scan_only_current_revisions,
    )


def build_audit_kinds(settings: Settings) -> frozenset[str]:
    """Which other kinds are audited; one that nobody knows is told of."""
    kinds = set(settings.audit.supported_kinds)
    unknown = kinds - OTHER_KINDS.keys() - {kind.value for kind in WorkloadKind} - _WITHOUT_EFFECT
    if unknown:
        log.warning("audit_kinds_unknown", kinds=sorted(unknown))
    if not settings.audit.rbac_assessment_enabled:
        kinds -= RBAC_KINDS
    return frozenset(kinds & OTHER_KINDS.keys())


def build_audit_options(settings: Settings) -> AuditOptions:
    """How reports of audits look."""
    reports = settings.reports
    return AuditOptions(
        severities=frozenset(Severity(name.value) for name in settings.trivy.severities),
        failed_only=settings.audit.record_failed_checks_only,
        corrections=tuple(one.value for one in settings.audit.corrections),
        operator=settings.operator.namespace,
        resource_labels=reports.resource_labels,
        additional_labels=reports.additional_labels,
        report_ttl=format_duration(reports.ttl_seconds) if reports.ttl_seconds else "",
        budget_bytes=reports.size_budget_bytes,
    )
