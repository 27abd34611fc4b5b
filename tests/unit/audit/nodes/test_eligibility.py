"""Which nodes are read, and why others are not."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.audit.nodes.making import node, settings
from trivyop.audit.nodes.eligibility import Why, why_not

TAINT = {"key": "dedicated", "value": "gpu", "effect": "NoSchedule"}


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({}, None),
        ({"system": "windows"}, Why.NOT_LINUX),
        ({"system": ""}, None),
        ({"ready": "False"}, Why.NOT_READY),
        ({"ready": "Unknown"}, Why.NOT_READY),
        ({"ready": None}, Why.NOT_READY),
        ({"deleted": True}, Why.DELETED),
        ({"unschedulable": True}, Why.CORDONED),
        ({"taints": [TAINT]}, Why.TAINTED),
        ({"taints": [{**TAINT, "effect": "NoExecute"}]}, Why.TAINTED),
        ({"taints": [{**TAINT, "effect": "PreferNoSchedule"}]}, None),
    ],
)
def test_node_is_read_only_where_a_pod_can_run(changes: dict[str, Any], why: Why | None) -> None:
    skip = why_not(node(**changes), settings())

    assert (skip and skip.why) == why


@pytest.mark.parametrize(
    ("toleration", "tolerated"),
    [
        ('{"operator":"Exists"}', True),
        ('{"key":"dedicated","operator":"Exists"}', True),
        ('{"key":"dedicated","value":"gpu"}', True),
        ('{"key":"dedicated","value":"gpu","effect":"NoSchedule"}', True),
        ('{"key":"dedicated","value":"gpu","effect":"NoExecute"}', False),
        ('{"key":"dedicated","value":"cpu"}', False),
        ('{"key":"other","operator":"Exists"}', False),
    ],
)
def test_taint_is_tolerated_as_the_scheduler_does(toleration: str, tolerated: bool) -> None:
    skip = why_not(node(taints=[TAINT]), settings({"nodeCollector.tolerations": f"[{toleration}]"}))

    assert (skip is None) is tolerated


@pytest.mark.parametrize(
    ("labels", "excluded"),
    [
        ({"pool": "spot", "zone": "a"}, True),
        ({"pool": "spot", "zone": "a", "more": "x"}, True),
        ({"pool": "spot"}, False),
        ({"pool": "spot", "zone": "b"}, False),
        ({}, False),
    ],
)
def test_node_is_excluded_if_it_has_all_labels(labels: dict[str, str], excluded: bool) -> None:
    skip = why_not(node(labels=labels), settings({"nodeCollector.excludeNodes": "pool=spot,zone=a"}))

    assert (skip is not None and skip.why is Why.EXCLUDED and skip.for_good) is excluded


def test_limit_of_none_reads_nothing_and_says_so() -> None:
    skip = why_not(node(), settings(OPERATOR_CONCURRENT_NODE_COLLECTOR_LIMIT="0"))

    assert skip is not None
    assert skip.why is Why.OFF
    assert "OPERATOR_CONCURRENT_NODE_COLLECTOR_LIMIT" in skip.message
