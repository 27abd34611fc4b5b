"""Objects: what controllers read of the cluster, as slim frozen structs.

A Pod is read down to the fields that decide something, because there are thousands of them. A workload
keeps its spec and status as plain JSON: templates are copied from it as they are.
"""

from __future__ import annotations

from typing import Any

import msgspec

from trivyop.kube.objects import ObjectMeta, OwnerReference, controller_of

__all__ = ["Condition", "Meta", "Metadata", "Node", "Owner", "Pod", "Workload", "controller_of"]


class Owner(OwnerReference, frozen=True, gc=False, rename="camel"):
    """An owner reference with what foreground deletion needs."""

    block_owner_deletion: bool = False


class Meta(ObjectMeta, frozen=True, gc=False, rename="camel"):
    """Metadata with what deletion needs."""

    owner_references: tuple[Owner, ...] = ()
    finalizers: tuple[str, ...] = ()


class Metadata(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """Any object, of which only the metadata counts."""

    metadata: Meta
    api_version: str = ""
    kind: str = ""


class Condition(msgspec.Struct, frozen=True, rename="camel"):
    """One status condition."""

    type: str
    status: str = "Unknown"


class Terminated(msgspec.Struct, frozen=True, rename="camel"):
    """How a container ended."""

    exit_code: int = 0
    finished_at: str | None = None


class ContainerState(msgspec.Struct, frozen=True, rename="camel"):
    """The one part of a container's state that counts here."""

    terminated: Terminated | None = None


class ContainerStatus(msgspec.Struct, frozen=True, rename="camel"):
    """One container as its node reports it."""

    name: str = ""
    ready: bool = False
    restart_count: int = 0
    state: ContainerState = ContainerState()


class Claim(msgspec.Struct, frozen=True, rename="camel"):
    """A volume's reference to a PersistentVolumeClaim."""

    claim_name: str = ""


class Volume(msgspec.Struct, frozen=True, rename="camel"):
    """A volume, as far as it decides where a Pod runs."""

    persistent_volume_claim: Claim | None = None


class PodSpec(msgspec.Struct, frozen=True, rename="camel"):
    """What decides where a Pod runs."""

    node_name: str = ""
    scheduler_name: str = "default-scheduler"
    node_selector: dict[str, str] | None = None
    affinity: dict[str, Any] | None = None
    tolerations: tuple[dict[str, Any], ...] | None = None
    restart_policy: str = "Always"
    volumes: tuple[Volume, ...] | None = None


class PodStatus(msgspec.Struct, frozen=True, rename="camel"):
    """How far a Pod has come."""

    phase: str = "Pending"
    conditions: tuple[Condition, ...] = ()
    init_container_statuses: tuple[ContainerStatus, ...] = ()
    container_statuses: tuple[ContainerStatus, ...] = ()


class Pod(msgspec.Struct, frozen=True, rename="camel"):
    """A Pod, reduced."""

    metadata: Meta
    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()

    @property
    def finished(self) -> bool:
        return self.status.phase in ("Succeeded", "Failed")

    @property
    def deleting(self) -> bool:
        return self.metadata.deletion_timestamp is not None

    @property
    def active(self) -> bool:
        """Counts as one of its owner's replicas."""
        return not self.finished and not self.deleting

    @property
    def ready(self) -> bool:
        return any(c.type == "Ready" and c.status == "True" for c in self.status.conditions)

    @property
    def running(self) -> bool:
        return self.status.phase == "Running"


class Taint(msgspec.Struct, frozen=True, rename="camel"):
    """Keeps Pods off a node that do not tolerate it."""

    key: str
    effect: str
    value: str = ""
    time_added: str | None = None


class NodeSpec(msgspec.Struct, frozen=True, rename="camel"):
    """What keeps Pods off a node."""

    unschedulable: bool = False
    taints: tuple[Taint, ...] = ()


class NodeStatus(msgspec.Struct, frozen=True, rename="camel"):
    """Whether a node takes Pods."""

    conditions: tuple[Condition, ...] = ()


class Node(msgspec.Struct, frozen=True, rename="camel"):
    """A Node, reduced."""

    metadata: Meta
    spec: NodeSpec = NodeSpec()
    status: NodeStatus = NodeStatus()

    @property
    def ready(self) -> bool:
        return any(c.type == "Ready" and c.status == "True" for c in self.status.conditions)


class Workload(msgspec.Struct, frozen=True, rename="camel"):
    """Any object whose spec and status a controller reads freely: Deployment, ReplicaSet, Job, Namespace."""

    metadata: Meta
    spec: dict[str, Any] = {}
    status: dict[str, Any] = {}

    @property
    def deleting(self) -> bool:
        return self.metadata.deletion_timestamp is not None

    @property
    def replicas(self) -> int:
        """Wanted replicas; the API's default is one."""
        value = self.spec.get("replicas")
        return 1 if value is None else int(value)

    def count(self, field: str) -> int:
        """A number of the status, zero if left out."""
        return int(self.status.get(field) or 0)

    @property
    def conditions(self) -> list[dict[str, Any]]:
        return list(self.status.get("conditions") or ())
