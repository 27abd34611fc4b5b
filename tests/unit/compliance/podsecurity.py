"""The rules of the Pod Security Standards, control by control, and pods that keep or break them.

Rules: https://kubernetes.io/docs/concepts/security/pod-security-standards/, with what the admission plug-in
of Kubernetes 1.34 does where the page says less. Each is a function from a pod to whether it is forbidden.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

Json = dict[str, Any]
Rule = Callable[[Json], bool]

APP_ARMOR = "container.apparmor.security.beta.kubernetes.io/web"
_CAPABILITIES = {
    *("AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE"),
    *("SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"),
}
_SYSCTLS = {
    *("kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.ip_unprivileged_port_start"),
    *("net.ipv4.tcp_syncookies", "net.ipv4.ping_group_range", "net.ipv4.ip_local_reserved_ports"),
    *("net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_intvl"),
    "net.ipv4.tcp_keepalive_probes",
}
_SELINUX = {"", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"}
_VOLUMES = {
    *("configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim"),
    *("projected", "secret"),
}
_SECCOMP = {"RuntimeDefault", "Localhost"}


def _containers(pod: Json) -> list[Json]:
    spec = pod["spec"]
    return [*spec.get("initContainers", ()), *spec["containers"]]


def _contexts(pod: Json) -> list[Json]:
    """The security contexts of the pod and its containers, the pod's first."""
    return [holder.get("securityContext", {}) for holder in (pod["spec"], *_containers(pod))]


def _each(pod: Json, field: str) -> list[Any]:
    """The values of a field of containers, None where it is not set."""
    return [context.get(field) for context in _contexts(pod)[1:]]


def _inherited(pod: Json, field: str) -> list[Any]:
    """The same; a container that does not set it has the pod's value."""
    above, *own = _contexts(pod)
    return [context.get(field, above.get(field)) for context in own]


def _all(pod: Json, field: str) -> list[Any]:
    return [context[field] for context in _contexts(pod) if field in context]


def _added(pod: Json) -> set[str]:
    return {name for one in _each(pod, "capabilities") for name in (one or {}).get("add", ())}


def _app_armor(pod: Json) -> bool:
    annotations = pod["metadata"].get("annotations", {})
    values = [text for key, text in annotations.items() if key.startswith(APP_ARMOR.rpartition("/")[0])]
    old = any(text not in ("", "runtime/default") and not text.startswith("localhost/") for text in values)
    return old or any(one["type"] not in _SECCOMP for one in _all(pod, "appArmorProfile"))


def _selinux(pod: Json) -> bool:
    return any(
        one.get("type", "") not in _SELINUX or one.get("user") or one.get("role")
        for one in _all(pod, "seLinuxOptions")
    )


def _volumes(pod: Json) -> set[str]:
    return {kind for volume in pod["spec"].get("volumes", ()) for kind in volume if kind != "name"}


RULES: dict[str, Rule] = {
    "1": lambda pod: any(one.get("hostProcess") for one in _all(pod, "windowsOptions")),
    "2": lambda pod: any(pod["spec"].get(field) for field in ("hostNetwork", "hostPID", "hostIPC")),
    "3": lambda pod: any(_each(pod, "privileged")),
    "4": lambda pod: bool(_added(pod) - _CAPABILITIES),
    "5": lambda pod: "hostPath" in _volumes(pod),
    "6": lambda pod: any(port.get("hostPort") for one in _containers(pod) for port in one.get("ports", ())),
    "7": _app_armor,
    "8": _selinux,
    "9": lambda pod: any(one not in (None, "Default") for one in _each(pod, "procMount")),
    "10": lambda pod: any(one["type"] not in _SECCOMP for one in _all(pod, "seccompProfile")),
    "11": lambda pod: any(one["name"] not in _SYSCTLS for found in _all(pod, "sysctls") for one in found),
    "12": lambda pod: bool(_volumes(pod) - _VOLUMES),
    "13": lambda pod: any(one is not False for one in _each(pod, "allowPrivilegeEscalation")),
    "14": lambda pod: (
        False in _all(pod, "runAsNonRoot") or any(one is not True for one in _inherited(pod, "runAsNonRoot"))
    ),
    "15": lambda pod: 0 in _all(pod, "runAsUser"),
    "16": lambda pod: any(
        (one or {}).get("type") not in _SECCOMP
        for one in (*_inherited(pod, "seccompProfile"), *_all(pod, "seccompProfile"))
    ),
    "17": lambda pod: (
        any("ALL" not in (one or {}).get("drop", ()) for one in _each(pod, "capabilities"))
        or bool(_added(pod) - {"NET_BIND_SERVICE"})
    ),
}

_STRICT: Json = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}


def _pod(
    name: str, *, without: tuple[str, ...] = (), annotations: Json | None = None, **changes: Any
) -> Json:
    """A pod that keeps all rules, with changes: ``shared`` security, ``own`` security, fields of the spec."""
    own = {field: value for field, value in _STRICT.items() if field not in without} | changes.pop("own", {})
    container: Json = {"name": "web", "image": "registry.example/web:1", "securityContext": own}
    container |= changes.pop("container", {})
    shared = changes.pop("shared", {})
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "shop", "annotations": annotations or {}},
        "spec": {
            "containers": [container],
            **({"securityContext": shared} if shared else {}),
            **changes,
        },
    }


def _init(**security: Any) -> list[Json]:
    return [{"name": "init", "image": "registry.example/init:1", "securityContext": {**_STRICT, **security}}]


def _volume(kind: str) -> list[Json]:
    content: Json = {
        "hostPath": {"path": "/etc"},
        "nfs": {"server": "nfs.example", "path": "/"},
        "secret": {"secretName": "s"},
        "configMap": {"name": "c"},
        "persistentVolumeClaim": {"claimName": "c"},
        "iscsi": {"targetPortal": "10.0.0.1:3260", "iqn": "iqn.2001-04.com.example:a", "lun": 0},
        "projected": {"sources": []},
        "csi": {"driver": "csi.example"},
        "image": {"reference": "registry.example/data:1"},
    }.get(kind, {})
    return [{"name": "data", kind: content}]


def pods() -> Iterator[Json]:
    """Sixty of them."""
    yield _pod("strict")
    yield _pod("bare", without=tuple(_STRICT))
    yield _pod(
        "strict-by-the-pod",
        without=("runAsNonRoot", "seccompProfile"),
        shared={"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
    )
    for field in _STRICT:
        yield _pod(f"without-{field.lower()}", without=(field,))
    for field in ("hostNetwork", "hostPID", "hostIPC"):
        yield _pod(f"{field.lower()}", **{field: True})
        yield _pod(f"no-{field.lower()}", **{field: False})
    yield _pod("privileged", own={"privileged": True, "allowPrivilegeEscalation": True})
    yield _pod("not-privileged", own={"privileged": False})
    yield _pod("privileged-init", initContainers=_init(privileged=True, allowPrivilegeEscalation=True))
    yield _pod("escalates", own={"allowPrivilegeEscalation": True})
    yield _pod("escalates-init", initContainers=_init(allowPrivilegeEscalation=True))
    for name in ("NET_BIND_SERVICE", "CHOWN", "SYS_ADMIN", "NET_RAW", "SYS_PTRACE"):
        yield _pod(
            f"adds-{name.lower().replace('_', '-')}", own={"capabilities": {"add": [name], "drop": ["ALL"]}}
        )
    yield _pod("drops-some", own={"capabilities": {"drop": ["NET_RAW"]}})
    yield _pod("drops-and-adds-all", own={"capabilities": {"add": ["ALL"], "drop": ["ALL"]}})
    for kind in ("hostPath", "nfs", "iscsi", "emptyDir", "secret", "configMap", "persistentVolumeClaim"):
        yield _pod(f"volume-{kind.lower()}", volumes=_volume(kind))
    for kind in ("projected", "csi", "image"):
        yield _pod(f"volume-{kind.lower()}", volumes=_volume(kind))
    yield _pod("host-port", container={"ports": [{"containerPort": 80, "hostPort": 80}]})
    yield _pod("port", container={"ports": [{"containerPort": 8080}]})
    for profile in ("runtime/default", "localhost/mine", "unconfined"):
        yield _pod(f"armor-by-annotation-{profile.partition('/')[0]}", annotations={APP_ARMOR: profile})
    for profile in ("RuntimeDefault", "Unconfined"):
        yield _pod(f"armor-{profile.lower()}", own={"appArmorProfile": {"type": profile}})
    for kind in ("container_t", "container_engine_t", "spc_t"):
        yield _pod(f"selinux-{kind.replace('_', '-')}", own={"seLinuxOptions": {"type": kind}})
    yield _pod("selinux-user", shared={"seLinuxOptions": {"user": "system_u"}})
    yield _pod("proc-default", own={"procMount": "Default"})
    yield _pod("proc-unmasked", own={"procMount": "Unmasked"}, hostUsers=False)
    for profile in ("Localhost", "Unconfined"):
        extra = {"localhostProfile": "mine.json"} if profile == "Localhost" else {}
        yield _pod(f"seccomp-{profile.lower()}", own={"seccompProfile": {"type": profile, **extra}})
    yield _pod(
        "seccomp-unconfined-by-the-pod",
        without=("seccompProfile",),
        shared={"seccompProfile": {"type": "Unconfined"}},
    )
    for name in ("net.ipv4.tcp_syncookies", "net.ipv4.tcp_keepalive_time", "kernel.msgmax"):
        yield _pod(
            f"sysctl-{name.rpartition('.')[2].replace('_', '-')}",
            shared={"sysctls": [{"name": name, "value": "1"}]},
        )
    yield _pod("root-user", own={"runAsUser": 0})
    yield _pod("some-user", own={"runAsUser": 1000})
    yield _pod("root-user-by-the-pod", shared={"runAsUser": 0})
    yield _pod("another-user-by-the-pod", shared={"runAsUser": 1000})
    yield _pod("may-be-root", own={"runAsNonRoot": False})
    yield _pod("host-process", shared={"windowsOptions": {"hostProcess": True}}, hostNetwork=True)
