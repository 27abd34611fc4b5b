"""A few resources, at least one of each family that checks are for: what policies are tried on."""

from __future__ import annotations

from typing import Any, Final

import orjson

from trivyop.audit.engine import Subject

_POD_SPEC: Final[dict[str, Any]] = {
    "containers": [{"name": "web", "image": "registry.example/web:1", "ports": [{"containerPort": 8080}]}]
}
_RULES: Final[list[dict[str, Any]]] = [
    {"apiGroups": [""], "resources": ["pods", "secrets"], "verbs": ["get", "list"]}
]
_ROLE_REF: Final = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "sample"}


def bare_sample(kind: str, api_version: str) -> Subject:
    """An object that has nothing but a name."""
    return _sample(kind, api_version)


def _sample(kind: str, api_version: str, **fields: Any) -> Subject:
    metadata: dict[str, Any] = {"name": "sample", "labels": {"app": "sample"}}
    if not kind.startswith("Cluster"):
        metadata["namespace"] = "sample"
    document = {"apiVersion": api_version, "kind": kind, "metadata": metadata, **fields}
    return Subject(f"{kind}/sample", kind, orjson.dumps(document))


def _template() -> dict[str, Any]:
    return {"metadata": {"labels": {"app": "sample"}}, "spec": _POD_SPEC}


_RBAC: Final = "rbac.authorization.k8s.io/v1"

SAMPLES: Final[tuple[Subject, ...]] = (
    _sample("Pod", "v1", spec=_POD_SPEC),
    _sample("ReplicaSet", "apps/v1", spec={"replicas": 1, "template": _template()}),
    _sample("CronJob", "batch/v1", spec={"jobTemplate": {"spec": {"template": _template()}}}),
    _sample("Service", "v1", spec={"ports": [{"port": 80}], "selector": {"app": "sample"}}),
    _sample("ConfigMap", "v1", data={"key": "value"}),
    _sample("NetworkPolicy", "networking.k8s.io/v1", spec={"podSelector": {}}),
    _sample("LimitRange", "v1", spec={"limits": []}),
    _sample("ResourceQuota", "v1", spec={"hard": {}}),
    _sample("Ingress", "networking.k8s.io/v1", spec={"rules": []}),
    _sample("Role", _RBAC, rules=_RULES),
    _sample("ClusterRole", _RBAC, rules=_RULES),
    _sample("RoleBinding", _RBAC, roleRef=_ROLE_REF, subjects=[]),
    Subject(
        "NodeInfo/sample",
        "NodeInfo",
        orjson.dumps(
            {
                "apiVersion": "v1",
                "kind": "NodeInfo",
                "metadata": {"creationTimestamp": None},
                "type": "worker",
                "info": {},
            }
        ),
    ),
)
