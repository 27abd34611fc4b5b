"""The "restricted" profile of the Pod Security Standards, as far as pods of ours could break it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

_VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected"}
_VOLUMES.add("secret")


def violations(pod: dict[str, Any]) -> list[str]:
    """What a pod spec does that the profile forbids, or does not do that it asks for."""
    return sorted(_violations(pod))


def _violations(pod: dict[str, Any]) -> Iterator[str]:
    for field in ("hostNetwork", "hostPID", "hostIPC"):
        if pod.get(field):
            yield field
    for volume in pod.get("volumes", ()):
        for kind in set(volume) - {"name"} - _VOLUMES:
            yield f"volume {volume['name']}: {kind}"
    shared = pod.get("securityContext", {})
    for container in (*pod.get("initContainers", ()), *pod["containers"]):
        own = container.get("securityContext", {})
        name = container["name"]
        if own.get("privileged") or own.get("allowPrivilegeEscalation") is not False:
            yield f"{name}: allowPrivilegeEscalation"
        if own.get("runAsNonRoot", shared.get("runAsNonRoot")) is not True:
            yield f"{name}: runAsNonRoot"
        if 0 in (own.get("runAsUser"), shared.get("runAsUser")):
            yield f"{name}: runAsUser"
        profile = own.get("seccompProfile") or shared.get("seccompProfile") or {}
        if profile.get("type") not in ("RuntimeDefault", "Localhost"):
            yield f"{name}: seccompProfile"
        capabilities = own.get("capabilities", {})
        if "ALL" not in capabilities.get("drop", ()) or set(capabilities.get("add", ())) - {
            "NET_BIND_SERVICE"
        }:
            yield f"{name}: capabilities"
        if any("hostPort" in port for port in container.get("ports", ())):
            yield f"{name}: hostPort"
