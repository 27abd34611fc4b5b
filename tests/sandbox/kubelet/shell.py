"""Shell: Pods that run a line of shell on node ``n1``, and what becomes of them."""

from __future__ import annotations

from typing import Any

from tests.sandbox.controllers.world import Json, until_one
from trivyop.kube.client import Api
from trivyop.kube.resources import PODS, ObjectKey

SCAN = {"app.kubernetes.io/managed-by": "trivy-operator"}


def container(script: str = "", name: str = "main", **more: Any) -> Json:
    """A container that runs a shell script."""
    command = {"command": ["/bin/sh"], "args": ["-c", script]} if script else {}
    return {"name": name, "image": "mirror.gcr.io/aquasec/trivy:0.72.0", **command, **more}


async def start(
    api: Api,
    *containers: Json,
    name: str = "scan",
    labels: dict[str, str] | None = None,
    annotations: dict[str, str] | None = None,
    **spec: Any,
) -> Json:
    """Create a Pod on the node."""
    body = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "labels": SCAN if labels is None else labels,
            "annotations": annotations or {},
        },
        "spec": {"nodeName": "n1", "restartPolicy": "Never", "containers": list(containers), **spec},
    }
    return await api.create(PODS, body, namespace="default")


async def until_phase(api: Api, phase: str, name: str = "scan") -> Json:
    """Wait for the phase and return the Pod."""
    return await until_one(api, PODS, name, lambda pod: pod["status"]["phase"] == phase)


async def until_state(api: Api, kind: str, reason: str = "", name: str = "scan") -> Json:
    """Wait until the first container is in such a state; returns the state."""

    def holds(pod: Json) -> bool:
        [first, *_] = pod["status"].get("containerStatuses") or [{"state": {}}]
        return kind in first["state"] and (not reason or first["state"][kind].get("reason") == reason)

    pod = await until_one(api, PODS, name, holds)
    return pod["status"]["containerStatuses"][0]["state"][kind]


async def logs(api: Api, container_name: str = "main", name: str = "scan", **query: Any) -> str:
    """Read a log through the API server."""
    async with api.logs(ObjectKey("default", name), container_name, **query) as pieces:
        return b"".join([piece async for piece in pieces]).decode()


def statuses(pod: Json) -> dict[str, Json]:
    """The container statuses by name."""
    status = pod["status"]
    found = [*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())]
    return {one["name"]: one for one in found}
