"""What the settings mean to the parts that know nothing of settings: selections, and how reports look."""

from __future__ import annotations

from trivyop.report.options import ReportOptions
from trivyop.settings import Settings, settings_hash
from trivyop.settings.durations import format_duration
from trivyop.workload.owners import WorkloadKind
from trivyop.workload.selection import Namespaces, Selection, parse_image_globs


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
        additional_fields=frozenset(reports.additional_vulnerability_fields),
        resource_labels=reports.resource_labels,
        additional_labels=reports.additional_labels,
        report_ttl=format_duration(reports.ttl_seconds) if reports.ttl_seconds else "",
        cache_ttl=format_duration(reports.cache_ttl_seconds) if reports.cache_ttl_seconds else "",
        settings_hash=settings_hash(settings),
        budget_bytes=reports.size_budget_bytes,
    )
