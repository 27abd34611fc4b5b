"""How a Deployment's ReplicaSets are scaled, step by step."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sandbox.controllers.builders import workload
from trivyop.sandbox.controllers import rollout
from trivyop.sandbox.controllers.objects import Workload


def template(image: str) -> dict[str, Any]:
    return {
        "metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{"name": "main", "image": image}]},
    }


def deployment(replicas: int, **spec: Any) -> Workload:
    body = {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}}, "template": template("web:2")}
    return workload("web", {**body, **spec})


def replica_set(image: str, replicas: int, available: int | None = None, **meta: Any) -> Workload:
    ready = replicas if available is None else available
    counts = {"replicas": replicas, "availableReplicas": ready, "readyReplicas": ready}
    labelled = template(image)
    labelled["metadata"] = {"labels": {"app": "web", rollout.HASH_LABEL: "x"}}
    return workload(meta.pop("name", image), {"replicas": replicas, "template": labelled}, counts, **meta)


def test_replica_set_is_known_by_its_template_whatever_its_hash() -> None:
    old, new = replica_set("web:1", 1), replica_set("web:2", 1)

    assert rollout.find_new(deployment(1), [old, new]) is new
    assert rollout.find_new(deployment(1), [old]) is None


@pytest.mark.parametrize(
    ("replicas", "strategy", "expected"),
    [
        (1, {}, (1, 0)),
        (10, {}, (3, 2)),
        (4, {"maxSurge": 0, "maxUnavailable": 0}, (0, 1)),
        (4, {"maxSurge": "50%", "maxUnavailable": 1}, (2, 1)),
    ],
)
def test_bounds(replicas: int, strategy: dict[str, Any], expected: tuple[int, int]) -> None:
    body = deployment(replicas, strategy={"type": "RollingUpdate", "rollingUpdate": strategy})
    assert rollout.bounds(body) == expected


def test_new_pods_come_before_old_ones_go() -> None:
    assert rollout.next_scales(deployment(1), replica_set("web:2", 0), [replica_set("web:1", 1)]) == {
        "web:2": 1
    }


def test_old_pods_stay_until_new_ones_are_available() -> None:
    old, unready = replica_set("web:1", 1), replica_set("web:2", 1, available=0)

    assert rollout.next_scales(deployment(1), unready, [old]) == {}
    assert rollout.next_scales(deployment(1), replica_set("web:2", 1), [old]) == {"web:1": 0}


def test_recreate_waits_for_the_old_pods_to_be_gone() -> None:
    recreate = deployment(2, strategy={"type": "Recreate"})
    going = workload("web:1", {"replicas": 0, "template": template("web:1")}, {"replicas": 2})
    new = replica_set("web:2", 0)

    assert rollout.next_scales(recreate, new, [replica_set("web:1", 2)]) == {"web:1": 0}
    assert rollout.next_scales(recreate, new, [going]) == {}
    assert rollout.next_scales(recreate, new, [replica_set("web:1", 0)]) == {"web:2": 2}


@given(st.integers(0, 9), st.integers(0, 9), st.integers(0, 3), st.integers(0, 3))
def test_rollout_arrives_and_keeps_its_bounds(replicas: int, before: int, surge: int, missing: int) -> None:
    """Whatever it starts with: played to its end, all Pods are new, with never too many or too few."""
    rolling = {"maxSurge": surge, "maxUnavailable": missing}
    body = deployment(replicas, strategy={"type": "RollingUpdate", "rollingUpdate": rolling})
    extra, fewer = rollout.bounds(body)
    new, old = 0, before

    for _ in range(50):
        scales = rollout.next_scales(body, replica_set("web:2", new), [replica_set("web:1", old)])
        if not scales:
            break
        total = new + old
        new, old = scales.get("web:2", new), scales.get("web:1", old)
        assert new + old <= max(total, replicas + extra)
        assert new + old >= min(total, replicas - fewer)

    assert (new, old) == (replicas, 0)


def test_surplus_history_is_the_oldest_revisions() -> None:
    old = [replica_set(f"web:{n}", 0, annotations={rollout.REVISION: str(n)}) for n in (3, 1, 2)]

    doomed = rollout.to_clean_up(deployment(1, revisionHistoryLimit=1), old)

    assert [s.metadata.name for s in doomed] == ["web:1", "web:2"]


def test_status_tells_a_rollout_that_is_through_from_one_that_is_not() -> None:
    body, old = deployment(2), replica_set("web:1", 1)

    under_way = rollout.build_status(body, replica_set("web:2", 1), [replica_set("web:2", 1), old], "now")
    new = replica_set("web:2", 2)
    through = rollout.build_status(body, new, [new], "now")

    assert [c["reason"] for c in under_way["conditions"]] == ["MinimumReplicasAvailable", "ReplicaSetUpdated"]
    assert [c["reason"] for c in through["conditions"]] == [
        "MinimumReplicasAvailable",
        "NewReplicaSetAvailable",
    ]
    assert (under_way["updatedReplicas"], through["updatedReplicas"]) == (1, 2)
