"""Which nodes are read now, and why others are not.

Promises: pure. A reason is for people, and stays the same as long as the node does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from trivyop.settings import Settings
from trivyop.workload.nodes import ClusterNode, Taint

_KEEPS_AWAY = frozenset({"NoSchedule", "NoExecute"})
_LINUX = "linux"


class Why(StrEnum):
    """Why a node is not read."""

    EXCLUDED = "Excluded"
    OFF = "Off"
    NOT_LINUX = "NotLinux"
    DELETED = "BeingDeleted"
    NOT_READY = "NotReady"
    CORDONED = "Unschedulable"
    TAINTED = "Tainted"


@dataclass(frozen=True, slots=True)
class Skip:
    """A node is not read now."""

    why: Why
    message: str

    @property
    def for_good(self) -> bool:
        """Whether what was found before has no place any more."""
        return self.why is Why.EXCLUDED


def why_not(node: ClusterNode, settings: Settings) -> Skip | None:
    """Why the node is not to be read now; None if it is."""
    collector = settings.node_collector
    labels = node.metadata.labels or {}
    excluded = collector.exclude_nodes
    if excluded and excluded.items() <= labels.items():
        shown = ", ".join(f"{key}={value}" for key, value in sorted(excluded.items()))
        return Skip(Why.EXCLUDED, f"nodeCollector.excludeNodes leaves nodes with {shown} out")
    if collector.concurrency_limit < 1:
        return Skip(Why.OFF, "OPERATOR_CONCURRENT_NODE_COLLECTOR_LIMIT is 0")
    system = node.status.node_info.operating_system or labels.get("kubernetes.io/os", "")
    if system and system != _LINUX:
        return Skip(Why.NOT_LINUX, f"the node runs {system}, and the collector reads Linux only")
    if node.metadata.deletion_timestamp is not None:
        return Skip(Why.DELETED, "the node is being deleted")
    if (not_ready := node.not_ready) is not None:
        return Skip(Why.NOT_READY, f"the node is not ready: {not_ready}")
    if node.spec.unschedulable:
        return Skip(Why.CORDONED, "the node is cordoned")
    taint = next((one for one in node.spec.taints if not _tolerated(one, collector.tolerations)), None)
    if taint is not None:
        return Skip(
            Why.TAINTED, f"the node has the taint {taint}, which nodeCollector.tolerations does not list"
        )
    return None


def _tolerated(taint: Taint, tolerations: Sequence[Mapping[str, Any]]) -> bool:
    return taint.effect not in _KEEPS_AWAY or any(_tolerates(one, taint) for one in tolerations)


def _tolerates(toleration: Mapping[str, Any], taint: Taint) -> bool:
    key, effect = toleration.get("key"), toleration.get("effect")
    exists = toleration.get("operator") == "Exists"
    if effect and effect != taint.effect:
        return False
    if not key:
        return exists
    return key == taint.key and (exists or (toleration.get("value") or "") == taint.value)
