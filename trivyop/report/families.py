"""Families: the metrics that are counted from reports; their names, labels, conditions, and what they say.

What begins with ``trivy_`` has the names, labels and meanings that dashboards of the Go trivy-operator know;
they must not change. Labels of reports may follow after those listed (``series_labels``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from trivyop.settings.operator import MetricsSettings

_RESOURCE = ("namespace", "name", "resource_kind", "resource_name")
_IMAGE = ("image_registry", "image_repository", "image_tag", "image_digest")
_CONTAINER = (*_RESOURCE, "container_name", *_IMAGE)
_VULNERABILITY = (
    *("installed_version", "fixed_version", "published_date", "last_modified_date", "resource", "severity"),
    *("package_type", "pkg_path", "target", "class", "vuln_id", "vuln_title", "vuln_score"),
)


def _check(prefix: str) -> tuple[str, ...]:
    fields = ("id", "title", "description", "category", "success")
    return (*(f"{prefix}_{field}" for field in fields), "severity")


class Form(Enum):
    """What the series of a metric say."""

    COUNTS = auto()  # of each report, one for each severity but Unknown
    COUNTS_WITH_UNKNOWN = auto()
    FIXABLE = auto()  # likewise, of Critical and High ones that have a fix
    CLUSTER_ROLES = auto()  # COUNTS of ClusterRoles, whichever kind of report they are in
    PRESENCE = auto()  # 1 for each report
    SYSTEM = auto()  # likewise, with the operating system of the image
    STANDARD = auto()  # of each report on compliance, controls that fail and that pass
    CONTROLS = auto()  # one for each control
    FINDINGS = auto()  # one for each finding or check of each report
    IMAGE_FINDINGS = auto()  # one for each finding of each image


@dataclass(frozen=True, slots=True)
class Family:
    """One metric; all are gauges. A report kind's row says that it is counted from those (``kinds.py``)."""

    name: str
    help: str
    labels: tuple[str, ...]
    form: Form = Form.COUNTS
    wanted: Callable[[MetricsSettings], bool] = lambda _settings: True  # besides findings_enabled
    setting: str = ""  # what switches it on, for people

    @property
    def per_finding(self) -> bool:
        """Whether there is a series per finding: read from the report itself, and limited."""
        return self.form in (Form.FINDINGS, Form.IMAGE_FINDINGS)


IMAGE_VULNERABILITIES: Final = Family(
    "trivy_image_vulnerabilities",
    "Number of container image vulnerabilities",
    (*_CONTAINER, "severity"),
    Form.COUNTS_WITH_UNKNOWN,
)
FIXABLE_VULNERABILITIES: Final = Family(
    "trivyop_image_fixable_vulnerabilities",
    "Vulnerabilities that have a fix, of those that are Critical or High.",
    (*_CONTAINER, "severity"),
    Form.FIXABLE,
)
VULNERABILITY_ID: Final = Family(
    "trivy_vulnerability_id",
    "Number of container image vulnerabilities group by vulnerability id",
    (*_CONTAINER, *_VULNERABILITY),
    Form.FINDINGS,
    lambda settings: settings.vulnerability_id_enabled,
    setting="OPERATOR_METRICS_VULN_ID_ENABLED",
)
IMAGE_VULNERABILITY_INFO: Final = Family(
    "trivyop_image_vulnerability_info",
    "Vulnerabilities of an image, once for all containers that run it.",
    ("image_digest", *_VULNERABILITY),
    Form.IMAGE_FINDINGS,
    lambda settings: settings.image_vulnerability_info_enabled,
    setting="OPERATOR_METRICS_IMAGE_VULNERABILITY_INFO_ENABLED",
)
IMAGE_USED_BY: Final = Family(
    "trivyop_image_used_by",
    "Containers that run an image.",
    _CONTAINER,
    Form.PRESENCE,
    lambda settings: settings.image_vulnerability_info_enabled,
    setting="OPERATOR_METRICS_IMAGE_VULNERABILITY_INFO_ENABLED",
)
IMAGE_SECRETS: Final = Family(
    "trivy_image_exposedsecrets",
    "Number of image exposed secrets",
    (*_CONTAINER, "severity"),
)
SECRETS_INFO: Final = Family(
    "trivy_exposedsecrets_info",
    "Number of container image exposed secrets group by secret rule id",
    (*_CONTAINER, "secret_category", "secret_rule_id", "secret_target", "secret_title", "severity"),
    Form.FINDINGS,
    lambda settings: settings.exposed_secret_info_enabled,
    setting="OPERATOR_METRICS_EXPOSED_SECRET_INFO_ENABLED",
)
CONFIG_AUDITS: Final = Family(
    "trivy_resource_configaudits",
    "Number of failing resource configuration auditing checks",
    (*_RESOURCE, "severity"),
)
CONFIG_AUDITS_INFO: Final = Family(
    "trivy_configaudits_info",
    "Number of failing resource configuration auditing checks Info",
    (*_RESOURCE, *_check("config_audit")),
    Form.FINDINGS,
    lambda settings: settings.config_audit_info_enabled,
    setting="OPERATOR_METRICS_CONFIG_AUDIT_INFO_ENABLED",
)
ROLES: Final = Family(
    "trivy_role_rbacassessments",
    "Number of rbac risky role assessment checks",
    (*_RESOURCE, "severity"),
)
ROLES_INFO: Final = Family(
    "trivy_rbacassessments_info",
    "Number of rbac risky role assessment checks Info",
    (*_RESOURCE, *_check("rbac_assessment")),
    Form.FINDINGS,
    lambda settings: settings.rbac_assessment_info_enabled,
    setting="OPERATOR_METRICS_RBAC_ASSESSMENT_INFO_ENABLED",
)
CLUSTER_ROLES: Final = Family(
    "trivy_clusterrole_clusterrbacassessments",
    "Number of rbac risky cluster role assessment checks",
    ("name", "resource_kind", "resource_name", "severity"),
    Form.CLUSTER_ROLES,
)
INFRA: Final = Family(
    "trivy_resource_infraassessments",
    "Number of failing k8s infra assessment checks",
    (*_RESOURCE, "severity"),
)
INFRA_INFO: Final = Family(
    "trivy_infraassessments_info",
    "Number of failing k8s infra assessment checks Info",
    (*_RESOURCE, *_check("infra_assessment")),
    Form.FINDINGS,
    lambda settings: settings.infra_assessment_info_enabled,
    setting="OPERATOR_METRICS_INFRA_ASSESSMENT_INFO_ENABLED",
)
COMPLIANCE: Final = Family(
    "trivy_cluster_compliance",
    "cluster compliance report",
    ("title", "description", "status"),
    Form.STANDARD,
)
COMPLIANCE_INFO: Final = Family(
    "trivy_compliance_info",
    "cluster compliance report Info",
    ("title", "description", "compliance_id", "compliance_name", "status", "severity"),
    Form.CONTROLS,
    lambda settings: settings.cluster_compliance_info_enabled,
    setting="OPERATOR_METRICS_CLUSTER_COMPLIANCE_INFO_ENABLED",
)
IMAGE_INFO: Final = Family(
    "trivy_image_info",
    "scanned container image information",
    (*_CONTAINER, "image_os_family", "image_os_name", "image_os_eosl"),
    Form.SYSTEM,
    lambda settings: settings.image_info_enabled,
    setting="OPERATOR_METRICS_IMAGE_INFO_ENABLED",
)
