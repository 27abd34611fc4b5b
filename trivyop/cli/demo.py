"""`trivyop demo`: a sandbox with workloads and the operator in it, and what it finds.

Everything is real but the cluster: the operator, Trivy in the scan pods, the registry it pulls from. With
``--once`` it ends with exit code 0 when every workload has its reports, that of its audit included. Exit code
1, with or without ``--once``: that took too long.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trivyop.app import Operator
from trivyop.cli import demo_workloads
from trivyop.cli.cluster import DEFAULT_NAMESPACE
from trivyop.cli.demo_view import all_audited, count_reports, further, progress, summary
from trivyop.cli.extras import needs_extra
from trivyop.cli.kubeconfig import kubeconfig_file
from trivyop.cli.manifests import crds, specifications
from trivyop.cli.run import stop_on_signals
from trivyop.cli.status import Line, read_lines, show_failures
from trivyop.cli.status_audits import read_audits, show_audits
from trivyop.cli.status_compliance import read_compliance, show_compliance
from trivyop.kube.client import Api
from trivyop.kube.config import ClusterConfig
from trivyop.kube.resources import (
    CLUSTERCOMPLIANCEREPORTS,
    CONFIGMAPS,
    CRDS,
    CRONJOBS,
    DAEMONSETS,
    DEPLOYMENTS,
    JOBS,
    NAMESPACES,
    ROLES,
    SERVICEACCOUNTS,
    SERVICES,
    STATEFULSETS,
    ObjectKey,
)
from trivyop.observe.logging import LEVELS, configure_logging
from trivyop.scan.imagescan import Phase
from trivyop.settings.configmaps import ENVIRONMENT_CONFIG, TRIVY_CONFIG, read_settings, read_texts

if TYPE_CHECKING:
    from trivyop.sandbox.cluster import Sandbox

_RESOURCES = {
    resource.kind: resource
    for resource in (
        *(NAMESPACES, DEPLOYMENTS, STATEFULSETS, DAEMONSETS, JOBS, CRONJOBS),
        *(SERVICES, ROLES),
    )
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
        "--kubeconfig",
        type=Path,
        default=Path(".demo/kubeconfig"),
        metavar="FILE",
        help="where to write the credentials, for as long as the demo runs; default: .demo/kubeconfig",
    )
    parser.add_argument(
        "--timeout", type=_seconds, default=180.0, metavar="SECONDS", help="for all reports; default: 180"
    )
    parser.add_argument("--log-level", choices=LEVELS, default="error", help="default: error")
    parser.set_defaults(command=demo)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not seconds > 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return seconds


async def demo(arguments: argparse.Namespace) -> int:
    """Run the demo; returns 0, or 1 if the reports did not come in time."""
    with needs_extra("sandbox"):
        from trivyop.sandbox.cluster import (  # noqa: PLC0415 - as the line above says
            SandboxOptions,
            running_sandbox,
        )

    configure_logging(arguments.log_level)
    stop = stop_on_signals()
    began = time.monotonic()
    with ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="trivyop-demo-"))
        async with running_sandbox(SandboxOptions(root_dir=Path(directory, "pods"))) as cluster:
            if cluster.registry is None:
                raise AssertionError("the sandbox was asked for a registry")
            stack.enter_context(kubeconfig_file(arguments.kubeconfig.absolute(), cluster.kubeconfig()))
            _say(f"A cluster with one node and a registry is up ({cluster.config.server}).")
            async with Api(cluster.config) as api:
                await prepare_cluster(api, cluster, Path(directory, "trivy"))
                for body in demo_workloads.workloads(cluster.registry.address):
                    await api.apply(_RESOURCES[body["kind"]], body)
                _say(f"Workloads run in the namespaces {', '.join(demo_workloads.NAMESPACES)}.")
                return await _show(api, cluster, arguments, stop, began)


async def prepare_cluster(api: Api, cluster: Sandbox, cache_dir: Path) -> None:
    """Install what the operator needs in a sandbox, and its configuration for this one."""
    from trivyop.sandbox.programs import trivy  # noqa: PLC0415 - whoever has a sandbox has this

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
            "OPERATOR_TRIVY_PROGRAM": str(trivy()),
        },
    )
    await _configure(
        api,
        TRIVY_CONFIG,
        {
            "trivy.dbRepository": f"{registry}/trivy-db:2",
            "trivy.javaDbRepository": f"{registry}/trivy-java-db:1",
            "trivy.nonSslRegistry.sandbox": registry,
            "trivy.useBuiltinRegoPolicies": "false",  # nothing is fetched from outside
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


async def _show(
    api: Api, cluster: Sandbox, arguments: argparse.Namespace, stop: asyncio.Event, began: float
) -> int:
    """Run the operator, show how it gets on and what it found; returns the exit code."""
    environ = await read_texts(api, CONFIGMAPS, ObjectKey(DEFAULT_NAMESPACE, ENVIRONMENT_CONFIG))
    settings = await read_settings(
        api, {**environ, "OPERATOR_NAMESPACE": DEFAULT_NAMESPACE}, DEFAULT_NAMESPACE
    )
    config = await ClusterConfig.from_kubeconfig_dict(cluster.kubeconfig())
    in_time = True
    async with Api(config) as operator_api, asyncio.TaskGroup() as group:
        end = asyncio.Event()
        operator = Operator(operator_api, settings)
        running = group.create_task(operator.run(end), name="operator")
        try:
            async with asyncio.timeout(arguments.timeout):
                lines = await _until_done(api, stop, lambda: time.monotonic() - began)
                await _ask_for_compliance(api, stop)
        except TimeoutError:
            in_time = False
            lines = await read_lines(api, DEFAULT_NAMESPACE)
        if not stop.is_set():
            _say(f"\n{await summary(api, lines)}\n")
            _say(f"{show_audits(await read_audits(api, DEFAULT_NAMESPACE))}\n")
            _say(f"{show_compliance(await read_compliance(api))}\n")
            if in_time:
                _say(f"Every workload has its reports, {time.monotonic() - began:.1f} s after the start.\n")
                where = arguments.kubeconfig.absolute()
                _say(further(where, operator.urls["metrics"], once=arguments.once))
            else:
                _say(f"Not all reports came within {arguments.timeout:g} s.")
                _say(show_failures(lines, now=datetime.now(UTC)))
            if in_time and not arguments.once:
                await stop.wait()
        if stop.is_set():
            _say("\nEnding.")
        end.set()
        await running
    return 0 if in_time else 1


async def _until_done(api: Api, stop: asyncio.Event, elapsed: Callable[[], float]) -> list[Line]:
    """Show the progress until every container has its reports, or until ``stop`` is set."""
    shown = ""
    services = sum(body["kind"] == "Service" for body in demo_workloads.workloads(""))
    while not stop.is_set():
        lines = await read_lines(api, DEFAULT_NAMESPACE)
        reports = await count_reports(api)
        audits = await read_audits(api, DEFAULT_NAMESPACE)
        text = progress(lines, reports, audits)
        if text != shown:
            _say(f"{elapsed():6.1f} s  {text}")
            shown = text
        scanned = all(line.state == Phase.SUCCEEDED.value for line in lines)
        reported = min(reports.values()) >= len(lines)
        if lines and scanned and reported and all_audited(lines, audits, services=services):
            return lines
        await asyncio.sleep(_POLL_SECONDS)
    return []


async def _ask_for_compliance(api: Api, stop: asyncio.Event) -> None:
    """Apply the specifications, now that there is something to answer them from, and wait for the answers."""
    for body in specifications():
        await api.apply(CLUSTERCOMPLIANCEREPORTS, body, field_manager="trivyop-demo")
    while not stop.is_set() and not await _is_answered(api):  # noqa: ASYNC110 - another process's state
        await asyncio.sleep(_POLL_SECONDS)


async def _is_answered(api: Api) -> bool:
    return all(one.said.summary is not None for one in await read_compliance(api))


def _say(text: str) -> None:
    if text:
        print(text, flush=True)
