"""Pod Security: what a namespace's label lets pods do, as the admission plug-in of a real server checks it.

Promises: the words of Kubernetes 1.34 for the checks that are here.
Not here: levels that only warn or audit, exemptions, versions (the newest counts), and the checks of
AppArmor, SELinux, sysctls, procMount, probe hosts and Windows pods.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from trivyop.sandbox.apiserver.objects.plain import fields_at

Obj = dict[str, Any]
Check = Callable[[Obj], tuple[str, str] | None]  # reason and detail of what is forbidden

ENFORCE = "pod-security.kubernetes.io/enforce"

_HOST_FIELDS = ("hostNetwork", "hostPID", "hostIPC")
_BASELINE_CAPABILITIES = frozenset(
    {
        *("AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE"),
        *("SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"),
    }
)
_VOLUMES = frozenset(
    {
        *("configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim"),
        *("projected", "secret"),
    }
)
_SECCOMP = frozenset({"RuntimeDefault", "Localhost"})


def violations(level: str, version: str, spec: Obj) -> str:
    """Why a pod may not be in a namespace that enforces that level; "" if it may."""
    found = [result for check in _CHECKS.get(level, ()) if (result := check(spec)) is not None]
    if not found:
        return ""
    details = ", ".join(f"{reason} ({detail})" if detail else reason for reason, detail in found)
    return f'violates PodSecurity "{level}:{version}": {details}'


def _containers(spec: Obj) -> list[Obj]:
    return [
        *(spec.get("initContainers") or ()),
        *spec["containers"],
        *(spec.get("ephemeralContainers") or ()),
    ]


def _security(holder: Obj) -> Obj:
    return fields_at(holder, "securityContext")


def _named(noun: str, names: Sequence[str]) -> str:
    quoted = ", ".join(f'"{name}"' for name in names)
    return f"{noun}{'' if len(names) == 1 else 's'} {quoted}"


def _bad(spec: Obj, bad: Callable[[Obj], bool]) -> list[str]:
    return [container["name"] for container in _containers(spec) if bad(_security(container))]


def _host_namespaces(spec: Obj) -> tuple[str, str] | None:
    used = [f"{name}=true" for name in _HOST_FIELDS if spec.get(name)]
    return ("host namespaces", ", ".join(used)) if used else None


def _host_path(spec: Obj) -> tuple[str, str] | None:
    used = [volume["name"] for volume in spec.get("volumes") or () if "hostPath" in volume]
    return ("hostPath volumes", _named("volume", used)) if used else None


def _host_ports(spec: Obj) -> tuple[str, str] | None:
    ports = {
        container["name"]: [port["hostPort"] for port in container.get("ports") or () if port.get("hostPort")]
        for container in _containers(spec)
    }
    used = [name for name, found in ports.items() if found]
    if not used:
        return None
    numbers = sorted({number for found in ports.values() for number in found})
    noun = "hostPort" if len(numbers) == 1 else "hostPorts"
    return "hostPort", f"{_named('container', used)} uses {noun} {', '.join(map(str, numbers))}"


def _privileged(spec: Obj) -> tuple[str, str] | None:
    bad = _bad(spec, lambda security: bool(security.get("privileged")))
    detail = f"{_named('container', bad)} must not set securityContext.privileged=true"
    return ("privileged", detail) if bad else None


def _added(spec: Obj, allowed: frozenset[str]) -> str:
    bad: list[str] = []
    added: set[str] = set()
    for container in _containers(spec):
        more = set(fields_at(_security(container), "capabilities").get("add") or ()) - allowed
        if more:
            bad.append(container["name"])
            added |= more
    shown = ", ".join(f'"{name}"' for name in sorted(added))
    words = f"{_named('container', bad)} must not include {shown} in securityContext.capabilities.add"
    return words if bad else ""


def _baseline_capabilities(spec: Obj) -> tuple[str, str] | None:
    words = _added(spec, _BASELINE_CAPABILITIES)
    return ("non-default capabilities", words) if words else None


def _restricted_capabilities(spec: Obj) -> tuple[str, str] | None:
    def keeps(security: Obj) -> bool:
        return "ALL" not in (fields_at(security, "capabilities").get("drop") or ())

    keeping = _bad(spec, keeps)
    dropped = f'{_named("container", keeping)} must set securityContext.capabilities.drop=["ALL"]'
    words = [dropped if keeping else "", _added(spec, frozenset({"NET_BIND_SERVICE"}))]
    return ("unrestricted capabilities", "; ".join(filter(None, words))) if any(words) else None


def _escalation(spec: Obj) -> tuple[str, str] | None:
    bad = _bad(spec, lambda security: security.get("allowPrivilegeEscalation") is not False)
    detail = f"{_named('container', bad)} must set securityContext.allowPrivilegeEscalation=false"
    return ("allowPrivilegeEscalation != false", detail) if bad else None


def _volume_types(spec: Obj) -> tuple[str, str] | None:
    bad: list[str] = []
    kinds: set[str] = set()
    for volume in spec.get("volumes") or ():
        other = set(volume) - {"name"} - _VOLUMES
        if other:
            bad.append(volume["name"])
            kinds |= other
    if not bad:
        return None
    shown = ", ".join(f'"{kind}"' for kind in sorted(kinds))
    use, noun = ("uses" if len(bad) == 1 else "use"), ("type" if len(kinds) == 1 else "types")
    return "restricted volume types", f"{_named('volume', bad)} {use} restricted volume {noun} {shown}"


def _run_as_non_root(spec: Obj) -> tuple[str, str] | None:
    setters = _setters(spec, lambda security: security.get("runAsNonRoot") is False)
    if setters:
        return "runAsNonRoot != true", f"{setters} must not set securityContext.runAsNonRoot=false"
    if _security(spec).get("runAsNonRoot"):
        return None
    bad = _bad(spec, lambda security: not security.get("runAsNonRoot"))
    detail = f"pod or {_named('container', bad)} must set securityContext.runAsNonRoot=true"
    return ("runAsNonRoot != true", detail) if bad else None


def _run_as_user(spec: Obj) -> tuple[str, str] | None:
    setters = _setters(spec, lambda security: security.get("runAsUser") == 0)
    return ("runAsUser=0", f"{setters} must not set runAsUser=0") if setters else None


def _seccomp(spec: Obj) -> tuple[str, str] | None:
    def profile(security: Obj) -> str:
        return fields_at(security, "seccompProfile").get("type") or ""

    def other(security: Obj) -> bool:
        return bool(profile(security)) and profile(security) not in _SECCOMP

    setters = _setters(spec, other)
    if setters:
        holders = [_security(spec), *map(_security, _containers(spec))]
        values = ", ".join(f'"{value}"' for value in sorted({profile(one) for one in holders if other(one)}))
        return "seccompProfile", f"{setters} must not set securityContext.seccompProfile.type to {values}"
    if profile(_security(spec)):
        return None
    bad = _bad(spec, lambda security: not profile(security))
    words = 'must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost"'
    return ("seccompProfile", f"pod or {_named('container', bad)} {words}") if bad else None


def _setters(spec: Obj, bad: Callable[[Obj], bool]) -> str:
    """Who sets something that is forbidden: the pod, containers, or both."""
    containers = _bad(spec, bad)
    return " and ".join(
        filter(
            None,
            ["pod" if bad(_security(spec)) else "", _named("container", containers) if containers else ""],
        )
    )


_EVERYWHERE: tuple[Check, ...] = (_host_namespaces, _host_ports, _privileged)
_CHECKS: dict[str, Iterable[Check]] = {
    "baseline": (_baseline_capabilities, _host_namespaces, _host_path, _host_ports, _privileged),
    "restricted": (
        *_EVERYWHERE,
        _escalation,
        _restricted_capabilities,
        _volume_types,
        _run_as_non_root,
        _run_as_user,
        _seccomp,
    ),
}
