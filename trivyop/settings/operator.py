"""Settings of the operator process: what it watches, what it makes, where it listens."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from enum import StrEnum

from trivyop.settings import kinds, shapes
from trivyop.settings.setting import IN_CONFIG, Affects, setting


class TargetKind(StrEnum):
    """What may be selected: kinds of workload, and one kind that only audits know."""

    POD = "Pod"
    REPLICASET = "ReplicaSet"
    REPLICATIONCONTROLLER = "ReplicationController"
    STATEFULSET = "StatefulSet"
    DAEMONSET = "DaemonSet"
    CRONJOB = "CronJob"
    JOB = "Job"
    INGRESS = "Ingress"


ALL_TARGETS = tuple(kind for kind in TargetKind if kind is not TargetKind.INGRESS)


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorSettings:
    """What the operator looks at and how it runs."""

    namespace: str = setting(
        "OPERATOR_NAMESPACE",
        kinds.DNS_LABEL,
        "trivy-system",
        "Namespace of the operator, of its configuration and, by default, of all scan Jobs.",
        required=True,
    )
    target_namespaces: tuple[str, ...] = setting(
        "OPERATOR_TARGET_NAMESPACES",
        kinds.NAMESPACES,
        (),
        "Namespaces to look at; none named means all of them. Blanks around commas do not matter.",
    )
    exclude_namespaces: tuple[str, ...] = setting(
        "OPERATOR_EXCLUDE_NAMESPACES",
        kinds.NAMESPACE_GLOBS,
        (),
        "Namespaces to leave alone, as globs; counts for namespaces that are named to be looked at, too.",
    )
    target_workloads: tuple[TargetKind, ...] = setting(
        "OPERATOR_TARGET_WORKLOADS",
        dataclasses.replace(kinds.choices(TargetKind), empty=lambda: ALL_TARGETS),
        ALL_TARGETS,
        "Kinds of workload to scan; empty means all of them.",
    )
    skip_resource_by_labels: tuple[str, ...] = setting(
        "skipResourceByLabels",
        kinds.LABEL_KEYS,
        (),
        "A resource that has any of these labels, whatever the value, is neither scanned nor audited.",
        sources=IN_CONFIG,
    )
    service_account: str = setting(
        "OPERATOR_SERVICE_ACCOUNT",
        kinds.OBJECT_NAME,
        "trivy-operator",
        "Service account of scan pods.",
    )
    log_dev_mode: bool = setting(
        "OPERATOR_LOG_DEV_MODE", kinds.BOOL, False, "Log for people instead of machines, and more of it."
    )
    vulnerability_scanner_enabled: bool = setting(
        "OPERATOR_VULNERABILITY_SCANNER_ENABLED",
        kinds.BOOL,
        True,
        "Make VulnerabilityReports.",
        affects=Affects.SCAN,
    )
    exposed_secret_scanner_enabled: bool = setting(
        "OPERATOR_EXPOSED_SECRET_SCANNER_ENABLED",
        kinds.BOOL,
        True,
        "Make ExposedSecretReports.",
        affects=Affects.SCAN,
    )
    sbom_generation_enabled: bool = setting(
        "OPERATOR_SBOM_GENERATION_ENABLED",
        kinds.BOOL,
        True,
        "Make SbomReports.",
        affects=Affects.SCAN,
    )
    cluster_components_enabled: bool = setting(
        "OPERATOR_CLUSTER_COMPONENTS_ENABLED",
        kinds.BOOL,
        True,
        "Report on the components of the cluster itself (control plane, nodes): a ClusterSbomReport and a "
        "ClusterVulnerabilityReport. Takes bills of materials and vulnerabilities to be on.",
        ours=True,
    )
    cluster_sbom_cache_enabled: bool = setting(
        "OPERATOR_CLUSTER_SBOM_CACHE_ENABLED",
        kinds.BOOL,
        True,
        "Keep one ClusterSbomReport per image, from which findings are matched again without another scan.",
    )
    scan_only_current_revisions: bool = setting(
        "OPERATOR_VULNERABILITY_SCANNER_SCAN_ONLY_CURRENT_REVISIONS",
        kinds.BOOL,
        True,
        "Remove the reports of old ReplicaSets and ReplicationControllers that have no pods any more.",
    )
    access_global_secrets: bool = setting(
        "OPERATOR_ACCESS_GLOBAL_SECRETS_SERVICE_ACCOUNTS",
        kinds.BOOL,
        True,
        "Read pull secrets and service accounts in the namespaces of workloads, to scan private images.",
    )
    private_registry_scan_secrets: dict[str, tuple[str, ...]] = setting(
        "OPERATOR_PRIVATE_REGISTRY_SCAN_SECRETS_NAMES",
        shapes.SECRET_NAMES,
        {},
        "Pull secrets to use for every scan, by namespace.",
    )
    share_scans_across_namespaces: bool = setting(
        "OPERATOR_SHARE_SCANS_ACROSS_NAMESPACES",
        kinds.BOOL,
        True,
        "Scan an image once for all namespaces. Off: once per namespace, so that a namespace only sees "
        "results that its own pull secrets could have fetched.",
        ours=True,
    )
    workers: int = setting(
        "OPERATOR_WORKERS",
        kinds.integer(1, 64),
        4,
        "How many objects of a kind are reconciled at the same time.",
        ours=True,
    )
    drain_seconds: float = setting(
        "OPERATOR_DRAIN_TIMEOUT",
        kinds.DURATION,
        5.0,
        "How long work in hand may take after the operator receives the signal to stop.",
        ours=True,
    )
    resync_interval_seconds: float = setting(
        "OPERATOR_RESYNC_INTERVAL",
        kinds.duration(60),
        36_000.0,
        "How often every key is looked at again from memory, so that nothing stays given up for good.",
        ours=True,
    )
    cache_sync_timeout_seconds: float | None = setting(
        "CONTROLLER_CACHE_SYNC_TIMEOUT",
        kinds.OPTIONAL_DURATION,
        300.0,
        "After how long without a first complete list the operator says in its log what it still waits for. "
        "It goes on waiting.",
    )
    health_probe_bind_address: str = setting(
        "OPERATOR_HEALTH_PROBE_BIND_ADDRESS",
        kinds.LISTEN_ADDRESS,
        ":9090",
        "Where `/healthz` and `/readyz` are served.",
    )
    leader_election_enabled: bool = setting(
        "OPERATOR_LEADER_ELECTION_ENABLED",
        kinds.BOOL,
        False,
        "Let one of several replicas do the work, the one that holds a Lease.",
    )
    leader_election_id: str = setting(
        "OPERATOR_LEADER_ELECTION_ID", kinds.OBJECT_NAME, "trivyoperator-lock", "Name of that Lease."
    )
    pprof_bind_address: str = setting(
        "OPERATOR_PPROF_BIND_ADDRESS",
        kinds.TEXT,
        "",
        "Where Go's profiler listened.",
        ignored="there is no Go profiler here",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsSettings:
    """Which metrics are served, and where. The ones with a series per finding can be large."""

    bind_address: str = setting(
        "OPERATOR_METRICS_BIND_ADDRESS",
        kinds.LISTEN_ADDRESS,
        ":8080",
        "Where `/metrics` is served; `0` is off.",
    )
    findings_enabled: bool = setting(
        "OPERATOR_METRICS_FINDINGS_ENABLED",
        kinds.BOOL,
        True,
        "Serve metrics that are counted from reports. Off: none of them, whatever else is on.",
    )
    vulnerability_id_enabled: bool = setting(
        "OPERATOR_METRICS_VULN_ID_ENABLED",
        kinds.BOOL,
        False,
        "Serve `trivy_vulnerability_id`.",
    )
    exposed_secret_info_enabled: bool = setting(
        "OPERATOR_METRICS_EXPOSED_SECRET_INFO_ENABLED",
        kinds.BOOL,
        False,
        "Serve `trivy_exposedsecrets_info`.",
    )
    image_info_enabled: bool = setting(
        "OPERATOR_METRICS_IMAGE_INFO_ENABLED",
        kinds.BOOL,
        False,
        "Serve `trivy_image_info`.",
    )
    config_audit_info_enabled: bool = setting(
        "OPERATOR_METRICS_CONFIG_AUDIT_INFO_ENABLED",
        kinds.BOOL,
        False,
        "Serve `trivy_configaudits_info`.",
    )
    rbac_assessment_info_enabled: bool = setting(
        "OPERATOR_METRICS_RBAC_ASSESSMENT_INFO_ENABLED",
        kinds.BOOL,
        False,
        "Serve `trivy_rbacassessments_info`.",
    )
    infra_assessment_info_enabled: bool = setting(
        "OPERATOR_METRICS_INFRA_ASSESSMENT_INFO_ENABLED",
        kinds.BOOL,
        False,
        "Serve `trivy_infraassessments_info`.",
    )
    cluster_compliance_info_enabled: bool = setting(
        "OPERATOR_METRICS_CLUSTER_COMPLIANCE_INFO_ENABLED",
        kinds.BOOL,
        False,
        "Serve `trivy_compliance_info`.",
    )
    image_vulnerability_info_enabled: bool = setting(
        "OPERATOR_METRICS_IMAGE_VULNERABILITY_INFO_ENABLED",
        kinds.BOOL,
        False,
        "Serve `trivyop_image_vulnerability_info` (each vulnerability once per image) and "
        "`trivyop_image_used_by` (to join it with what runs the image).",
        ours=True,
    )
    series_limit: int = setting(
        "OPERATOR_METRICS_SERIES_LIMIT",
        kinds.integer(0),
        100_000,
        "How many series a metric with a series per finding may have; the worst severities are served first.",
        ours=True,
    )
    resource_labels_prefix: str = setting(
        "metrics.resourceLabelsPrefix",
        kinds.TEXT,
        "",
        "Put before the names of metric labels that come from `report.resourceLabels`.",
        sources=IN_CONFIG,
    )
