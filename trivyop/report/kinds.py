"""Kinds: every kind of report once, with all that depends on the kind.

Informers, metrics, webhooks, ``trivyop status`` and the writers of reports go by this table: a new kind is
one row and, where scans of images make it, one builder. ``KINDS`` is read at each call, never copied when a
module is loaded.
Not here: what a report says (its builder), what it can do without (``plans.py``), where the API server keeps
it (``kube.resources``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from typing import Any, Final, Protocol

from trivyop.kube.resources import (
    CLUSTERCOMPLIANCEREPORTS,
    CLUSTERCONFIGAUDITREPORTS,
    CLUSTERINFRAASSESSMENTREPORTS,
    CLUSTERRBACASSESSMENTREPORTS,
    CLUSTERSBOMREPORTS,
    CLUSTERVULNERABILITYREPORTS,
    CONFIGAUDITREPORTS,
    EXPOSEDSECRETREPORTS,
    INFRAASSESSMENTREPORTS,
    RBACASSESSMENTREPORTS,
    SBOMREPORTS,
    VULNERABILITYREPORTS,
    Resource,
)
from trivyop.report import families
from trivyop.report.families import Family
from trivyop.report.findings import BomLeftOut, Findings, Sbom
from trivyop.report.options import ReportOptions
from trivyop.report.plans import Rows
from trivyop.report.sbom import build_sbom_report
from trivyop.report.secret import build_secret_report
from trivyop.report.vulnerability import build_vulnerability_report
from trivyop.settings.operator import MetricsSettings
from trivyop.settings.values import Settings
from trivyop.workload.images import ContainerImage
from trivyop.workload.resolve import Workload


class About(Enum):
    """What a report is about."""

    CONTAINER = auto()  # of a workload: made by scans of its image
    IMAGE = auto()
    RESOURCE = auto()  # made by audits
    NODE = auto()
    COMPONENTS = auto()  # of the cluster itself
    CLUSTER = auto()  # its compliance with a standard


class Scanned(Protocol):
    """What a scan of an image found, as far as reports show it."""

    @property
    def findings(self) -> Findings: ...

    @property
    def sbom(self) -> Sbom | None: ...

    @property
    def bom_left_out(self) -> BomLeftOut: ...


Builder = Callable[[Workload, ContainerImage, Scanned, ReportOptions, datetime], dict[str, Any]]
"""Builds the report of a container, whose digest is the one that was scanned."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportKind:
    """One kind of report."""

    resource: Resource  # its scope included
    about: About
    rows: Rows  # what it lists; its plan for the size budget follows from that
    enabled: Callable[[Settings], bool]  # whether the settings ask for such reports
    build: Builder | None = None  # of kinds about a container; the others are built by their concern
    families: tuple[Family, ...] = ()  # the metrics that are counted from them
    in_default_webhook: bool = True  # whether the endpoint of the Go operator's settings gets them
    in_status: bool = False  # whether ``trivyop status`` counts what they say, kind by kind
    may_be_missing: bool = False  # the server need not have the kind


def _vulnerabilities(
    workload: Workload, container: ContainerImage, scanned: Scanned, options: ReportOptions, now: datetime
) -> dict[str, Any]:
    return build_vulnerability_report(workload, container, scanned.findings, options, now=now)


def _secrets(
    workload: Workload, container: ContainerImage, scanned: Scanned, options: ReportOptions, now: datetime
) -> dict[str, Any]:
    return build_secret_report(workload, container, scanned.findings, options, now=now)


def _sbom(
    workload: Workload, container: ContainerImage, scanned: Scanned, options: ReportOptions, now: datetime
) -> dict[str, Any]:
    return build_sbom_report(
        workload,
        container,
        scanned.sbom or {},
        options,
        scanner_version=scanned.findings.scanner_version,
        left_out=scanned.bom_left_out,
        now=now,
    )


def _audits(settings: Settings) -> bool:
    return settings.audit.config_audit_enabled


def _rbac(settings: Settings) -> bool:
    return _audits(settings) and settings.audit.rbac_assessment_enabled


def _infra(settings: Settings) -> bool:
    return _audits(settings) and settings.audit.infra_assessment_enabled


KINDS: Final[tuple[ReportKind, ...]] = (
    ReportKind(
        resource=VULNERABILITYREPORTS,
        about=About.CONTAINER,
        rows=Rows.VULNERABILITIES,
        enabled=lambda settings: settings.operator.vulnerability_scanner_enabled,
        build=_vulnerabilities,
        families=(
            families.IMAGE_VULNERABILITIES,
            families.FIXABLE_VULNERABILITIES,
            families.VULNERABILITY_ID,
            families.IMAGE_VULNERABILITY_INFO,
            families.IMAGE_USED_BY,
            families.IMAGE_INFO,
        ),
    ),
    ReportKind(
        resource=EXPOSEDSECRETREPORTS,
        about=About.CONTAINER,
        rows=Rows.SECRETS,
        enabled=lambda settings: settings.operator.exposed_secret_scanner_enabled,
        build=_secrets,
        families=(families.IMAGE_SECRETS, families.SECRETS_INFO),
    ),
    ReportKind(
        resource=SBOMREPORTS,
        about=About.CONTAINER,
        rows=Rows.COMPONENTS,
        enabled=lambda settings: settings.operator.sbom_generation_enabled,
        build=_sbom,
    ),
    ReportKind(
        resource=CONFIGAUDITREPORTS,
        about=About.RESOURCE,
        rows=Rows.CHECKS,
        enabled=_audits,
        families=(families.CONFIG_AUDITS, families.CONFIG_AUDITS_INFO),
        in_status=True,
    ),
    ReportKind(
        resource=CLUSTERCONFIGAUDITREPORTS,
        about=About.RESOURCE,
        rows=Rows.CHECKS,
        enabled=_audits,
        families=(families.CLUSTER_ROLES,),
        in_status=True,
    ),
    ReportKind(
        resource=RBACASSESSMENTREPORTS,
        about=About.RESOURCE,
        rows=Rows.CHECKS,
        enabled=_rbac,
        families=(families.ROLES, families.ROLES_INFO),
        in_status=True,
    ),
    ReportKind(
        resource=CLUSTERRBACASSESSMENTREPORTS,
        about=About.RESOURCE,
        rows=Rows.CHECKS,
        enabled=_rbac,
        families=(families.CLUSTER_ROLES,),
        in_status=True,
    ),
    ReportKind(
        resource=INFRAASSESSMENTREPORTS,
        about=About.RESOURCE,
        rows=Rows.CHECKS,
        enabled=_infra,
        families=(families.INFRA, families.INFRA_INFO),
        in_status=True,
    ),
    ReportKind(
        resource=CLUSTERINFRAASSESSMENTREPORTS,
        about=About.NODE,
        rows=Rows.CHECKS,
        enabled=_infra,
        in_status=True,
    ),
    ReportKind(
        resource=CLUSTERSBOMREPORTS,
        about=About.IMAGE,
        rows=Rows.COMPONENTS,
        enabled=lambda settings: (
            settings.operator.cluster_sbom_cache_enabled and settings.operator.sbom_generation_enabled
        ),
        in_default_webhook=False,
    ),
    ReportKind(
        resource=CLUSTERVULNERABILITYREPORTS,
        about=About.COMPONENTS,
        rows=Rows.VULNERABILITIES,
        enabled=lambda settings: settings.operator.cluster_components_enabled,
        in_default_webhook=False,
    ),
    ReportKind(
        resource=CLUSTERCOMPLIANCEREPORTS,
        about=About.CLUSTER,
        rows=Rows.CONTROLS,
        enabled=lambda settings: settings.compliance.enabled,
        families=(families.COMPLIANCE, families.COMPLIANCE_INFO),
        may_be_missing=True,
    ),
)


def kind_of(resource: Resource) -> ReportKind:
    """The row of a kind; raises ``KeyError`` for what is no report."""
    for kind in KINDS:
        if kind.resource == resource:
            return kind
    raise KeyError(resource.name)


def reports_about(*subjects: About) -> tuple[Resource, ...]:
    """The kinds of report about these."""
    return tuple(kind.resource for kind in KINDS if kind.about in subjects)


def reports_of_audits() -> tuple[Resource, ...]:
    """The kinds of report that audits make."""
    return reports_about(About.RESOURCE, About.NODE)


def kinds_counted(family: Family) -> tuple[Resource, ...]:
    """The kinds of report that a metric is counted from."""
    return tuple(kind.resource for kind in KINDS if family in kind.families)


def all_families() -> tuple[Family, ...]:
    """The metrics that are counted from reports; one that several kinds share stands at the last of them."""
    found = [family for kind in KINDS for family in kind.families]
    return tuple(reversed(dict.fromkeys(reversed(found))))


def wanted_families(settings: MetricsSettings) -> tuple[Family, ...]:
    """The metrics to serve. Without the counts there is none, whatever else is switched on."""
    if not settings.findings_enabled:
        return ()
    return tuple(family for family in all_families() if family.wanted(settings))


def family_labels() -> frozenset[str]:
    """Every label that these metrics have."""
    return frozenset(label for family in all_families() for label in family.labels)
