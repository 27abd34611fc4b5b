"""Pods of a realistic size for benchmarks: 8 KB of JSON, as behind a service mesh."""

from __future__ import annotations

from typing import Any

import orjson

_BYTES = 3 * 1024  # the server adds defaults and managed fields, and then it is 8 KB


def pod(n: int, *, namespaces: int = 50, workloads: int = 500) -> dict[str, Any]:
    """Pod number `n`; pods of one workload share labels, images and owner."""
    workload = n % workloads
    labels = {"app.kubernetes.io/name": f"workload-{workload}", "pod-template-hash": f"{workload:010x}"}
    containers = [
        {
            "name": name,
            "image": f"registry.example.com/team/{name}-{workload % 50}:1.{workload}",
            "env": [
                {"name": f"SETTING_{i}", "value": f"value {i} of workload {workload}"} for i in range(20)
            ],
            "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "256Mi"}},
            "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
        }
        for name in ("main", "sidecar")
    ]
    body: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"workload-{workload}-{n:05d}",
            "namespace": f"team-{workload % namespaces}",
            "labels": labels,
            "ownerReferences": [
                {
                    "apiVersion": "apps/v1",
                    "kind": "ReplicaSet",
                    "name": f"workload-{workload}",
                    "uid": f"00000000-0000-4000-8000-{workload:012d}",
                    "controller": True,
                }
            ],
        },
        "spec": {
            "containers": containers,
            "nodeName": f"node-{n % 100}",
            "volumes": [{"name": "tmp", "emptyDir": {}}],
        },
    }
    missing = _BYTES - len(orjson.dumps(body))
    body["metadata"]["annotations"] = {"example.com/notes": "x" * max(0, missing - 40)}
    return body
