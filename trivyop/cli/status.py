"""`trivyop status`: which containers are scanned, which wait, which failed and why; and what audits say.

Reads the cluster only: no operator has to run for it. What is not scanned at all shows as such, so that
"clean" and "never scanned" can not be confused.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

import orjson

from trivyop.cli.cluster import DEFAULT_NAMESPACE, add_cluster_arguments, looking_at
from trivyop.cli.status_audits import read_audits, show_audits
from trivyop.cli.status_compliance import read_compliance, show_compliance
from trivyop.cli.status_nodes import ClusterState, read_cluster, show_cluster
from trivyop.cli.tables import show_count, show_duration, show_table
from trivyop.controllers.digests import aliases
from trivyop.controllers.images.startgates import START_CLASSES
from trivyop.controllers.images.targets import Targets
from trivyop.controllers.selecting import build_selection
from trivyop.controllers.snapshot import Snapshot
from trivyop.controllers.usage import Usage
from trivyop.errors import NotFoundError
from trivyop.kube.client import Api
from trivyop.kube.resources import CONFIGMAPS, IMAGESCANS, ObjectKey
from trivyop.kube.times import time_or_none
from trivyop.observe.logging import configure_logging
from trivyop.scan import state
from trivyop.scan.imagescan import ImageScan, Phase
from trivyop.settings.configmaps import ENVIRONMENT_CONFIG, read_settings, read_texts
from trivyop.workload.resolve import Workload
from trivyop.workload.running import Same

_HEADER = ("NAMESPACE", "WORKLOAD", "CONTAINER", "IMAGE", "STATE", "CRITICAL", "HIGH", "SECRETS", "AGE")
_WIDE = ("SCAN REASON", "ATTEMPTS", "NEXT TRY", "IMAGESCAN")
_NOT_SCANNED = "NotScanned"
_STATES = (_NOT_SCANNED, *(phase.value for phase in reversed(Phase)))  # what needs attention first


@dataclass(frozen=True, slots=True)
class Line:
    """One container: what runs, and how its scan stands."""

    namespace: str
    workload: str
    container: str
    image: str
    state: str  # a phase of its ImageScan, or NotScanned
    reason: str = ""
    message: str = ""
    critical: int | None = None  # None without a result
    high: int | None = None
    secrets: int | None = None
    last_success: str = ""
    attempts: int = 0
    next_retry: str = ""
    scan_reason: str = ""  # why it is queued, or was scanned last
    image_scan: str = ""


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:  # pyright: ignore[reportPrivateUsage] - argparse has no public name for it
    parser = commands.add_parser(
        "status",
        help="show what is scanned, queued or failed",
        description="Show every container that runs, and the state of its image's scan; then what the "
        "reports of audits say together, what could not be audited, and how the cluster meets standards. "
        "JSON is of the containers only.",
    )
    add_cluster_arguments(parser)
    parser.add_argument("-n", "--namespace", default="", help="only workloads of this namespace")
    parser.add_argument("-o", "--output", choices=("table", "wide", "json"), default="table")
    parser.add_argument(
        "--operator-namespace", default=DEFAULT_NAMESPACE, help=f"default: {DEFAULT_NAMESPACE}"
    )
    parser.set_defaults(command=status)


async def status(arguments: argparse.Namespace) -> int:
    """Print the table; returns 0."""
    configure_logging("warning", json=False)
    async with await looking_at(arguments) as api:
        lines = await read_lines(api, arguments.operator_namespace, arguments.namespace)
        audits = await read_audits(api, arguments.operator_namespace, arguments.namespace)
        cluster = ClusterState() if arguments.namespace else await read_cluster(api)
        compliance = [] if arguments.namespace else await read_compliance(api)
    if arguments.output == "json":
        print(orjson.dumps([asdict(line) for line in lines], option=orjson.OPT_INDENT_2).decode())
    else:
        shown = [
            show_lines(lines, now=datetime.now(UTC), wide=arguments.output == "wide"),
            show_audits(audits),
            show_cluster(cluster),
            show_compliance(compliance),
        ]
        print("\n\n".join(part for part in shown if part))
    return 0


async def read_lines(api: Api, operator_namespace: str, namespace: str = "") -> list[Line]:
    """Read what runs and how it is scanned, sorted by namespace, workload and container.

    Raises ``NotFoundError`` if the cluster has no ImageScans, which says that nothing is installed there.
    """
    scans = await _read_scans(api, operator_namespace)  # first: who may not read these gets no further
    environ = await read_texts(api, CONFIGMAPS, ObjectKey(operator_namespace, ENVIRONMENT_CONFIG))
    settings = await read_settings(
        api,
        {**environ, "OPERATOR_NAMESPACE": operator_namespace},
        operator_namespace,
        only_looking=True,
    )
    snapshot = await Snapshot.read(api, namespace)
    listers = replace(snapshot.listers, same=_same_digests(scans.values()))
    targets = Targets(listers, snapshot.sole_platform, Usage(), settings, build_selection(settings))
    lines: list[Line] = []
    for ref in snapshot.workloads():
        workload = targets.resolve(ref)
        if isinstance(workload, Workload):
            for container in workload.containers:
                name = targets.scan_name(workload, container)
                lines.append(_line(workload, container.container, container.image, name, scans.get(name)))
    return sorted(lines, key=lambda line: (line.namespace, line.workload, line.container))


def _same_digests(scans: Iterable[ImageScan]) -> Same:
    """Digests of one image, as the ImageScans have them."""
    digests = {(other, scan.spec.platform): scan.spec.digest for scan in scans for other in aliases(scan)}

    def same(digest: str, platform: str | None) -> str | None:
        return digests.get((digest, platform or ""))

    return same


async def _read_scans(api: Api, namespace: str) -> dict[str, ImageScan]:
    """The ImageScans by name."""
    try:
        listing = await api.list(IMAGESCANS, type=ImageScan, namespace=namespace)
    except NotFoundError as error:
        raise NotFoundError(
            "the cluster has no ImageScans: trivyop is not installed; kubectl apply -k deploy/kustomize/base"
        ) from error
    return {scan.metadata.name: scan for scan in listing.items}


def _line(workload: Workload, container: str, image: str, name: str, scan: ImageScan | None) -> Line:
    owner = f"{workload.kind.lower()}/{workload.key.name}"
    if scan is None:
        return Line(workload.key.namespace, owner, container, image, _NOT_SCANNED, image_scan=name)
    found = scan.status
    summary = found.summary
    delivered = next((one for one in found.conditions if one.type == state.DELIVERED), None)
    undelivered = delivered if found.phase is Phase.UNDELIVERED else None
    return Line(
        namespace=workload.key.namespace,
        workload=owner,
        container=container,
        image=image,
        state=found.phase.value,
        reason=undelivered.reason if undelivered else found.reason,
        message=undelivered.message if undelivered else found.message,
        critical=summary.critical_count if summary else None,
        high=summary.high_count if summary else None,
        secrets=summary.secret_count if summary else None,
        last_success=found.last_success,
        attempts=found.attempts,
        next_retry=found.next_retry,
        scan_reason=found.scan_reason,
        image_scan=name,
    )


def show_lines(lines: Iterable[Line], *, now: datetime, wide: bool = False) -> str:
    """The table, what each failure says, and a summary."""
    lines = list(lines)
    if not lines:
        return "No workloads found."
    table = show_table(
        (*_HEADER, *_WIDE) if wide else _HEADER, [_cells(line, now=now, wide=wide) for line in lines]
    )
    states = Counter(line.state for line in lines)
    counts = ", ".join(f"{states[state]} {state}" for state in _STATES if states[state])
    failures, waits = show_failures(lines, now=now), show_held_back(lines)
    parts = [table, failures, waits, f"{show_count(len(lines), 'container')}: {counts}"]
    return "\n\n".join(part for part in parts if part)


def show_failures(lines: Iterable[Line], *, now: datetime) -> str:
    """One line for each image that failed: why, and when it is tried again; empty if none did.

    So for each that is held up, and for each whose reports are not all there.
    """
    over = (Phase.SUCCEEDED.value, _NOT_SCANNED)
    failures = {line.image_scan: line for line in lines if line.message and line.state not in over}
    return "\n".join(
        f"{line.image}: {line.reason}: {line.message}{_next_try(line, now)}" for line in failures.values()
    )


def show_held_back(lines: Iterable[Line]) -> str:
    """One line for each thing that keeps scan pods from starting, and how many images wait for it to go."""
    waiting = {
        line.image_scan: (line.reason, line.message)
        for line in lines
        if line.reason in START_CLASSES and line.state in (Phase.QUEUED.value, Phase.RUNNING.value)
    }
    return "\n".join(
        f"{show_count(count, 'image')} cannot be scanned yet: {reason}: {message}"
        for (reason, message), count in Counter(waiting.values()).most_common()
    )


def _next_try(line: Line, now: datetime) -> str:
    retry = time_or_none(line.next_retry)
    if line.state != Phase.FAILED.value:
        return ""
    if retry is None:
        return " (no further try)"
    return (
        f" (next try in {show_duration((retry - now).total_seconds())})" if retry > now else " (next try now)"
    )


def _cells(line: Line, *, now: datetime, wide: bool) -> list[str]:
    done = time_or_none(line.last_success)
    retry = time_or_none(line.next_retry)
    cells: list[Any] = [
        line.namespace,
        line.workload,
        line.container,
        line.image,
        f"{line.state} ({line.reason})" if line.reason else line.state,
        *(
            "-" if count is None or not done else str(count)
            for count in (line.critical, line.high, line.secrets)
        ),
        show_duration((now - done).total_seconds()) if done else "-",
    ]
    if wide:
        cells += [
            line.scan_reason or "-",
            str(line.attempts),
            show_duration((retry - now).total_seconds()) if retry else "-",
            line.image_scan,
        ]
    return cells
