"""What `trivyop status` says of nodes and of the cluster's components."""

from __future__ import annotations

from trivyop.audit.nodes.nodescan import NodeScan, NodeScanStatus, Phase
from trivyop.cli.status_nodes import ClusterState, show_cluster
from trivyop.kube.objects import Object, ObjectMeta
from trivyop.report import keys
from trivyop.report.stored import StoredReport


def scan(name: str, **status: str) -> NodeScan:
    phase = Phase(status.pop("phase"))
    return NodeScan(metadata=ObjectMeta(name=name), status=NodeScanStatus(phase=phase, **status))


def test_nodes_that_are_not_read_say_why() -> None:
    read = scan("n1", phase="Succeeded", last_success="2026-01-02T12:00:00Z")
    failed = scan("n2", phase="Failed", reason="timeout", message="the collector did not end")
    skipped = scan("n3", phase="Skipped", reason="Unschedulable", message="the node is cordoned")

    shown = show_cluster(ClusterState((read, failed, skipped)))

    lines = [line.split() for line in shown.splitlines()]
    assert ["n1", "Succeeded", "-", "2026-01-02T12:00:00Z"] in lines
    assert ["n2", "Failed", "timeout", "never"] in lines
    assert "Node n2: the collector did not end" in shown
    assert "Node n3: the node is cordoned" in shown
    assert "Node n1:" not in shown


def test_components_of_the_cluster_are_counted() -> None:
    annotations = {keys.IMAGE: "k8s.io/kubernetes:1.31.0", keys.SUMMARY: "c=1,h=2,m=3,l=4,u=0"}
    report = StoredReport.parse(Object(metadata=ObjectMeta(name="x", annotations=annotations)))

    shown = show_cluster(ClusterState(components=(report,)))

    assert shown == (
        "Components of the cluster (kubernetes:1.31.0): 1 critical, 2 high, 3 medium, 4 low vulnerabilities"
    )


def test_nothing_is_said_of_nothing() -> None:
    assert show_cluster(ClusterState()) == ""
