"""Scheduling: whether a Pod may run on a node. Pure.

Honoured are readiness, ``unschedulable``, taints, node selector and required node affinity. Resources, Pod
affinity, topology and preferences are not: the sandbox's nodes have room for everything.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from trivyop.sandbox.changes import part, parts
from trivyop.sandbox.controllers.objects import Node, Pod, Taint
from trivyop.sandbox.controllers.templates import holds

UNSCHEDULABLE = Taint("node.kubernetes.io/unschedulable", "NoSchedule")


def refusal(pod: Pod, node: Node) -> str | None:
    """Why the Pod may not run there, in the scheduler's words; None if it may."""
    tolerations = pod.spec.tolerations or ()
    if not node.ready:
        return "node(s) were not ready"
    if node.spec.unschedulable and not _tolerated(UNSCHEDULABLE, tolerations):
        return "node(s) were unschedulable"
    for taint in node.spec.taints:
        if taint.effect in ("NoSchedule", "NoExecute") and not _tolerated(taint, tolerations):
            return f"node(s) had untolerated taint {{{taint.key}: {taint.value}}}"
    if not selected(pod.spec.node_selector, pod.spec.affinity, node):
        return "node(s) didn't match Pod's node affinity/selector"
    return None


def selected(node_selector: Mapping[str, str] | None, affinity: Mapping[str, Any] | None, node: Node) -> bool:
    """Whether a node selector and the required part of a node affinity select the node."""
    labels = node.metadata.labels or {}
    if any(labels.get(name) != value for name, value in (node_selector or {}).items()):
        return False
    required = part(part(affinity, "nodeAffinity"), "requiredDuringSchedulingIgnoredDuringExecution")
    if not required:
        return True
    fields = {"metadata.name": node.metadata.name}
    return any(
        all(holds(expression, labels) for expression in parts(term, "matchExpressions"))
        and all(holds(expression, fields) for expression in parts(term, "matchFields"))
        for term in parts(required, "nodeSelectorTerms")
        if term
    )


def choose(pod: Pod, nodes: Sequence[Node], load: Mapping[str, int]) -> tuple[str, str]:
    """The node to run on (the least loaded that fits), or empty and why none does."""
    reasons: Counter[str] = Counter()
    fitting: list[str] = []
    for node in nodes:
        reason = refusal(pod, node)
        if reason is None:
            fitting.append(node.metadata.name)
        else:
            reasons[reason] += 1
    if fitting:
        return min(fitting, key=lambda name: (load.get(name, 0), name)), ""
    if not nodes:
        return "", "no nodes available to schedule pods"
    details = ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items()))
    return "", f"0/{len(nodes)} nodes are available: {details}."


def _tolerated(taint: Taint, tolerations: Iterable[Mapping[str, Any]]) -> bool:
    for toleration in tolerations:
        if toleration.get("effect") not in (None, "", taint.effect):
            continue
        key = toleration.get("key") or ""
        if toleration.get("operator") == "Exists":
            if key in ("", taint.key):
                return True
        elif key == taint.key and (toleration.get("value") or "") == taint.value:
            return True
    return False
