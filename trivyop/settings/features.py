"""Settings of what is not the scanning of images: audits, compliance, webhook; checked all the same."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from trivyop.settings import images, kinds, shapes
from trivyop.settings.kinds import SecretText
from trivyop.settings.setting import IN_CONFIG, IN_TRIVY_CONFIG, setting
from trivyop.settings.shapes import Json

DEFAULT_AUDIT_KINDS = (
    "Workload",
    "Service",
    "Role",
    "ClusterRole",
    "NetworkPolicy",
    "Ingress",
    "LimitRange",
    "ResourceQuota",
    "PersistentVolume",
    "PersistentVolumeClaim",
)


class Correction(StrEnum):
    """What makes findings of Trivy plainly false; see ``trivyop.audit.corrections``."""

    POD_RESOURCES = "pod-resources"
    PROC_MOUNT = "proc-mount"
    APP_ARMOR = "app-armor"
    CONTAINER_ENGINE = "container-engine"
    WINDOWS = "windows"
    WINDOWS_NODES = "windows-nodes"
    LIMITS_AS_REQUESTS = "limits-as-requests"
    USER_NAMESPACES = "user-namespaces"


# Those that go by a field which can only mean one thing, and change no report of who does not set it.
DEFAULT_CORRECTIONS = (
    Correction.POD_RESOURCES,
    Correction.PROC_MOUNT,
    Correction.APP_ARMOR,
    Correction.CONTAINER_ENGINE,
    Correction.WINDOWS,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditSettings:
    """Checks of how resources are configured."""

    config_audit_enabled: bool = setting(
        "OPERATOR_CONFIG_AUDIT_SCANNER_ENABLED",
        kinds.BOOL,
        True,
        "Audit resources. Off, there are no reports of audits at all, those on roles and nodes included.",
    )
    rbac_assessment_enabled: bool = setting(
        "OPERATOR_RBAC_ASSESSMENT_SCANNER_ENABLED",
        kinds.BOOL,
        True,
        "Audit Roles and ClusterRoles.",
    )
    infra_assessment_enabled: bool = setting(
        "OPERATOR_INFRA_ASSESSMENT_SCANNER_ENABLED",
        kinds.BOOL,
        True,
        "Report on the control plane's pods and on nodes.",
    )
    scan_only_current_revisions: bool = setting(
        "OPERATOR_CONFIG_AUDIT_SCANNER_SCAN_ONLY_CURRENT_REVISIONS",
        kinds.BOOL,
        True,
        "Audit the current ReplicaSet or ReplicationController only.",
    )
    merge_rbac_findings: bool = setting(
        "OPERATOR_MERGE_RBAC_FINDING_WITH_CONFIG_AUDIT",
        kinds.BOOL,
        False,
        "Report on Roles and ClusterRoles in ConfigAuditReports.",
    )
    batch_delete_limit: int = setting(
        "OPERATOR_BATCH_DELETE_LIMIT",
        kinds.integer(0),
        10,
        "How many audit reports were deleted at a time after policies changed.",
        ignored="audit reports are replaced, not deleted",
    )
    batch_delete_delay_seconds: float = setting(
        "OPERATOR_BATCH_DELETE_DELAY",
        kinds.DURATION,
        10.0,
        "Pause between those deletions.",
        ignored="audit reports are replaced, not deleted",
    )
    scanner: str = setting(
        "configAuditReports.scanner",
        kinds.TEXT,
        "Trivy",
        "Name of the scanner.",
        sources=IN_CONFIG,
        ignored="there is one scanner: Trivy",
    )
    record_failed_checks_only: bool = setting(
        "report.recordFailedChecksOnly",
        kinds.BOOL,
        False,
        "Leave checks that passed out of reports.",
        sources=IN_CONFIG,
    )
    use_builtin_policies: bool = setting(
        "trivy.useBuiltinRegoPolicies",
        kinds.BOOL,
        True,
        "Use the bundle of checks that is published for Trivy instead of the checks that are part of it. "
        "Until it is fetched, and if it cannot be, the latter apply.",
        sources=IN_TRIVY_CONFIG,
    )
    use_embedded_policies: bool = setting(
        "trivy.useEmbeddedRegoPolicies",
        kinds.BOOL,
        True,
        "Use the checks that are part of Trivy.",
        sources=IN_TRIVY_CONFIG,
        ignored="they apply wherever the bundle does not, so that no report lacks checks",
    )
    supported_kinds: tuple[str, ...] = setting(
        "trivy.supportedConfigAuditKinds",
        kinds.TEXT_LIST,
        DEFAULT_AUDIT_KINDS,
        "Kinds to audit; `Workload` stands for all kinds of workload. Kinds that custom policies name are "
        "audited as well.",
        sources=IN_TRIVY_CONFIG,
    )
    bundle_reference: str = setting(
        "policies.bundle.oci.ref",
        images.IMAGE,
        "",
        "Where that bundle is; empty is where Trivy looks for it.",
        sources=IN_CONFIG,
    )
    corrections: tuple[Correction, ...] = setting(
        "OPERATOR_AUDIT_CORRECTIONS",
        kinds.choices(Correction),
        DEFAULT_CORRECTIONS,
        "Which plainly false findings of Trivy's checks count as passed; empty for none.",
        ours=True,
    )
    timeout_seconds: float = setting(
        "OPERATOR_AUDIT_TIMEOUT",
        kinds.DURATION,
        60.0,
        "How long Trivy may take to audit one resource; many at once may take longer.",
        ours=True,
    )
    processes: int = setting(
        "OPERATOR_AUDIT_PROCESSES",
        kinds.integer(0),
        0,
        "How many Trivy processes audit at once; 0 is one for each CPU that the operator may use.",
        ours=True,
    )
    standby_seconds: float = setting(
        "OPERATOR_AUDIT_STANDBY",
        kinds.DURATION,
        300.0,
        "How long after a change a Trivy that has loaded its checks (130 MiB) is kept ready for the next; 0 "
        "keeps none, and then every change waits until Trivy has loaded them, a second or two.",
        ours=True,
    )
    bundle_refresh_seconds: float = setting(
        "OPERATOR_CHECKS_BUNDLE_REFRESH",
        kinds.DURATION,
        86400.0,
        "How often the bundle of checks is fetched.",
        ours=True,
    )
    bundle_insecure: bool = setting(
        "policies.bundle.insecure",
        kinds.BOOL,
        False,
        "Do not check certificates where it comes from.",
        sources=IN_CONFIG,
    )
    bundle_user: SecretText = setting(
        "policies.bundle.oci.user",
        kinds.SECRET,
        SecretText(""),
        "User name for its registry; needs the password too.",
        sources=IN_CONFIG,
        for_secret=True,
    )
    bundle_password: SecretText = setting(
        "policies.bundle.oci.password",
        kinds.SECRET,
        SecretText(""),
        "Password for its registry.",
        sources=IN_CONFIG,
        for_secret=True,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeCollectorSettings:
    """The Jobs that read how nodes are set up."""

    concurrency_limit: int = setting(
        "OPERATOR_CONCURRENT_NODE_COLLECTOR_LIMIT",
        kinds.integer(0),
        1,
        "How many node collector Jobs run at the same time.",
    )
    namespace: str = setting(
        "OPERATOR_NODE_COLLECTOR_NAMESPACE",
        kinds.OBJECT_NAME,
        "",
        "Namespace of those Jobs, whose pods need hostPID and hostPath; empty is the operator's own.",
        ours=True,
    )
    service_account: str = setting(
        "OPERATOR_NODE_COLLECTOR_SERVICE_ACCOUNT",
        kinds.OBJECT_NAME,
        "",
        "Service account of their pods; may get `nodes/proxy`, to read how kubelets are configured. "
        "Empty is that of scan pods.",
        ours=True,
    )
    image: str = setting(
        "node.collector.imageRef",
        images.IMAGE,
        "ghcr.io/aquasecurity/node-collector:0.3.1",
        "Image of the node collector.",
        sources=IN_CONFIG,
    )
    image_pull_secret: str = setting(
        "node.collector.imagePullSecret",
        kinds.OBJECT_NAME,
        "",
        "Secret with which nodes pull it.",
        sources=IN_CONFIG,
    )
    use_node_selector: bool = setting(
        "node.collector.nodeSelector",
        kinds.BOOL,
        True,
        "Pin each of those Jobs to its node by a node selector.",
        sources=IN_CONFIG,
    )
    tolerations: tuple[Json, ...] = setting(
        "nodeCollector.tolerations",
        shapes.TOLERATIONS,
        (),
        "Tolerations of those Jobs.",
        sources=IN_CONFIG,
    )
    volumes: tuple[Json, ...] = setting(
        "nodeCollector.volumes",
        shapes.VOLUMES,
        (),
        "Volumes of those Jobs, instead of the built-in ones.",
        sources=IN_CONFIG,
    )
    volume_mounts: tuple[Json, ...] = setting(
        "nodeCollector.volumeMounts",
        shapes.VOLUME_MOUNTS,
        (),
        "Mounts of those Jobs, instead of the built-in ones.",
        sources=IN_CONFIG,
    )
    exclude_nodes: dict[str, str] = setting(
        "nodeCollector.excludeNodes",
        kinds.LABELS,
        {},
        "A node that has all of these labels is left out.",
        sources=IN_CONFIG,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ComplianceSettings:
    """Reports on compliance with benchmarks."""

    enabled: bool = setting(
        "OPERATOR_CLUSTER_COMPLIANCE_ENABLED",
        kinds.BOOL,
        True,
        "Fill in ClusterComplianceReports.",
    )
    invoke_once: bool = setting(
        "OPERATOR_INVOKE_CLUSTER_COMPLIANCE_ONCE",
        kinds.BOOL,
        False,
        "For tests: fill them in at every change at once, and at no other time.",
    )
    fail_entries_limit: int = setting(
        "compliance.failEntriesLimit",
        kinds.integer(0),
        10,
        "How many findings are listed for each control of a report of type `all`.",
        sources=IN_CONFIG,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookSettings:
    """Reports sent to a URL of yours."""

    url: SecretText = setting(
        "OPERATOR_WEBHOOK_BROADCAST_URL",
        kinds.SECRET_URL,
        SecretText(""),
        "Where reports are sent; empty is off.",
        secret=True,
    )
    timeout_seconds: float | None = setting(
        "OPERATOR_WEBHOOK_BROADCAST_TIMEOUT",
        kinds.OPTIONAL_DURATION,
        30.0,
        "Longest time for one request; empty is the default.",
    )
    headers: dict[str, SecretText] = setting(
        "OPERATOR_WEBHOOK_BROADCAST_CUSTOM_HEADERS",
        kinds.HEADERS,
        {},
        "Headers of those requests.",
        secret=True,
    )
    send_deleted_reports: bool = setting(
        "OPERATOR_SEND_DELETED_REPORTS",
        kinds.BOOL,
        False,
        "Send reports that are deleted, too.",
    )
