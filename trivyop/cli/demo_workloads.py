"""What the demo runs: some workloads of each kind, with images that the sandbox's registry serves, and what
else is audited.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

NAMESPACES = ("shop", "data", "platform")


def workloads(registry: str) -> Iterator[dict[str, Any]]:
    """Namespaces and what is in them; `registry` is the address that stands before image names."""
    for name in NAMESPACES:
        yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}

    def containers(**images: str) -> list[dict[str, str]]:
        return [{"name": name, "image": f"{registry}/{image}"} for name, image in images.items()]

    yield _workload(
        "apps/v1", "Deployment", "shop", "web", containers(web="shop/web:1.0", cache="library/cache:7"), 2
    )
    yield _workload("apps/v1", "StatefulSet", "shop", "orders", containers(orders="shop/orders:2.3.1"), 1)
    yield _workload("apps/v1", "Deployment", "shop", "payments", containers(payments="shop/payments:0.9"), 1)
    yield _workload("apps/v1", "DaemonSet", "platform", "gateway", containers(gateway="shop/gateway:3"), None)
    yield _workload("apps/v1", "Deployment", "platform", "health", containers(server="library/static:1"), 1)
    yield _workload("apps/v1", "Deployment", "data", "cache", containers(cache="library/cache:7"), 3)
    yield _workload("apps/v1", "Deployment", "data", "clean", containers(clean="library/clean:1"), 1)
    job = {"restartPolicy": "Never", "containers": containers(migrate="shop/legacy:0.1")}
    yield {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "migrate", "namespace": "data"},
        "spec": {"template": {"spec": job}},
    }
    nightly = {"restartPolicy": "Never", "containers": containers(report="library/single:1")}
    yield {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": "nightly", "namespace": "data"},
        "spec": {"schedule": "0 3 * * *", "jobTemplate": {"spec": {"template": {"spec": nightly}}}},
    }
    yield {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"selector": {"app.kubernetes.io/name": "web"}, "ports": [{"port": 80}]},
    }
    yield {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "everything", "namespace": "platform"},
        "rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}],
    }


def _workload(
    api_version: str,
    kind: str,
    namespace: str,
    name: str,
    containers: list[dict[str, str]],
    replicas: int | None,
) -> dict[str, Any]:
    labels = {"app.kubernetes.io/name": name}
    spec: dict[str, Any] = {
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": containers}},
    }
    if replicas is not None:
        spec["replicas"] = replicas
    if kind == "StatefulSet":
        spec["serviceName"] = name
    return {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }
