"""Scan Jobs: one image, one Job, one container, with scratch space of its own.

``ScanJob`` is how informers keep them: whose scan it is, which attempt, and how far it got.
``build_scan_job`` turns a request and the settings into the Job and the Secret it needs: what is secret, and
files.

Promises: pure; same in, same out. Names depend on the ImageScan and the attempt alone, so that creating twice
is creating once. Under the default settings pods pass the "restricted" pod security standard.
Not here: creating anything; when to scan (``lifecycle.py``); what the containers do (``containers.py``).
"""

from __future__ import annotations

import base64
import math
from datetime import datetime
from typing import Any, Final

from trivyop.kube.jobs import OwnJob
from trivyop.kube.resources import IMAGESCANS
from trivyop.kube.times import parse_time
from trivyop.scan.containers import (
    CONTAINER_NAME,
    DATABASE_CONTAINER_NAME,
    LOGIN_CONTAINER_NAME,
    Containers,
)
from trivyop.scan.lifecycle import JobState
from trivyop.scan.logins import LOGINS_ANNOTATION, Logins
from trivyop.scan.podconfig import PodConfig, ScanVariant
from trivyop.scan.request import ScanRequest, scan_id, scan_job_name
from trivyop.settings import Settings

IMAGE_SCAN_LABEL: Final = "trivyop.dev/image-scan"
ATTEMPT_ANNOTATION: Final = "trivyop.dev/attempt"
IMAGE_ANNOTATION: Final = "trivyop.dev/image"
SCANNER_LABEL: Final = "vulnerabilityReport.scanner"
MANAGED_BY_LABEL: Final = "app.kubernetes.io/managed-by"
_LINUX_ONLY: Final[dict[str, Any]] = {
    "nodeAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [
                {"matchExpressions": [{"key": "kubernetes.io/os", "operator": "In", "values": ["linux"]}]}
            ]
        }
    }
}


def scan_job_namespace(request: ScanRequest, settings: Settings) -> str:
    if settings.scan_job.in_workload_namespace and request.namespace:
        return request.namespace
    return settings.operator.namespace


def build_scan_job(request: ScanRequest, settings: Settings) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The Job, and the Secrets that go with it.

    In the operator's namespace all of them belong to the ImageScan; owner references cannot cross namespaces,
    so elsewhere the caller has to delete them. Raises ``SettingsError`` for a command that is not supported.
    """
    namespace = scan_job_namespace(request, settings)
    name = scan_job_name(request.scan_name, request.attempt, request.scan_uid)
    job_settings = settings.scan_job
    config = PodConfig(settings, secret_name=name)
    labels = {
        **job_settings.labels,
        MANAGED_BY_LABEL: "trivy-operator",
        SCANNER_LABEL: "Trivy",
        IMAGE_SCAN_LABEL: request.scan_name,
    }
    pod_spec = _pod_spec(request, settings, config, at_home=namespace == settings.operator.namespace)
    pod_metadata: dict[str, Any] = {
        "labels": {**labels, **job_settings.pod_template_labels, IMAGE_SCAN_LABEL: request.scan_name}
    }
    if job_settings.annotations:
        pod_metadata["annotations"] = dict(job_settings.annotations)
    metadata: dict[str, Any] = {
        "name": name,
        "namespace": namespace,
        "labels": labels,
        "annotations": {
            **job_settings.annotations,
            ATTEMPT_ANNOTATION: str(request.attempt),
            **({LOGINS_ANNOTATION: request.logins.text()} if request.logins != Logins() else {}),
            IMAGE_ANNOTATION: _display(request),
        },
    }
    if namespace == settings.operator.namespace and request.scan_uid:
        metadata["ownerReferences"] = [_owner(request)]
    spec: dict[str, Any] = {
        "backoffLimit": 0,
        "completions": 1,
        "parallelism": 1,
        "template": {"metadata": pod_metadata, "spec": pod_spec},
    }
    if job_settings.timeout_seconds > 0:
        spec["activeDeadlineSeconds"] = math.ceil(job_settings.timeout_seconds)
    if job_settings.ttl_seconds:
        spec["ttlSecondsAfterFinished"] = math.ceil(job_settings.ttl_seconds)
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}
    return job, _secrets(metadata, config)


def _display(request: ScanRequest) -> str:
    return request.image.pinned(request.digest) if request.digest else str(request.image)


def _owner(request: ScanRequest) -> dict[str, Any]:
    return {
        "apiVersion": IMAGESCANS.api_version,
        "kind": IMAGESCANS.kind,
        "name": request.scan_name,
        "uid": request.scan_uid,
        "controller": True,
    }


def _secrets(job_metadata: dict[str, Any], config: PodConfig) -> list[dict[str, Any]]:
    if not config.secret_data:
        return []
    metadata = {key: value for key, value in job_metadata.items() if key != "annotations"}
    data = {key: base64.b64encode(text.encode()).decode() for key, text in sorted(config.secret_data.items())}
    return [
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {**metadata, "name": config.secret_name},
            "type": "Opaque",
            "immutable": True,
            "data": data,
        }
    ]


def _pod_spec(
    request: ScanRequest, settings: Settings, config: PodConfig, *, at_home: bool
) -> dict[str, Any]:
    job_settings, trivy = settings.scan_job, settings.trivy
    containers = Containers(request, settings, config)
    scan, init = containers.scan(), containers.init()
    pull_secrets = [trivy.image_pull_secret] if trivy.image_pull_secret else []
    service_account = settings.operator.service_account
    if not at_home:
        service_account = request.service_account or "default"
        pull_secrets += request.pull_secrets
    spec: dict[str, Any] = {
        "restartPolicy": "Never",
        "serviceAccountName": service_account,
        "automountServiceAccountToken": job_settings.automount_service_account_token,
        "enableServiceLinks": False,
        "affinity": job_settings.affinity if job_settings.affinity is not None else _LINUX_ONLY,
        "securityContext": job_settings.pod_security_context or {},
        "containers": [scan],
        "volumes": containers.volumes((scan, *init)),
    }
    if init:
        spec["initContainers"] = init
    if pull_secrets:
        spec["imagePullSecrets"] = [{"name": name} for name in dict.fromkeys(pull_secrets)]
    if job_settings.tolerations:
        spec["tolerations"] = list(job_settings.tolerations)
    if job_settings.node_selector:
        spec["nodeSelector"] = dict(job_settings.node_selector)
    if job_settings.priority_class_name:
        spec["priorityClassName"] = job_settings.priority_class_name
    return spec


SCAN_JOB_SELECTOR = IMAGE_SCAN_LABEL


class ScanJob(OwnJob, frozen=True, gc=False, rename="camel", kw_only=True):
    """A Job that carries the label of an ImageScan."""

    @property
    def scan(self) -> str:
        """The name of the ImageScan it works for."""
        return (self.metadata.labels or {}).get(IMAGE_SCAN_LABEL, "")

    @property
    def attempt(self) -> int:
        """Which attempt of the scan it is, from 1; 0 for a Job that does not say."""
        text = (self.metadata.annotations or {}).get(ATTEMPT_ANNOTATION, "")
        return int(text) if text.isascii() and text.isdigit() else 0

    @property
    def state(self) -> JobState:
        return JobState.FINISHED if self.finished else JobState.RUNNING

    @property
    def created(self) -> datetime:
        return parse_time(self.metadata.creation_timestamp)


__all__ = [
    "ATTEMPT_ANNOTATION",
    "CONTAINER_NAME",
    "DATABASE_CONTAINER_NAME",
    "IMAGE_ANNOTATION",
    "IMAGE_SCAN_LABEL",
    "LOGIN_CONTAINER_NAME",
    "SCAN_JOB_SELECTOR",
    "ScanJob",
    "ScanRequest",
    "ScanVariant",
    "build_scan_job",
    "scan_id",
    "scan_job_name",
    "scan_job_namespace",
]
