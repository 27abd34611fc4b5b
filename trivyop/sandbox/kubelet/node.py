"""Node: the object by which a node agent shows itself, and the signs of life that keep it there."""

from __future__ import annotations

import os
import platform as host
import uuid
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import structlog

from trivyop.control.clock import deadline
from trivyop.errors import AlreadyExistsError, TerminalError, TransientError
from trivyop.kube.resources import LEASES, NODES, ObjectKey
from trivyop.kube.times import format_precise
from trivyop.sandbox.changes import Json
from trivyop.sandbox.kubelet.machine import HOST_IP, Machine

log = structlog.get_logger(__name__)

LEASE_NAMESPACE = "kube-node-lease"
RENEW_SECONDS = 10.0
LEASE_SECONDS = 40
STATUS_SECONDS = 300.0
FAREWELL_SECONDS = 2.0
VERSION = "v1.36.0"
PODS = 10_000


def build_node(name: str, machine: Machine, log_port: int, labels: Mapping[str, str]) -> Json:
    """The Node; ``log_port`` is where the API server finds the logs."""
    system, _, rest = machine.platform.partition("/")
    architecture = rest.partition("/")[0]
    own = {
        "kubernetes.io/arch": architecture,
        "kubernetes.io/os": system,
        "kubernetes.io/hostname": name,
        "beta.kubernetes.io/arch": architecture,
        "beta.kubernetes.io/os": system,
    }
    capacity = {
        "cpu": str(os.cpu_count() or 1),
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') // 1024}Ki",
        "ephemeral-storage": "100Gi",
        "pods": str(PODS),
    }
    system_id = str(uuid.uuid5(uuid.NAMESPACE_DNS, name))
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {**own, **labels}},
        "spec": {},
        "status": {
            "capacity": capacity,
            "allocatable": capacity,
            "conditions": conditions(machine.stamp()),
            "addresses": [
                {"type": "InternalIP", "address": HOST_IP},
                {"type": "Hostname", "address": name},
            ],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": log_port}},
            "nodeInfo": {
                "machineID": system_id.replace("-", ""),
                "systemUUID": system_id,
                "bootID": str(uuid.uuid4()),
                "kernelVersion": host.release(),
                "osImage": "trivyop sandbox",
                "containerRuntimeVersion": "containerd://2.1.0",
                "kubeletVersion": VERSION,
                "kubeProxyVersion": "",
                "operatingSystem": system,
                "architecture": architecture,
            },
        },
    }


def conditions(stamp: str, *, ready: bool = True) -> list[Json]:
    """The node's conditions: under no pressure, and ready or about to leave."""
    found: list[Json] = [
        _condition(f"{what}Pressure", "False", f"KubeletHas{enough}", f"kubelet has {text}", stamp)
        for what, enough, text in (
            ("Memory", "SufficientMemory", "sufficient memory available"),
            ("Disk", "NoDiskPressure", "no disk pressure"),
            ("PID", "SufficientPID", "sufficient PID available"),
        )
    ]
    if ready:
        found.append(_condition("Ready", "True", "KubeletReady", "kubelet is posting ready status", stamp))
    else:
        found.append(_condition("Ready", "False", "KubeletStopped", "kubelet was stopped", stamp))
    return found


def _condition(type_: str, status: str, reason: str, message: str, stamp: str) -> Json:
    return {
        "type": type_,
        "status": status,
        "lastHeartbeatTime": stamp,
        "lastTransitionTime": stamp,
        "reason": reason,
        "message": message,
    }


class NodeRegistration:
    """Keeps one Node and its Lease alive."""

    def __init__(self, name: str, machine: Machine, log_port: int, labels: Mapping[str, str]) -> None:
        self._name = name
        self._machine = machine
        self._node = build_node(name, machine, log_port, labels)

    async def register(self) -> None:
        """Create the Node, or take over the one that is there."""
        api = self._machine.api
        with suppress(AlreadyExistsError):
            await api.create(NODES, self._node)
        key = ObjectKey("", self._name)
        await api.patch(NODES, key, {"metadata": {"labels": self._node["metadata"]["labels"]}})
        await api.patch(NODES, key, {"status": self._node["status"]}, subresource="status")

    async def keep_alive(self) -> None:
        """Renew the Lease, and now and then the status, until cancelled."""
        clock = self._machine.clock
        reported = clock.monotonic()
        while True:
            try:
                await self._renew()
                if clock.monotonic() - reported >= STATUS_SECONDS:
                    await self.register()
                    reported = clock.monotonic()
            except (TransientError, TerminalError) as error:
                log.info("node_not_renewed", node=self._name, error=str(error))
            await clock.sleep(RENEW_SECONDS)

    async def leave(self) -> None:
        """Say that the node is not ready any more, if the server can be told in time."""
        status = {"conditions": conditions(self._machine.stamp(), ready=False)}
        with suppress(TimeoutError, TransientError, TerminalError):
            async with deadline(self._machine.clock, FAREWELL_SECONDS):
                await self._machine.api.patch(
                    NODES, ObjectKey("", self._name), {"status": status}, subresource="status"
                )

    async def _renew(self) -> None:
        api = self._machine.api
        lease: Json = {"spec": {"renewTime": format_precise(self._machine.clock.now())}}
        if await api.patch(LEASES, ObjectKey(LEASE_NAMESPACE, self._name), lease) is None:
            lease["metadata"] = {"name": self._name}
            lease["spec"] |= {"holderIdentity": self._name, "leaseDurationSeconds": LEASE_SECONDS}
            body: Mapping[str, Any] = {"apiVersion": LEASES.api_version, "kind": LEASES.kind, **lease}
            with suppress(AlreadyExistsError):
                await api.create(LEASES, body, namespace=LEASE_NAMESPACE)
