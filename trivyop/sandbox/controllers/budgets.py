"""Budgets: how many Pods of a disruption budget are healthy, and how many may go.

Percentages count from the Pods there are, where the real controller asks the Pods' owners for their scale.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from trivyop.kube.resources import ObjectKey, Resource
from trivyop.kube.times import format_time
from trivyop.sandbox.changes import Json, set_condition
from trivyop.sandbox.controllers.cluster import Cluster, enqueue
from trivyop.sandbox.controllers.objects import Pod, Workload
from trivyop.sandbox.controllers.templates import matches

BUDGETS = Resource("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget")


class DisruptionBudgets:
    """The controller."""

    def __init__(self, cluster: Cluster) -> None:
        self.queue = cluster.queue()
        self._cluster = cluster
        self._budgets = cluster.workloads(BUDGETS)
        self._budgets.add_handler(enqueue(self.queue))
        cluster.pods.add_handler(self._pod_changed)

    async def reconcile(self, key: ObjectKey) -> float | None:
        """Count the budget's Pods."""
        budget = self._budgets.store.get(key)
        if budget is None or budget.deleting:
            return None
        selector: Json | None = budget.spec.get("selector")
        pods = [
            pod
            for pod in self._cluster.pods.store.values()
            if pod.metadata.namespace == key.namespace
            and not pod.finished
            and matches(selector, pod.metadata.labels)
        ]
        now = format_time(self._cluster.clock.now())
        await self._cluster.write_status(BUDGETS, budget, build_status(budget, pods, now))
        return None

    def _pod_changed(self, key: ObjectKey, old: Pod | None, new: Pod | None) -> None:  # noqa: ARG002
        for budget in tuple(self._budgets.store.keys()):
            if budget.namespace == key.namespace:
                self.queue.add(budget)


def build_status(budget: Workload, pods: Sequence[Pod], now: str) -> Json:
    """The budget's status with these Pods; ``now`` is for the condition if it changes."""
    expected = len(pods)
    healthy = sum(1 for pod in pods if pod.ready and not pod.deleting)
    if (least := budget.spec.get("minAvailable")) is not None:
        desired = _scaled(least, expected)
    else:
        desired = max(0, expected - _scaled(budget.spec.get("maxUnavailable", 0), expected))
    allowed = max(0, healthy - desired) if expected else 0
    condition = {
        "type": "DisruptionAllowed",
        "status": "True" if allowed else "False",
        "observedGeneration": budget.metadata.generation,
        "lastTransitionTime": now,
        "reason": "SufficientPods" if allowed else "InsufficientPods",
        "message": "",
    }
    return {
        **budget.status,
        "observedGeneration": budget.metadata.generation,
        "disruptionsAllowed": allowed,
        "currentHealthy": healthy,
        "desiredHealthy": desired,
        "expectedPods": expected,
        "conditions": set_condition(budget.conditions, condition),
    }


def _scaled(value: int | str, whole: int) -> int:
    if isinstance(value, str):
        return math.ceil(int(value.removesuffix("%")) * whole / 100)
    return value
