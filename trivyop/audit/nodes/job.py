"""Collector Jobs: one node, one Job, one pod that sees the node's processes and the files that are asked for.

Promises: pure; same in, same out. The Job is the Go operator's for the same settings, but that its pod is
pinned to its node in any case, and carries the labels by which it is known as ours.
Not here: creating anything; which nodes (``eligibility.py``) and when (``lifecycle.py``).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from trivyop.audit.nodes.commands import collector_arguments
from trivyop.audit.nodes.nodescan import NODESCANS
from trivyop.kube.jobs import OwnJob
from trivyop.report import keys
from trivyop.report.hashing import compute_hash
from trivyop.report.labels import resource_labels
from trivyop.settings import Settings
from trivyop.settings.pods import pod_resources
from trivyop.settings.scan_job import DEFAULT_POD_SECURITY_CONTEXT, DEFAULT_SECURITY_CONTEXT
from trivyop.workload.nodes import HOSTNAME_LABEL, ClusterNode

COLLECTOR_LABEL: Final = "node-info.collector"
COLLECTOR_SELECTOR: Final = COLLECTOR_LABEL
CONTAINER_NAME: Final = "node-collector"
NODE_ANNOTATION: Final = "trivyop.dev/node"

_AS_ROOT: Final = {"runAsUser": 0, "runAsGroup": 0, "seccompProfile": {"type": "RuntimeDefault"}}
_HOST_PATHS: Final = {  # volume: path on the node, path in the container
    "var-lib-etcd": ("/var/lib/etcd", "/var/lib/etcd"),
    "var-lib-kubelet": ("/var/lib/kubelet", "/var/lib/kubelet"),
    "var-lib-kube-scheduler": ("/var/lib/kube-scheduler", "/var/lib/kube-scheduler"),
    "var-lib-kube-controller-manager": (
        "/var/lib/kube-controller-manager",
        "/var/lib/kube-controller-manager",
    ),
    "etc-systemd": ("/etc/systemd", "/etc/systemd"),
    "lib-systemd": ("/lib/systemd", "/lib/systemd/"),
    "etc-kubernetes": ("/etc/kubernetes", "/etc/kubernetes"),
    "etc-cni-netd": ("/etc/cni/net.d/", "/etc/cni/net.d/"),
}


class CollectorJob(OwnJob, frozen=True, gc=False, rename="camel", kw_only=True):
    """A Job that reads a node, as informers keep it."""

    @property
    def node(self) -> str:
        """The node that it reads; "" for a Job that does not say."""
        meta = self.metadata
        return (meta.annotations or {}).get(NODE_ANNOTATION) or (meta.labels or {}).get(
            keys.RESOURCE_NAME, ""
        )


@dataclass(frozen=True, slots=True)
class CollectorPlace:
    """Where collectors run, and as whom."""

    namespace: str
    service_account: str

    @classmethod
    def of(cls, settings: Settings) -> CollectorPlace:
        collector, operator = settings.node_collector, settings.operator
        return cls(
            collector.namespace or operator.namespace, collector.service_account or operator.service_account
        )


def collector_job_name(node: str) -> str:
    return f"node-collector-{compute_hash(node)}"


def build_collector_job(
    node: ClusterNode, settings: Settings, *, platform: str, scan_uid: str = ""
) -> dict[str, Any]:
    """The Job that reads a node; it belongs to the NodeScan of that uid."""
    place, scan_job = CollectorPlace.of(settings), settings.scan_job
    name = node.metadata.name
    ours = {keys.MANAGED_BY: keys.MANAGED_BY_VALUE, COLLECTOR_LABEL: "Trivy"}
    labels = {**scan_job.labels, **ours, **resource_labels("Node", "", name)}
    labels.pop(keys.RESOURCE_NAMESPACE)
    metadata: dict[str, Any] = {
        "name": collector_job_name(name),
        "namespace": place.namespace,
        "labels": labels,
        "annotations": {**scan_job.annotations, NODE_ANNOTATION: name},
    }
    if scan_uid:
        metadata["ownerReferences"] = [_owner(name, scan_uid)]
    template = {
        "labels": {"app": "node-collector", **scan_job.labels, **ours},
        **({"annotations": dict(scan_job.annotations)} if scan_job.annotations else {}),
    }
    spec: dict[str, Any] = {
        "backoffLimit": 0,
        "completions": 1,
        "parallelism": 1,
        "template": {"metadata": template, "spec": _pod_spec(node, settings, platform)},
    }
    if scan_job.timeout_seconds > 0:
        spec["activeDeadlineSeconds"] = math.ceil(scan_job.timeout_seconds)
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}


def _owner(name: str, uid: str) -> dict[str, Any]:
    return {
        "apiVersion": NODESCANS.api_version,
        "kind": NODESCANS.kind,
        "name": name,
        "uid": uid,
        "controller": True,
    }


def _pod_spec(node: ClusterNode, settings: Settings, platform: str) -> dict[str, Any]:
    collector, scan_job = settings.node_collector, settings.scan_job
    given = scan_job.pod_security_context
    spec: dict[str, Any] = {
        "restartPolicy": "Never",
        "serviceAccountName": CollectorPlace.of(settings).service_account,
        "automountServiceAccountToken": True,  # for the kubelet's configuration, through the API server
        "enableServiceLinks": False,
        "hostPID": True,
        # the files belong to root: what is set for scan pods counts here as well, but not their default
        "securityContext": _AS_ROOT if given is None or given == DEFAULT_POD_SECURITY_CONTEXT else given,
        "containers": [_container(node, settings, platform)],
        "volumes": [*collector.volumes] or _volumes(),
    }
    hostname = (node.metadata.labels or {}).get(HOSTNAME_LABEL)
    affinity = scan_job.affinity
    if collector.use_node_selector and hostname:
        spec["nodeSelector"] = {HOSTNAME_LABEL: hostname}
    else:
        affinity = pinned(affinity, node.metadata.name)
    if affinity is not None:
        spec["affinity"] = affinity
    if collector.tolerations:
        spec["tolerations"] = [*collector.tolerations]
    if collector.image_pull_secret:
        spec["imagePullSecrets"] = [{"name": collector.image_pull_secret}]
    if scan_job.priority_class_name:
        spec["priorityClassName"] = scan_job.priority_class_name
    return spec


def _container(node: ClusterNode, settings: Settings, platform: str) -> dict[str, Any]:
    collector = settings.node_collector
    arguments = collector_arguments(platform)
    return {
        "name": CONTAINER_NAME,
        "image": collector.image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["node-collector"],
        "args": ["k8s", "--node", node.metadata.name, *(word for flag in arguments.items() for word in flag)],
        "resources": pod_resources(settings.trivy),
        "securityContext": settings.scan_job.container_security_context or DEFAULT_SECURITY_CONTEXT,
        "volumeMounts": [*collector.volume_mounts] or _mounts(),
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }


def pinned(affinity: Mapping[str, Any] | None, node: str) -> dict[str, Any]:
    """An affinity that asks for all that the given one asks for, and for that node."""
    required = "requiredDuringSchedulingIgnoredDuringExecution"
    here = {"key": "metadata.name", "operator": "In", "values": [node]}
    whole: Mapping[str, Any] = affinity or {}
    of_nodes: Mapping[str, Any] = whole.get("nodeAffinity") or {}
    asked: Mapping[str, Any] = of_nodes.get(required) or {}
    terms: list[dict[str, Any]] = asked.get("nodeSelectorTerms") or [{}]
    narrowed = [{**term, "matchFields": [*(term.get("matchFields") or ()), here]} for term in terms]
    return {**whole, "nodeAffinity": {**of_nodes, required: {"nodeSelectorTerms": narrowed}}}


def _volumes() -> list[dict[str, Any]]:
    return [{"name": name, "hostPath": {"path": path}} for name, (path, _) in _HOST_PATHS.items()]


def _mounts() -> list[dict[str, Any]]:
    return [{"name": name, "mountPath": path, "readOnly": True} for name, (_, path) in _HOST_PATHS.items()]
