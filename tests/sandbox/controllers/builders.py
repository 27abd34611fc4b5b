"""Builders: small objects for tests of decisions."""

from __future__ import annotations

from typing import Any

import msgspec

from trivyop.sandbox.controllers.objects import Node, Pod, Workload


def pod(
    name: str, *, owner: str = "", uid: str = "", phase: str = "Pending", ready: bool = False, **spec: Any
) -> Pod:
    """A Pod; ``deleting``, ``labels``, ``finalizers`` and ``created`` go into its metadata."""
    meta: dict[str, Any] = {"name": name, "namespace": "shop", "uid": uid or f"uid-{name}"}
    if spec.pop("deleting", False):
        meta["deletionTimestamp"] = "2026-01-02T12:00:00Z"
    meta["labels"] = spec.pop("labels", {})
    meta["finalizers"] = spec.pop("finalizers", [])
    meta["creationTimestamp"] = spec.pop("created", "2026-01-02T12:00:00Z")
    if owner:
        meta["ownerReferences"] = [
            {"apiVersion": "v1", "kind": "Job", "name": owner, "uid": f"uid-{owner}", "controller": True}
        ]
    status = {
        "phase": phase,
        "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
        "containerStatuses": spec.pop("statuses", []),
    }
    return msgspec.convert({"metadata": meta, "spec": spec, "status": status}, Pod)


def workload(name: str, spec: dict[str, Any], status: dict[str, Any] | None = None, **meta: Any) -> Workload:
    """Any workload."""
    metadata = {"name": name, "namespace": "shop", "uid": f"uid-{name}", "generation": 1, **meta}
    return msgspec.convert({"metadata": metadata, "spec": spec, "status": status or {}}, Workload)


def node(name: str, *, ready: bool = True, labels: dict[str, str] | None = None, **spec: Any) -> Node:
    """A Node."""
    conditions = [{"type": "Ready", "status": "True" if ready else "False"}]
    return msgspec.convert(
        {
            "metadata": {"name": name, "labels": labels or {}},
            "spec": spec,
            "status": {"conditions": conditions},
        },
        Node,
    )
