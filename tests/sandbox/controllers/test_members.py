"""Which Pods StatefulSets and DaemonSets want, and in which order."""

from __future__ import annotations

from typing import Any

from tests.sandbox.controllers.builders import node, pod, workload
from trivyop.sandbox.controllers import daemonsets, statefulsets
from trivyop.sandbox.controllers.children import surplus
from trivyop.sandbox.controllers.expectations import Expectations
from trivyop.sandbox.controllers.objects import Pod, Workload

TEMPLATE = {"metadata": {"labels": {"app": "db"}}, "spec": {"containers": []}}


def stateful_set(replicas: int, **spec: Any) -> Workload:
    return workload("db", {"replicas": replicas, "template": TEMPLATE, **spec})


def member(number: int, *, ready: bool = True, revision: str | None = None, **more: Any) -> Pod:
    label = statefulsets.revision_of(stateful_set(1)) if revision is None else revision
    labels = {statefulsets.REVISION_LABEL: label}
    return pod(f"db-{number}", phase="Running", ready=ready, labels=labels, nodeName="n1", **more)


def test_members_come_one_after_the_other() -> None:
    assert statefulsets.next_pods(stateful_set(2), []) == ([0], [])
    assert statefulsets.next_pods(stateful_set(2), [member(0, ready=False)]) == ([], [])
    assert statefulsets.next_pods(stateful_set(2), [member(0)]) == ([1], [])


def test_parallel_members_come_together() -> None:
    assert statefulsets.next_pods(stateful_set(3, podManagementPolicy="Parallel"), []) == ([0, 1, 2], [])


def test_highest_member_goes_first() -> None:
    pods = [member(0), member(1), member(2)]

    assert statefulsets.next_pods(stateful_set(1), pods) == ([], [pods[2]])


def test_old_revisions_are_replaced_from_the_top_down_to_the_partition() -> None:
    pods = [member(n, revision="db-old") for n in range(3)]
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}

    assert statefulsets.next_pods(stateful_set(3, updateStrategy=rolling), pods) == ([], [pods[2]])
    assert statefulsets.next_pods(stateful_set(3, updateStrategy=rolling), [*pods[:2], member(2)]) == ([], [])


def daemon(name: str, node_name: str, **more: Any) -> Pod:
    labels = {statefulsets.REVISION_LABEL: daemonsets.revision_of(daemon_set())}
    return pod(name, phase="Running", ready=True, labels=labels, nodeName=node_name, **more)


def daemon_set() -> Workload:
    return workload("agent", {"template": TEMPLATE})


def test_each_node_gets_one_pod() -> None:
    nodes = [node("n1"), node("n2")]
    extra, stray = daemon("b", "n1"), daemon("c", "n9")

    missing, delete = daemonsets.next_pods(daemon_set(), [daemon("a", "n1"), extra, stray], nodes)

    assert missing == ["n2"]
    assert delete == [extra, stray]


def test_pod_that_waits_for_its_node_counts_for_it() -> None:
    """Else one more would be made until the scheduler comes round."""
    body = daemonsets.build_member(daemon_set(), {"name": "agent"}, "n1")
    waiting = pod("a", affinity=body["spec"]["affinity"])

    assert daemonsets.next_pods(daemon_set(), [waiting], [node("n1")]) == ([], [])


def test_pods_to_give_up_are_the_least_useful_ones() -> None:
    old = pod("old", phase="Running", ready=True, nodeName="n1", created="2026-01-01T00:00:00Z")
    new = pod("new", phase="Running", ready=True, nodeName="n1", created="2026-01-02T00:00:00Z")
    unready, waiting = pod("unready", phase="Running", nodeName="n1"), pod("waiting")

    assert surplus([old, unready, new, waiting], 3) == [waiting, unready, new]


def test_expectations_hold_back_until_seen_or_out_of_patience() -> None:
    now = [0.0]
    expected = Expectations(lambda: now[0], patience_seconds=30)
    expected.created("owner", "a")
    expected.created("owner", "b")

    expected.seen("owner", "a")
    assert expected.wait_seconds("owner") == 30.0
    expected.seen("owner", "b")
    assert expected.wait_seconds("owner") == 0.0

    expected.created("owner", "c")
    now[0] = 31.0
    assert expected.wait_seconds("owner") == 0.0
