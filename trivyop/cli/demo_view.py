"""What the demo prints: how the scans get on, what they found, and where to look further."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec

from trivyop.cli.status import Line
from trivyop.cli.status_audits import AuditsState
from trivyop.cli.tables import show_count, show_table
from trivyop.kube.client import Api
from trivyop.kube.objects import Object
from trivyop.kube.resources import (
    CONFIGAUDITREPORTS,
    RBACASSESSMENTREPORTS,
    VULNERABILITYREPORTS,
    Resource,
)
from trivyop.report import keys
from trivyop.report.kinds import About, reports_about
from trivyop.scan.imagescan import Phase

_HEADER = (
    "NAMESPACE",
    "WORKLOAD",
    "CONTAINER",
    "IMAGE",
    "CRITICAL",
    "HIGH",
    "SECRETS",
    "WORST VULNERABILITY",
)


class _Finding(msgspec.Struct, rename="camel"):
    vulnerability_id: str = msgspec.field(name="vulnerabilityID")
    severity: str
    resource: str


class _Body(msgspec.Struct):
    vulnerabilities: tuple[_Finding, ...] = ()


class _Report(Object, frozen=True, kw_only=True):
    report: _Body

    @property
    def where(self) -> tuple[str, str, str]:
        """Namespace, workload and container."""
        labels = self.metadata.labels or {}
        name, container = labels.get(keys.RESOURCE_NAME, ""), labels.get(keys.CONTAINER_NAME, "")
        return self.metadata.namespace, name, container

    @property
    def worst(self) -> str:
        """The first finding; reports have the worst first."""
        found = self.report.vulnerabilities
        if not found:
            return "none"
        return f"{found[0].vulnerability_id} ({found[0].severity}, {found[0].resource})"


async def count_reports(api: Api) -> Mapping[Resource, int]:
    """How many reports of each kind there are."""
    kinds = reports_about(About.CONTAINER)
    return {kind: len((await api.list(kind, type=Object, metadata_only=True)).items) for kind in kinds}


def all_audited(lines: list[Line], audits: AuditsState, *, services: int) -> bool:
    """Whether every workload, so many Services beside them, and some Role have been audited."""
    counts = {tally.kind: tally.count for tally in audits.tallies}
    workloads = {(line.namespace, line.workload) for line in lines}
    enough = counts.get(CONFIGAUDITREPORTS.kind, 0) >= len(workloads) + services
    return enough and RBACASSESSMENTREPORTS.kind in counts


def progress(lines: list[Line], reports: Mapping[Resource, int], audits: AuditsState) -> str:
    """One line on how far it is; the same text as long as nothing moves."""

    def scans(phase: Phase) -> int:
        return len({line.image_scan for line in lines if line.state == phase.value})

    done = sum(line.state == Phase.SUCCEEDED.value for line in lines)
    parts = [
        f"{done} of {show_count(len(lines), 'container')} scanned",
        f"{show_count(scans(Phase.RUNNING), 'scan')} running",
        f"{failed} failed" if (failed := scans(Phase.FAILED)) else "",
        show_count(sum(reports.values()) + sum(tally.count for tally in audits.tallies), "report"),
    ]
    return ", ".join(part for part in parts if part)


async def summary(api: Api, lines: list[Line]) -> str:
    """A table of findings per container, the worst vulnerability of each by name."""
    listing = await api.list(VULNERABILITYREPORTS, type=_Report)
    worst = {report.where: report.worst for report in listing.items}
    rows = [
        (
            line.namespace,
            line.workload,
            line.container,
            line.image.partition("/")[2],
            *("-" if count is None else str(count) for count in (line.critical, line.high, line.secrets)),
            worst.get((line.namespace, line.workload.partition("/")[2], line.container), "-"),
        )
        for line in lines
    ]
    return show_table(_HEADER, rows)


def further(kubeconfig: Path, metrics: str, *, once: bool) -> str:
    """What to do next: `once` says that the cluster is about to go."""
    if once:
        return "Without --once the cluster stays up, for you to look around with kubectl."
    lines = [
        "The cluster stays up until Ctrl-C. Look around from another terminal:",
        "",
        f"  export KUBECONFIG={kubeconfig}",
    ]
    if shutil.which("kubectl") is None or shutil.which("trivyop") is None:
        lines.append(f"  export PATH={Path(sys.executable).parent}{os.pathsep}$PATH")
    lines += [
        "  trivyop status",
        "  kubectl get vulnerabilityreports -A -o wide",
        "  kubectl get exposedsecretreports -A -o wide",
        "  kubectl get configauditreports,rbacassessmentreports -A -o wide",
        "  kubectl get clusterinfraassessmentreports,clustervulnerabilityreports -o wide",
        "  kubectl get compliance -o wide",
        "  kubectl get imagescans,nodescans -A",
        f"  kubectl describe vuln -n shop -l {keys.RESOURCE_KIND}=StatefulSet",
        f"  curl {metrics}/metrics",
    ]
    return "\n".join(lines)
