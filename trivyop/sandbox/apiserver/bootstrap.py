"""Bootstrap: the roles, bindings and priority classes of a fresh cluster, as far as somebody here needs them.

Promises: ``cluster-admin``, ``admin``, ``edit`` and ``view`` allow what they do in a real cluster, for the
kinds that are served; the latter three aggregate. What every user may do is allowed.
Not here: the roles of single controllers, which act as administrators in the sandbox.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from trivyop.sandbox.apiserver import priorities
from trivyop.sandbox.apiserver.authz import GROUP, MASTERS

if TYPE_CHECKING:
    from trivyop.sandbox.apiserver.kinds import Kinds

Obj = dict[str, Any]

_READ = ("get", "list", "watch")
_WRITE = ("create", "delete", "deletecollection", "patch", "update")
_AGGREGATE = "rbac.authorization.k8s.io/aggregate-to-"
_HEALTH = ("/healthz", "/livez", "/readyz", "/version", "/version/")
_DISCOVERY = ("/api", "/api/*", "/apis", "/apis/*", "/healthz", "/livez", "/openapi", "/openapi/*", "/readyz")

_CORE = (
    "configmaps",
    "endpoints",
    "persistentvolumeclaims",
    "pods",
    "replicationcontrollers",
    "replicationcontrollers/scale",
    "serviceaccounts",
    "services",
)
_APPS = (
    "daemonsets",
    "deployments",
    "deployments/scale",
    "replicasets",
    "replicasets/scale",
    "statefulsets",
    "statefulsets/scale",
)


def _rule(groups: str, resources: tuple[str, ...], verbs: tuple[str, ...]) -> Obj:
    return {"apiGroups": [groups], "resources": list(resources), "verbs": list(verbs)}


def _paths(paths: tuple[str, ...]) -> Obj:
    return {"nonResourceURLs": list(paths), "verbs": ["get"]}


_VIEW = [
    _rule("", _CORE, _READ),
    _rule(
        "",
        (
            "bindings",
            "events",
            "limitranges",
            "namespaces",
            "namespaces/status",
            "pods/log",
            "pods/status",
            "resourcequotas",
            "resourcequotas/status",
        ),
        _READ,
    ),
    _rule("apps", ("controllerrevisions", *_APPS), _READ),
    _rule("batch", ("cronjobs", "jobs"), _READ),
    _rule("networking.k8s.io", ("ingresses", "networkpolicies"), _READ),
    _rule("policy", ("poddisruptionbudgets",), _READ),
]
_EDIT = [
    _rule("", ("secrets",), _READ),
    _rule("", ("serviceaccounts",), ("impersonate",)),
    _rule("", ("pods/attach", "pods/exec", "pods/portforward", "pods/proxy"), (*_READ, *_WRITE)),
    _rule("", (*_CORE, "events", "secrets", "serviceaccounts/token"), _WRITE),
    _rule("", ("pods/eviction",), ("create",)),
    _rule("apps", _APPS, _WRITE),
    _rule("batch", ("cronjobs", "jobs"), _WRITE),
    _rule("networking.k8s.io", ("ingresses", "networkpolicies"), _WRITE),
    _rule("policy", ("poddisruptionbudgets",), _WRITE),
    _rule("coordination.k8s.io", ("leases",), (*_READ, *_WRITE)),
]
_ADMIN = [
    _rule("authorization.k8s.io", ("localsubjectaccessreviews",), ("create",)),
    _rule(GROUP, ("rolebindings", "roles"), (*_READ, *_WRITE)),
]
_BASIC_USER = [
    _rule("authorization.k8s.io", ("selfsubjectaccessreviews", "selfsubjectrulesreviews"), ("create",)),
    _rule("authentication.k8s.io", ("selfsubjectreviews",), ("create",)),
]
_NODE = [
    _rule("authentication.k8s.io", ("tokenreviews",), ("create",)),
    _rule("authorization.k8s.io", ("localsubjectaccessreviews", "subjectaccessreviews"), ("create",)),
    _rule("", ("configmaps", "secrets", "services", "persistentvolumeclaims", "persistentvolumes"), _READ),
    _rule("", ("nodes",), ("create", "get", "list", "watch", "patch", "update", "delete")),
    _rule("", ("nodes/status",), ("patch", "update")),
    _rule("", ("events",), ("create", "patch", "update")),
    _rule("", ("pods",), ("create", "delete", "get", "list", "watch")),
    _rule("", ("pods/status",), ("patch", "update")),
    _rule("", ("pods/eviction", "serviceaccounts/token"), ("create",)),
    _rule("coordination.k8s.io", ("leases",), ("create", "delete", "get", "patch", "update")),
]

_ROLES: dict[str, list[Obj]] = {
    "cluster-admin": [
        {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]},
        {"nonResourceURLs": ["*"], "verbs": ["*"]},
    ],
    "system:aggregate-to-view": _VIEW,
    "system:aggregate-to-edit": _EDIT,
    "system:aggregate-to-admin": _ADMIN,
    "system:basic-user": _BASIC_USER,
    "system:discovery": [_paths((*_DISCOVERY, "/version", "/version/"))],
    "system:public-info-viewer": [_paths(_HEALTH)],
    "system:auth-delegator": _NODE[:2],
    "system:node": _NODE,
}
_AGGREGATED = {"admin": ("admin",), "edit": ("admin", "edit"), "view": ("admin", "edit", "view")}
_BOUND = {
    "cluster-admin": (MASTERS,),
    "system:basic-user": ("system:authenticated",),
    "system:discovery": ("system:authenticated",),
    "system:public-info-viewer": ("system:authenticated", "system:unauthenticated"),
    "system:node": ("system:nodes",),
}


def make_roles(kinds: Kinds, now: str) -> None:
    """Store the roles and bindings."""
    roles = kinds.get(GROUP, "v1", "clusterroles").bucket
    bindings = kinds.get(GROUP, "v1", "clusterrolebindings").bucket
    for name, rules in _ROLES.items():
        labels = {"kubernetes.io/bootstrapping": "rbac-defaults"}
        if name.startswith("system:aggregate-to-"):
            labels[_AGGREGATE + name.removeprefix("system:aggregate-to-")] = "true"
        roles.put({"metadata": _metadata(name, now, labels), "rules": rules})
    for name, targets in _AGGREGATED.items():
        labels = {"kubernetes.io/bootstrapping": "rbac-defaults"}
        labels |= {_AGGREGATE + target: "true" for target in targets if target != name}
        selectors = [{"matchLabels": {f"{_AGGREGATE}{name}": "true"}}]
        roles.put(
            {
                "metadata": _metadata(name, now, labels),
                "aggregationRule": {"clusterRoleSelectors": selectors},
                "rules": None,
            }
        )
    for name, groups in _BOUND.items():
        labels = {"kubernetes.io/bootstrapping": "rbac-defaults"}
        bindings.put(
            {
                "metadata": _metadata(name, now, labels),
                "roleRef": {"apiGroup": GROUP, "kind": "ClusterRole", "name": name},
                "subjects": [{"apiGroup": GROUP, "kind": "Group", "name": group} for group in groups],
            }
        )


def make_priority_classes(kinds: Kinds, now: str) -> None:
    """Store the classes of pods that the cluster itself needs."""
    classes = kinds.get(priorities.GROUP, "v1", "priorityclasses").bucket
    for name, value in priorities.SYSTEM_CLASSES.items():
        metadata = {"name": name, "uid": str(uuid.uuid4()), "creationTimestamp": now, "generation": 1}
        classes.put({"metadata": metadata, "value": value, "preemptionPolicy": "PreemptLowerPriority"})


def _metadata(name: str, now: str, labels: dict[str, str]) -> Obj:
    annotations = {"rbac.authorization.kubernetes.io/autoupdate": "true"}
    return {
        "name": name,
        "uid": str(uuid.uuid4()),
        "creationTimestamp": now,
        "labels": labels,
        "annotations": annotations,
    }
