"""What the settings mean to the parts that know nothing of settings: selections, and how reports look."""

from __future__ import annotations

from dataclasses import replace

import structlog

from trivyop.controllers.auditkinds import OTHER_KINDS
from trivyop.report.audit import RBAC_KINDS, AuditOptions
from trivyop.report.findings import Severity
from trivyop.report.options import AdditionalField, ReportOptions
from trivyop.settings import Settings, settings_hash
from trivyop.settings.durations import format_duration
from trivyop.workload.owners import WorkloadKind
from trivyop.workload.selection import Namespaces, Selection, parse_image_globs

log = structlog.get_logger(__name__)

_ALL_WORKLOADS = "Workload"
_WITHOUT_EFFECT = frozenset(
    {_ALL_WORKLOADS, "Deployment", "Node"}
)  # known to all, and audited as something else


def build_selection(settings: Settings) -> Selection:
    """What of the cluster is scanned."""
    operator, scan_job = settings.operator, settings.scan_job
    targets = {target.value for target in operator.target_workloads}
    return Selection(
        namespaces=Namespaces.parse(
            operator.namespace, operator.target_namespaces, operator.exclude_namespaces
        ),
        kinds=frozenset(kind for kind in WorkloadKind if kind.value in targets),
        skip_label_keys=frozenset(operator.skip_resource_by_labels),
        excluded_images=parse_image_globs(scan_job.exclude_images),
        only_current_revisions=operator.scan_only_current_revisions,
        skip_init_containers=scan_job.skip_init_containers,
    )


def build_options(settings: Settings) -> ReportOptions:
    """How reports look."""
    reports = settings.reports
    return ReportOptions(
        additional_fields=frozenset(
            AdditionalField(field.value) for field in reports.additional_vulnerability_fields
        ),
        resource_labels=reports.resource_labels,
        additional_labels=reports.additional_labels,
        report_ttl=format_duration(reports.ttl_seconds) if reports.ttl_seconds else "",
        cache_ttl=format_duration(reports.cache_ttl_seconds) if reports.cache_ttl_seconds else "",
        settings_hash=settings_hash(settings),
        budget_bytes=reports.size_budget_bytes,
    )


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
        operator=settings.operator.namespace,
        resource_labels=reports.resource_labels,
        additional_labels=reports.additional_labels,
        report_ttl=format_duration(reports.ttl_seconds) if reports.ttl_seconds else "",
        budget_bytes=reports.size_budget_bytes,
    )
