"""Manifests of every kind that is audited, with and without each weakness that checks look for."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

Json = dict[str, Any]
Weakness = Callable[[Json, Json], None]  # changes the pod's spec and its first container

_RBAC = "rbac.authorization.k8s.io/v1"


def manifests() -> list[Json]:
    """At least 300, each with a name of its own within its kind; always the same."""
    return [*_workloads(), *_services(), *_ingresses(), *_network_policies(), *_rbac(), *_others()]


def _strong_pod() -> Json:
    return {
        "automountServiceAccountToken": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 20000,
            "runAsGroup": 20000,
            "fsGroup": 20000,
            "supplementalGroups": [20000],
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_strong_container("web")],
    }


def _strong_container(name: str) -> Json:
    return {
        "name": name,
        "image": f"registry.example/team/{name}:1.2.3",
        "resources": {
            "requests": {"cpu": "10m", "memory": "16Mi"},
            "limits": {"cpu": "100m", "memory": "64Mi"},
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "privileged": False,
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "runAsUser": 20000,
            "runAsGroup": 20000,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }


def _security(**fields: Any) -> Weakness:
    return lambda _, container: container["securityContext"].update(fields)


def _pod(**fields: Any) -> Weakness:
    return lambda spec, _: spec.update(fields)


def _container(**fields: Any) -> Weakness:
    return lambda _, container: container.update(fields)


def _volume(**source: Any) -> Weakness:
    return _pod(volumes=[{"name": "data", **source}])


def _unlimited(_: Json, container: Json) -> None:
    del container["resources"]


def _careless(spec: Json, container: Json) -> None:
    del spec["securityContext"], spec["automountServiceAccountToken"]
    del container["securityContext"], container["resources"]


def _second_container(spec: Json, _: Json) -> None:
    spec["initContainers"] = [{"name": "init", "image": "busybox"}]
    spec["containers"].append({"name": "other", "image": "busybox:latest"})


WEAKNESSES: dict[str, Weakness] = {
    "none": lambda _, __: None,
    "careless": _careless,
    "escalation": _security(allowPrivilegeEscalation=True),
    "privileged": _security(privileged=True),
    "writable-root": _security(readOnlyRootFilesystem=False),
    "root-user": _security(runAsUser=0, runAsNonRoot=False),
    "low-user": _security(runAsUser=1000, runAsGroup=1000),
    "keeps-capabilities": _security(capabilities={"drop": ["NET_RAW"]}),
    "adds-capabilities": _security(
        capabilities={"drop": ["ALL"], "add": ["SYS_ADMIN", "NET_RAW", "SYS_MODULE"]}
    ),
    "unconfined": _security(seccompProfile={"type": "Unconfined"}),
    "selinux": _security(seLinuxOptions={"type": "custom", "user": "someone"}),
    "proc-mount": _security(procMount="Unmasked"),
    "unlimited": _unlimited,
    "latest": _container(image="nginx:latest"),
    "untagged": _container(image="docker.io/nginx"),
    "host-port": _container(ports=[{"containerPort": 80, "hostPort": 80}]),
    "host-network": _pod(hostNetwork=True),
    "host-pid": _pod(hostPID=True),
    "host-ipc": _pod(hostIPC=True),
    "host-aliases": _pod(hostAliases=[{"ip": "127.0.0.1", "hostnames": ["web"]}]),
    "docker-socket": _volume(hostPath={"path": "/var/run/docker.sock"}),
    "host-path": _volume(hostPath={"path": "/etc"}),
    "odd-volume": _volume(nfs={"server": "nfs.example", "path": "/"}),
    "token": _pod(automountServiceAccountToken=True, serviceAccountName="web"),
    "sysctl": lambda spec, _: spec["securityContext"].update(
        sysctls=[{"name": "kernel.msgmax", "value": "65536"}]
    ),
    "root-groups": lambda spec, _: spec["securityContext"].update(
        runAsGroup=0, fsGroup=0, supplementalGroups=[0]
    ),
    "low-ports": lambda spec, _: spec["securityContext"].update(
        sysctls=[{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}]
    ),
    "two-containers": _second_container,
    "tiller": _container(name="tiller", image="ghcr.io/helm/tiller:v2.16.1"),
}


def _workloads() -> Iterator[Json]:
    for name, weakness in WEAKNESSES.items():
        spec = _strong_pod()
        weakness(spec, spec["containers"][0])
        for kind, api_version in (
            ("Pod", "v1"),
            ("ReplicationController", "v1"),
            ("ReplicaSet", "apps/v1"),
            ("Deployment", "apps/v1"),
            ("StatefulSet", "apps/v1"),
            ("DaemonSet", "apps/v1"),
            ("Job", "batch/v1"),
            ("CronJob", "batch/v1"),
        ):
            namespace = {"careless": "default", "latest": "kube-system"}.get(name, "shop")
            yield _object(kind, api_version, name, namespace, spec=_workload_spec(kind, copy.deepcopy(spec)))


def _workload_spec(kind: str, pod: Json) -> Json:
    template = {"metadata": {"labels": {"app": "web"}}, "spec": pod}
    if kind == "Pod":
        return pod
    if kind in ("Job", "CronJob"):
        pod["restartPolicy"] = "Never"
        job = {"backoffLimit": 1, "template": template}
        return job if kind == "Job" else {"schedule": "0 1 * * *", "jobTemplate": {"spec": job}}
    selector: Json = {"app": "web"}
    return {
        "replicas": 2,
        "selector": selector if kind == "ReplicationController" else {"matchLabels": selector},
        "template": template,
    }


def _services() -> Iterator[Json]:
    for name, fields in {
        "plain": {},
        "external": {"externalIPs": ["192.0.2.7"]},
        "tiller-deploy": {"selector": {"app": "helm", "name": "tiller"}},
        "node-port": {"type": "NodePort"},
        "load-balancer": {"type": "LoadBalancer"},
    }.items():
        spec = {"ports": [{"port": 80, "targetPort": 8080}], "selector": {"app": "web"}, **fields}
        yield _object("Service", "v1", name, "shop", spec=spec)


def _ingresses() -> Iterator[Json]:
    backend = {"service": {"name": "web", "port": {"number": 80}}}
    rules = [
        {"host": "web.example", "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}
    ]
    for name, noted in {
        "plain": {},
        "snippet": {"nginx.ingress.kubernetes.io/server-snippet": "load_module /tmp/x.so;"},
        "rewrite": {"nginx.ingress.kubernetes.io/auth-tls-match-cn": "CN=x\n}"},
    }.items():
        found = _object("Ingress", "networking.k8s.io/v1", name, "shop", spec={"rules": rules})
        found["metadata"]["annotations"] = noted
        yield found


def _network_policies() -> Iterator[Json]:
    for name, spec in {
        "closed": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]},
        "chosen": {
            "podSelector": {"matchLabels": {"app": "web"}},
            "policyTypes": ["Ingress"],
            "ingress": [{}],
        },
        "open": {"podSelector": {}, "ingress": [{"from": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}]},
        "out": {
            "podSelector": {},
            "policyTypes": ["Egress"],
            "egress": [{"to": [{"ipBlock": {"cidr": "::/0"}}]}],
        },
    }.items():
        yield _object("NetworkPolicy", "networking.k8s.io/v1", name, "shop", spec=spec)


def _rule(groups: str, resources: str, verbs: str) -> Json:
    return {"apiGroups": groups.split(","), "resources": resources.split(","), "verbs": verbs.split(",")}


RULES = {
    "harmless": [_rule("", "endpoints", "get,list")],
    "everything": [_rule("*", "*", "*")],
    "all-verbs": [_rule("", "services", "*")],
    "secrets": [_rule("", "secrets", "get,list,update")],
    "pod-logs": [_rule("", "pods/log", "delete")],
    "impersonation": [_rule("", "groups,users", "impersonate")],
    "node-proxy": [_rule("", "nodes/proxy", "get,create")],
    "workloads": [_rule("apps", "deployments,daemonsets", "create,update")],
    "pods": [_rule("", "pods", "create,delete")],
    "configmaps": [_rule("", "configmaps", "create,update")],
    "rbac": [_rule("rbac.authorization.k8s.io", "roles,rolebindings", "create,update,escalate,bind")],
    "cluster-rbac": [_rule("rbac.authorization.k8s.io", "clusterrolebindings,clusterroles", "create,bind")],
    "exec": [_rule("", "pods/exec", "create")],
    "attach": [_rule("", "pods/attach", "create")],
    "networking": [_rule("networking.k8s.io", "networkpolicies,ingresses", "create,update")],
    "webhooks": [_rule("admissionregistration.k8s.io", "validatingwebhookconfigurations", "create,update")],
    "two": [_rule("", "secrets", "list"), _rule("", "pods/exec", "create")],
    "named": [{**_rule("", "configmaps", "update"), "resourceNames": ["aws-auth"]}],
    "bindings": [_rule("rbac.authorization.k8s.io", "rolebindings", "get,patch")],
    "none": [],
}


def _rbac() -> Iterator[Json]:
    for name, rules in RULES.items():
        yield _object("Role", _RBAC, name, "shop", rules=rules)
        yield _object("ClusterRole", _RBAC, name, "", rules=rules)
    for role in ("cluster-admin", "admin", "view"):
        for subject in ("system:authenticated", "system:anonymous", "system:masters", "someone"):
            reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role}
            kind = "User" if subject in ("system:anonymous", "someone") else "Group"
            subjects = [{"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": subject}]
            name = f"{role}-{subject.replace(':', '-')}"
            yield _object("RoleBinding", _RBAC, name, "shop", roleRef=reference, subjects=subjects)
            yield _object("ClusterRoleBinding", _RBAC, name, "", roleRef=reference, subjects=subjects)


def _others() -> Iterator[Json]:
    for name, data in {
        "plain": {"key": "value"},
        "secrets": {"password": "hunter2", "api_token": "abc"},
        "sensitive": {"user": "someone@example.com", "number": "4111 1111 1111 1111"},
        "empty": {},
    }.items():
        yield _object("ConfigMap", "v1", name, "shop", data=data)
    hard = {"requests.cpu": "1", "requests.memory": "1Gi", "limits.cpu": "2", "limits.memory": "2Gi"}
    yield _object("ResourceQuota", "v1", "full", "shop", spec={"hard": hard})
    yield _object("ResourceQuota", "v1", "part", "shop", spec={"hard": {"pods": "4"}})
    amounts = {"cpu": "100m", "memory": "64Mi"}
    full = {
        "type": "Container",
        "default": amounts,
        "defaultRequest": amounts,
        "max": amounts,
        "min": amounts,
    }
    yield _object("LimitRange", "v1", "full", "shop", spec={"limits": [full]})
    yield _object("LimitRange", "v1", "part", "shop", spec={"limits": [{"type": "Pod", "max": {"cpu": "2"}}]})
    yield _object(
        "PersistentVolumeClaim",
        "v1",
        "data",
        "shop",
        spec={"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    )
    yield _object(
        "PersistentVolume",
        "v1",
        "disk",
        "",
        spec={
            "capacity": {"storage": "1Gi"},
            "hostPath": {"path": "/data"},
            "accessModes": ["ReadWriteOnce"],
        },
    )
    yield _object("Widget", "example.com/v1", "custom", "shop", spec={"size": 3})
    yield _object("Ingress", "extensions/v1beta1", "old", "shop", spec={"backend": {"serviceName": "web"}})


def _object(kind: str, api_version: str, name: str, namespace: str, **fields: Any) -> Json:
    metadata: Json = {"name": name, "labels": {"app": "web"}}
    if namespace:
        metadata["namespace"] = namespace
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **fields}
