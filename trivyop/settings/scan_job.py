"""Settings of scan Jobs: how many, how long, where, and as whom."""

from __future__ import annotations

from dataclasses import dataclass

from trivyop.settings import kinds, shapes
from trivyop.settings.job_metadata import JOB_ANNOTATIONS, JOB_LABELS, POD_LABELS
from trivyop.settings.setting import IN_CONFIG, setting
from trivyop.settings.shapes import Json

# Runs under the "restricted" pod security standard, whatever image of Trivy is configured.
DEFAULT_POD_SECURITY_CONTEXT: Json = {
    "runAsNonRoot": True,
    "runAsUser": 10000,
    "runAsGroup": 10000,
    "fsGroup": 10000,
    "seccompProfile": {"type": "RuntimeDefault"},
}
DEFAULT_SECURITY_CONTEXT: Json = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "privileged": False,
    "readOnlyRootFilesystem": True,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanJobSettings:
    """What the pods that scan look like, and how many of them run."""

    timeout_seconds: float = setting(
        "OPERATOR_SCAN_JOB_TIMEOUT",
        kinds.DURATION,
        300.0,
        "Longest run of a scan Job, pulling of the scanner's image included; 0 is no limit.",
    )
    ttl_seconds: float | None = setting(
        "OPERATOR_SCAN_JOB_TTL",
        kinds.OPTIONAL_DURATION,
        None,
        "How long a finished scan Job stays for people to look at; it takes no slot meanwhile. "
        "Empty or 0: it is deleted as soon as its result was read.",
    )
    secret_ttl_seconds: float | None = setting(
        "OPERATOR_SCAN_SECRET_TTL",
        kinds.OPTIONAL_DURATION,
        None,
        "How long the Secret of a scan Job stays.",
        ignored="a scan's Secret belongs to its Job and goes with it",
    )
    concurrency_limit: int = setting(
        "OPERATOR_CONCURRENT_SCAN_JOBS_LIMIT",
        kinds.integer(1, 10_000),
        10,
        "How many scan Jobs run at the same time. Finished ones do not count.",
    )
    retry_after_seconds: float = setting(
        "OPERATOR_SCAN_JOB_RETRY_AFTER",
        kinds.DURATION,
        30.0,
        "Shortest wait before a failed scan is tried again; each class of failure has its own, longer one.",
    )
    start_seconds: float = setting(
        "OPERATOR_SCAN_JOB_START_PATIENCE",
        kinds.DURATION,
        180.0,
        "How long a scan pod that does not start may wait while it tries for all others, which are held back "
        "meanwhile; a cluster autoscaler adds a node in that time. Those before it wait 5 s.",
        ours=True,
    )
    in_workload_namespace: bool = setting(
        "vulnerabilityReports.scanJobsInSameNamespace",
        kinds.BOOL,
        False,
        "Run scan Jobs in the namespace of the workload instead of the operator's.",
        sources=IN_CONFIG,
    )
    affinity: Json | None = setting(
        "scanJob.affinity",
        shapes.AFFINITY,
        None,
        "Affinity of scan pods; replaces the built-in one, which asks for Linux nodes.",
        sources=IN_CONFIG,
    )
    tolerations: tuple[Json, ...] = setting(
        "scanJob.tolerations", shapes.TOLERATIONS, (), "Tolerations of scan pods.", sources=IN_CONFIG
    )
    node_selector: dict[str, str] = setting(
        "scanJob.nodeSelector", shapes.NODE_SELECTOR, {}, "Node selector of scan pods.", sources=IN_CONFIG
    )
    annotations: dict[str, str] = setting(
        "scanJob.annotations",
        JOB_ANNOTATIONS,
        {},
        "Annotations of scan Jobs and their pods.",
        sources=IN_CONFIG,
    )
    labels: dict[str, str] = setting(
        "scanJob.labels",
        JOB_LABELS,
        {},
        "Labels of scan Jobs and their pods, and of node collectors'; admission policies may ask for them.",
        sources=IN_CONFIG,
        ours=True,
    )
    pod_template_labels: dict[str, str] = setting(
        "scanJob.podTemplateLabels",
        POD_LABELS,
        {},
        "Labels of scan pods; they win over `scanJob.labels` and over the operator's own.",
        sources=IN_CONFIG,
    )
    automount_service_account_token: bool = setting(
        "scanJob.automountServiceAccountToken",
        kinds.BOOL,
        False,
        "Give scan pods the token of their service account, which cloud registries may ask for.",
        sources=IN_CONFIG,
    )
    skip_init_containers: bool = setting(
        "scanJob.skipInitContainers",
        kinds.BOOL,
        False,
        "Do not scan images of init containers.",
        sources=IN_CONFIG,
    )
    pod_security_context: Json | None = setting(
        "scanJob.podTemplatePodSecurityContext",
        shapes.POD_SECURITY_CONTEXT,
        DEFAULT_POD_SECURITY_CONTEXT,
        "Security context of scan pods, as a whole.",
        sources=IN_CONFIG,
    )
    container_security_context: Json | None = setting(
        "scanJob.podTemplateContainerSecurityContext",
        shapes.SECURITY_CONTEXT,
        DEFAULT_SECURITY_CONTEXT,
        "Security context of the containers of scan pods, as a whole.",
        sources=IN_CONFIG,
    )
    priority_class_name: str = setting(
        "scanJob.podPriorityClassName",
        kinds.OBJECT_NAME,
        "",
        "Priority class of scan pods.",
        sources=IN_CONFIG,
    )
    compress_logs: bool = setting(
        "scanJob.compressLogs",
        kinds.BOOL,
        True,
        "Compress results in the log of scan pods.",
        sources=IN_CONFIG,
        ignored="results always travel compressed and with a check sum",
    )
    exclude_images: tuple[str, ...] = setting(
        "scanJob.excludeImages",
        kinds.GLOBS,
        (),
        "Images that are not scanned, as globs over the image as the workload names it, or over its full "
        "name; `*` does not cross a `/`.",
        sources=IN_CONFIG,
    )
    custom_volumes: tuple[Json, ...] = setting(
        "scanJob.customVolumes", shapes.VOLUMES, (), "Further volumes of scan pods.", sources=IN_CONFIG
    )
    custom_volume_mounts: tuple[Json, ...] = setting(
        "scanJob.customVolumesMount",
        shapes.VOLUME_MOUNTS,
        (),
        "Further mounts of every container of scan pods. One at a path that the operator itself mounts, "
        "such as a shared cache, takes its place.",
        sources=IN_CONFIG,
    )
    use_gcr_service_account: bool = setting(
        "scanJob.useGCRServiceAccount",
        kinds.BOOL,
        True,
        "Take the password for gcr.io and pkg.dev as the key file of a Google service account.",
        sources=IN_CONFIG,
    )
    log_result_limit_bytes: int = setting(
        "OPERATOR_SCAN_LOG_LIMIT_BYTES",
        kinds.integer(1_000_000, 1_000_000_000),
        268_435_456,
        "Most bytes of a scan pod's log that are read for its result.",
        ours=True,
    )
