"""Options: the settings that shape reports, whatever was found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from trivyop.settings.choices import AdditionalField

DEFAULT_BUDGET_BYTES = 900 * 1024  # etcd takes 1.5 MiB for a request, managed fields included


@dataclass(frozen=True, slots=True)
class ReportOptions:
    """How reports look; the same for all of them."""

    additional_fields: frozenset[AdditionalField] = frozenset()
    resource_labels: tuple[str, ...] = ()  # label keys copied from a workload to its reports
    additional_labels: Mapping[str, str] = field(default_factory=dict[str, str])  # put on every report
    report_ttl: str = "24h0m0s"  # a Go duration, as the annotation shows it; "" for none
    cache_ttl: str = "120h0m0s"  # of ClusterSbomReports
    settings_hash: str = ""  # of the settings that change what a scan finds
    budget_bytes: int = DEFAULT_BUDGET_BYTES  # of JSON, as sent
