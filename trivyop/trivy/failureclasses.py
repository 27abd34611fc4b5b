"""The classes of failed scans: what went wrong, for people, metrics and retries."""

from __future__ import annotations

from enum import StrEnum


class FailureClass(StrEnum):
    """What went wrong, for people and metrics."""

    AUTH = "auth"
    NOT_FOUND = "not-found"
    INVALID_IMAGE = "invalid-image"
    UNSUPPORTED = "unsupported"  # there, and nothing that Trivy can read
    RATE_LIMIT = "rate-limit"
    TLS = "tls"
    NETWORK = "network"
    PLATFORM = "platform"
    OUT_OF_MEMORY = "out-of-memory"
    TIMEOUT = "timeout"
    DISK = "disk"
    DATABASE = "database"
    TRIVY_SERVER = "trivy-server"  # of the mode ClientServer
    CONFIGURATION = "configuration"  # Trivy does not take its settings
    TOO_LARGE = "too-large"
    ADMISSION = "admission"  # the API server does not take the Job, or its pod
    PERMISSION = "permission"  # the operator may not do what a scan needs
    UNSCHEDULABLE = "unschedulable"  # no node takes the pod
    SCANNER_IMAGE = "scanner-image"  # the nodes cannot start Trivy itself
    POD_START = "pod-start"  # a volume, Secret or ConfigMap, or the pod's network
    INTERRUPTED = "interrupted"  # evicted, preempted, deleted, node gone
    PARSE = "parse"
    TRANSPORT = "transport"  # the result did not arrive whole
    SCANNER = "scanner"  # anything else that Trivy says
