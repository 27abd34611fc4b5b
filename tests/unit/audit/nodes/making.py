"""Nodes and settings for tests of what reads nodes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from trivyop.settings import Settings, load_settings
from trivyop.workload.nodes import ClusterNode


def node(
    name: str = "n1",
    *,
    labels: Mapping[str, str] | None = None,
    ready: str | None = "True",
    system: str = "linux",
    deleted: bool = False,
    **spec: Any,
) -> ClusterNode:
    """A node, ready unless told otherwise."""
    conditions = [] if ready is None else [{"type": "Ready", "status": ready, "reason": "KubeletTold"}]
    document = {
        "metadata": {
            "name": name,
            "uid": "u-1",
            "labels": {"kubernetes.io/hostname": name} if labels is None else dict(labels),
            "deletionTimestamp": "2026-01-01T00:00:00Z" if deleted else None,
        },
        "spec": spec,
        "status": {"conditions": conditions, "nodeInfo": {"operatingSystem": system}},
    }
    return msgspec.convert(document, ClusterNode)


def settings(
    config: dict[str, str] | None = None, trivy: dict[str, str] | None = None, **environ: str
) -> Settings:
    """Settings of an operator in the namespace trivy-system."""
    return load_settings({"OPERATOR_NAMESPACE": "trivy-system", **environ}, config, {}, trivy, {})
