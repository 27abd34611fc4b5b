"""Settings of reports: how long they stay true, what is written into them, where they are kept."""

from __future__ import annotations

from dataclasses import dataclass

from trivyop.settings import kinds
from trivyop.settings.choices import AdditionalField
from trivyop.settings.setting import IN_CONFIG, IN_TRIVY_CONFIG, Affects, setting


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportSettings:
    """What is written, and for how long it counts."""

    ttl_seconds: float | None = setting(
        "OPERATOR_SCANNER_REPORT_TTL",
        kinds.OPTIONAL_DURATION,
        86_400.0,
        "Age at which a report is due to be refreshed. The old one stays until the new one is there. "
        "Empty: never because of age.",
    )
    cache_ttl_seconds: float | None = setting(
        "OPERATOR_CACHE_REPORT_TTL",
        kinds.OPTIONAL_DURATION,
        432_000.0,
        "How long an image's bill of materials and scan state are kept after the last workload with it went.",
    )
    resource_labels: tuple[str, ...] = setting(
        "report.resourceLabels",
        kinds.LABEL_KEYS,
        (),
        "Labels of a resource that are copied to its reports and metrics.",
        sources=IN_CONFIG,
        affects=Affects.REPORT,
    )
    additional_labels: dict[str, str] = setting(
        "report.additionalLabels",
        kinds.LABELS,
        {},
        "Labels to put on every report.",
        sources=IN_CONFIG,
        affects=Affects.REPORT,
    )
    additional_vulnerability_fields: tuple[AdditionalField, ...] = setting(
        "trivy.additionalVulnerabilityReportFields",
        kinds.choices(AdditionalField),
        (),
        "Fields of findings to write although they make reports large.",
        sources=IN_TRIVY_CONFIG,
        affects=Affects.REPORT,
    )
    size_budget_bytes: int = setting(
        "OPERATOR_REPORT_SIZE_BUDGET_BYTES",
        kinds.integer(10_000, 1_400_000),
        921_600,
        "Largest size of a report, in bytes of JSON. A larger one is cut down in fixed steps and says so; "
        "its counts stay exact. etcd refuses requests above 1.5 MiB.",
        affects=Affects.REPORT,
        ours=True,
    )
    alternate_storage_enabled: bool = setting(
        "OPERATOR_ALTERNATE_REPORT_STORAGE_ENABLED",
        kinds.BOOL,
        False,
        "Write reports as JSON files instead of objects.",
        feature="alternate storage",
    )
    alternate_storage_dir: str = setting(
        "OPERATOR_ALTERNATE_REPORT_STORAGE_DIR",
        kinds.TEXT,
        "",
        "Directory for those files.",
        feature="alternate storage",
    )
