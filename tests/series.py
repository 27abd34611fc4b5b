"""Reports in an API server, and the metrics that are counted from them: what tests of metrics share."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest

from trivyop.cli.manifests import crds
from trivyop.control.clock import SystemClock
from trivyop.control.controller import Controller
from trivyop.control.queue import WorkQueue
from trivyop.controllers.informers import Informers
from trivyop.controllers.series.labels import ResourceLabels
from trivyop.controllers.series.reader import SeriesReader, Unread
from trivyop.controllers.series.rendering import ReportSeries
from trivyop.errors import NotFoundError
from trivyop.kube.client import Api
from trivyop.kube.config import ClusterConfig
from trivyop.kube.discovery import discover
from trivyop.kube.resources import CLUSTERCOMPLIANCEREPORTS, CRDS, NAMESPACES, ObjectKey, Resource
from trivyop.report.kinds import family_labels, wanted_families
from trivyop.sandbox.apiserver.server import ApiServer
from trivyop.settings.operator import MetricsSettings

Json = dict[str, Any]
Series = dict[tuple[str, frozenset[tuple[str, str]]], float]

EVERYTHING = MetricsSettings(
    vulnerability_id_enabled=True,
    exposed_secret_info_enabled=True,
    image_info_enabled=True,
    config_audit_info_enabled=True,
    rbac_assessment_info_enabled=True,
    infra_assessment_info_enabled=True,
    cluster_compliance_info_enabled=True,
    image_vulnerability_info_enabled=True,
)
_LINE = re.compile(r"(\w+)(?:\{(.*)\})? (\S+)")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"(?:,|$)')
_SUFFIX = re.compile(r"|_total|_info|_bucket|_sum|_count|_created")
_ESCAPED = {"\\\\": "\\", "\\n": "\n", '\\"': '"'}


def parse(text: str) -> Series:
    """Every series of a page, by name and labels; a series that is there twice fails."""
    found: Series = {}
    for line in text.split("\n")[:-1]:
        if line.startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        assert match, line
        pairs = _LABEL.findall(match[2] or "")
        assert sum(len(name) + len(value) + 4 for name, value in pairs) == len(match[2] or "") + bool(pairs)
        names = [name for name, _ in pairs]
        assert len(set(names)) == len(names), line
        labels = frozenset((name, re.sub(r"\\.", lambda m: _ESCAPED[m[0]], value)) for name, value in pairs)
        assert (match[1], labels) not in found, line
        found[match[1], labels] = float(match[3])
    return found


def without_help(text: str) -> list[str]:
    """The names of series before which a page has no help text, or an empty one."""
    found: dict[str, None] = {}
    family = ""
    for line in text.split("\n"):
        if line.startswith("# HELP "):
            _, _, name, *words = line.split()
            family = name if words else ""
        elif line and not line.startswith("#"):
            name = line.partition("{")[0].partition(" ")[0]
            if not family or not _SUFFIX.fullmatch(name.removeprefix(family)):
                found[name] = None
    return list(found)


def label_names(line: str) -> tuple[str, ...]:
    """The names of a line's labels, in order."""
    match = _LINE.fullmatch(line)
    assert match, line
    return tuple(name for name, _ in _LABEL.findall(match[2] or ""))


def of(series: Series, name: str) -> Series:
    """Those of one metric."""
    return {key: value for key, value in series.items() if key[0] == name}


def labels_of(series: Series, name: str) -> list[dict[str, str]]:
    """The labels of the series of one metric."""
    return [dict(labels) for metric, labels in series if metric == name]


@dataclass(slots=True)
class Switch:
    """Whether it is this replica's to serve."""

    active: bool = True


@dataclass(slots=True)
class Reporting:
    """An API server with reports, and what is served of them."""

    server: ApiServer
    api: Api
    informers: Informers
    reader: SeriesReader
    series: ReportSeries
    registry: CollectorRegistry
    switch: Switch

    def page(self) -> str:
        return b"".join(self.series.chunks()).decode()

    def scrape(self) -> Series:
        """What is served now."""
        return parse(self.page())

    def own(self) -> Series:
        """The metrics about the metrics."""
        return parse(generate_latest(self.registry).decode())

    async def until(self, condition: Callable[[], bool], what: str = "") -> None:
        """Wait for a state that only a failure keeps from coming."""
        for _ in range(3000):
            if condition():
                return
            await asyncio.sleep(0.01)
        raise AssertionError(f"never {what or condition}: {self.own()}")

    async def until_told(self) -> None:
        """Wait until all that was written before has been told, and read where need be."""
        for resource, lister in self.informers.reports.items():
            if not lister.informers:
                continue
            there = await self.api.list(resource, type=Json)
            wanted = {
                ObjectKey(one["metadata"].get("namespace", ""), one["metadata"]["name"])
                for one in there.items
            }
            await self.until(
                lambda lister=lister, wanted=wanted: set(lister.keys()) == wanted, resource.plural
            )
        await self.until(lambda: not any(self.reader.unread().values()), "read")

    async def write(self, resource: Resource, *documents: Json) -> None:
        """Bring reports into the cluster, as they would be stored."""
        for document in documents:
            meta = {
                field: value
                for field, value in document["metadata"].items()
                if field in ("name", "namespace", "labels", "annotations", "ownerReferences")
            }
            body = {**document, "metadata": meta}
            if namespace := meta.get("namespace"):
                await ensure_namespace(self.api, namespace)
            await self.api.apply(resource, body)
            if "status" in document:
                key = ObjectKey(meta.get("namespace", ""), meta["name"])
                await self.api.patch(resource, key, {"status": document["status"]}, subresource="status")


async def ensure_namespace(api: Api, name: str) -> None:
    await api.apply(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})


@asynccontextmanager
async def api_server() -> AsyncGenerator[tuple[ApiServer, Api]]:
    """A server with the CRDs of all report kinds."""
    async with (
        ApiServer() as server,
        Api(await ClusterConfig.from_kubeconfig_dict(server.kubeconfig())) as api,
    ):
        for crd in (*crds(), compliance_crd()):
            await api.apply(CRDS, crd)
        for _ in range(1500):
            if await _served(api):
                break
            await asyncio.sleep(0.02)
        yield server, api


async def _served(api: Api) -> bool:
    try:
        await api.list(CLUSTERCOMPLIANCEREPORTS, type=Json)
    except NotFoundError:
        return False
    return True


@asynccontextmanager
async def reporting(
    server: ApiServer,
    api: Api,
    settings: MetricsSettings = EVERYTHING,
    *,
    labels: Iterable[str] = (),
    merged_roles: bool = False,
) -> AsyncGenerator[Reporting]:
    """What is served of the reports in a server; nothing else of the operator runs."""
    registry = CollectorRegistry()
    clock = SystemClock()
    keys = tuple(labels)
    informers = Informers(
        api,
        await discover(api),
        operator_namespace="trivy-system",
        watched_namespaces=("",),
        report_labels=keys,
        clock=clock,
    )
    switch = Switch()
    families = wanted_families(settings)
    queue = WorkQueue[Unread](clock, base_seconds=0.01)
    reader = SeriesReader(api, informers.reports, families, queue, registry)
    series = ReportSeries(
        informers.reports,
        reader,
        families,
        labels=ResourceLabels(keys, settings.resource_labels_prefix, family_labels()),
        limit=settings.series_limit,
        merged_roles=merged_roles,
        active=lambda: switch.active,
        registry=registry,
    )
    served = Reporting(server, api, informers, reader, series, registry, switch)
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(informers.run()),
            group.create_task(Controller("report-series", reader.read, 4, queue).run()),
        ]
        await informers.wait_synced()
        await served.until(lambda: all(series.readiness().values()), "ready")
        try:
            yield served
        finally:
            for task in tasks:
                task.cancel()


def compliance_crd() -> Json:
    """The definition of ClusterComplianceReports, as far as it matters here."""
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {
        "name": "v1alpha1",
        "served": True,
        "storage": True,
        "schema": {
            "openAPIV3Schema": {"type": "object", "properties": {"spec": anything, "status": anything}}
        },
        "subresources": {"status": {}},
    }
    kind = CLUSTERCOMPLIANCEREPORTS
    names = {"kind": kind.kind, "plural": kind.plural, "singular": kind.kind.lower()}
    return {
        "apiVersion": CRDS.api_version,
        "kind": CRDS.kind,
        "metadata": {"name": kind.name},
        "spec": {"group": kind.group, "scope": "Cluster", "names": names, "versions": [version]},
    }
