"""Nodes as informers keep them: what pods run on, with what decides whether a pod may, and what they run.

Not here: what follows from it; see the readers.
"""

from __future__ import annotations

import msgspec

from trivyop.workload.objects import Node

HOSTNAME_LABEL = "kubernetes.io/hostname"
ROLE_LABEL = "node-role.kubernetes.io/"


class Taint(msgspec.Struct, frozen=True, gc=False):
    """What keeps pods away that do not tolerate it."""

    key: str
    value: str = ""
    effect: str = ""

    def __str__(self) -> str:
        return f"{self.key}={self.value}:{self.effect}" if self.value else f"{self.key}:{self.effect}"


class NodeSpec(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """What the cluster wants of the node."""

    unschedulable: bool = False
    taints: tuple[Taint, ...] = ()


class NodeCondition(msgspec.Struct, frozen=True, gc=False):
    """One condition; heartbeats are left out, because they change all the time and say nothing here."""

    type: str
    status: str = ""
    reason: str = ""


class NodeSystem(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """What the kubelet says of its machine."""

    operating_system: str = ""
    architecture: str = ""
    kernel_version: str = ""
    os_image: str = ""
    container_runtime_version: str = ""
    kubelet_version: str = ""


class FullNodeStatus(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """What the node says of itself."""

    node_info: NodeSystem = NodeSystem()
    conditions: tuple[NodeCondition, ...] = ()


class ClusterNode(Node, frozen=True, gc=False, rename="camel", kw_only=True):
    """A node with all that audits and the cluster's bill of materials ask for."""

    spec: NodeSpec = NodeSpec()
    status: FullNodeStatus = FullNodeStatus()  # pyright: ignore[reportIncompatibleVariableOverride] - frozen

    @property
    def not_ready(self) -> str | None:
        """Why the node is not ready, None if it is."""
        ready = next((one for one in self.status.conditions if one.type == "Ready"), None)
        if ready is None:
            return "it has not said so yet"
        return None if ready.status == "True" else ready.reason or ready.status

    @property
    def is_control_plane(self) -> bool:
        labels = self.metadata.labels or {}
        return any(f"{ROLE_LABEL}{role}" in labels for role in ("control-plane", "master"))
