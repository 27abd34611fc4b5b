"""How many Pods of a disruption budget may go."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sandbox.controllers.builders import pod, workload
from trivyop.sandbox.controllers.budgets import build_status


@pytest.mark.parametrize(
    ("spec", "allowed", "desired"),
    [
        ({"minAvailable": 1}, 2, 1),
        ({"minAvailable": "50%"}, 1, 2),
        ({"minAvailable": 4}, 0, 4),
        ({"maxUnavailable": 1}, 0, 3),
        ({"maxUnavailable": "50%"}, 1, 2),
    ],
)
def test_healthy_pods_beyond_the_wanted_ones_may_go(spec: dict[str, Any], allowed: int, desired: int) -> None:
    pods = [pod(f"p{n}", ready=n < 3) for n in range(4)]

    status = build_status(workload("keep", spec), pods, "now")

    assert (status["disruptionsAllowed"], status["desiredHealthy"]) == (allowed, desired)
    assert (status["currentHealthy"], status["expectedPods"]) == (3, 4)


def test_budget_without_pods_allows_nothing() -> None:
    status = build_status(workload("keep", {"minAvailable": 0}), [], "now")

    assert status["disruptionsAllowed"] == 0
    assert status["conditions"][0]["reason"] == "InsufficientPods"
