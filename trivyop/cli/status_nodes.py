"""The part of `trivyop status` about the cluster itself: how its nodes stand, what is known of its parts."""

from __future__ import annotations

from dataclasses import dataclass

from trivyop.audit.nodes.nodescan import NODESCANS, NodeScan, Phase
from trivyop.cli.tables import show_table
from trivyop.errors import TerminalError
from trivyop.kube.client import Api
from trivyop.kube.objects import Object
from trivyop.kube.resources import CLUSTERVULNERABILITYREPORTS
from trivyop.report.stored import StoredReport
from trivyop.report.summary import SeverityCounts

_HEADER = ("NODE", "STATE", "REASON", "READ")


@dataclass(frozen=True, slots=True)
class ClusterState:
    """How the cluster itself stands."""

    nodes: tuple[NodeScan, ...] = ()
    components: tuple[StoredReport, ...] = ()  # reports on their vulnerabilities


async def read_cluster(api: Api) -> ClusterState:
    """Read it; what is not installed, or may not be read, counts as empty."""
    nodes: tuple[NodeScan, ...] = ()
    components: tuple[StoredReport, ...] = ()
    try:
        listed = await api.list(NODESCANS, type=NodeScan)
        nodes = tuple(sorted(listed.items, key=lambda scan: scan.metadata.name))
        reports = await api.list(CLUSTERVULNERABILITYREPORTS, type=Object, metadata_only=True)
        components = tuple(StoredReport.parse(report) for report in reports.items)
    except TerminalError:
        pass
    return ClusterState(nodes, components)


def show_cluster(state: ClusterState) -> str:
    """A table of nodes, the reason of each that is not read, and a line on the cluster's components."""
    rows = [
        (
            scan.metadata.name,
            scan.status.phase.value,
            scan.status.reason or "-",
            scan.status.last_success or "never",
        )
        for scan in state.nodes
    ]
    reasons = [
        f"Node {scan.metadata.name}: {scan.status.message}"
        for scan in state.nodes
        if scan.status.phase in (Phase.FAILED, Phase.SKIPPED)
    ]
    parts = [
        show_table(_HEADER, rows) if rows else "",
        "\n".join(reasons),
        *map(_components, state.components),
    ]
    return "\n\n".join(part for part in parts if part)


def _components(report: StoredReport) -> str:
    counts = SeverityCounts.parse(report.summary) or SeverityCounts()
    return (
        f"Components of the cluster ({report.image.rpartition('/')[2]}): {counts.critical} critical, "
        f"{counts.high} high, {counts.medium} medium, {counts.low} low vulnerabilities"
    )
