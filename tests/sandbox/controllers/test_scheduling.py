"""Where a Pod may run, and the words for nowhere."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sandbox.controllers.builders import node, pod
from trivyop.sandbox.controllers.nodes import wanted_taints
from trivyop.sandbox.controllers.scheduling import choose

LINUX = {"key": "kubernetes.io/os", "operator": "In", "values": ["linux"]}


def affinity(**term: Any) -> dict[str, Any]:
    terms = {"nodeSelectorTerms": [term]}
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, "arm"),
        ({"nodeSelector": {"arch": "amd"}}, "amd"),
        ({"affinity": affinity(matchExpressions=[LINUX])}, "arm"),
        (
            {
                "affinity": affinity(
                    matchFields=[{"key": "metadata.name", "operator": "In", "values": ["amd"]}]
                )
            },
            "amd",
        ),
        ({"nodeSelector": {"arch": "risc"}}, ""),
    ],
)
def test_least_loaded_node_that_fits_is_chosen(spec: dict[str, Any], expected: str) -> None:
    nodes = [node(n, labels={"arch": n, "kubernetes.io/os": "linux"}) for n in ("amd", "arm")]

    chosen, _ = choose(pod("a", **spec), nodes, {"amd": 2, "arm": 1})

    assert chosen == expected


def test_reasons_are_counted_and_named() -> None:
    nodes = [
        node("a", ready=False),
        node("b", unschedulable=True),
        node("c", taints=[{"key": "gpu", "value": "yes", "effect": "NoSchedule"}]),
        node("d", ready=False),
    ]

    _, reason = choose(pod("a"), nodes, {})

    assert reason == (
        "0/4 nodes are available: 1 node(s) had untolerated taint {gpu: yes}, 2 node(s) were not ready, "
        "1 node(s) were unschedulable."
    )


@pytest.mark.parametrize(
    "toleration",
    [
        {"operator": "Exists"},
        {"key": "gpu", "operator": "Exists", "effect": "NoSchedule"},
        {"key": "gpu", "value": "yes"},
    ],
)
def test_tolerations_open_tainted_nodes(toleration: dict[str, str]) -> None:
    tainted = node("a", taints=[{"key": "gpu", "value": "yes", "effect": "NoSchedule"}])

    assert choose(pod("p", tolerations=[toleration]), [tainted], {})[0] == "a"


def test_nodes_taints_follow_from_its_state() -> None:
    assert wanted_taints(node("a")) == set()
    assert wanted_taints(node("a", ready=False)) == {"node.kubernetes.io/not-ready"}
    assert wanted_taints(node("a", unschedulable=True)) == {"node.kubernetes.io/unschedulable"}
