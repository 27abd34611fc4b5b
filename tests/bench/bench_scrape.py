"""A scrape of 5,000 VulnerabilityReports of 150 findings each, over HTTP, against prometheus-client.

Reports are as informers keep them: of their findings there is nothing but counts. prometheus-client renders
as many series, from memory into one string, without any HTTP.
"""

from __future__ import annotations

import asyncio
import gc
import time
import tracemalloc
from collections.abc import Iterator
from typing import cast

import aiohttp
from prometheus_client import CollectorRegistry, Gauge, generate_latest

from tests.bench.figures import Figure
from trivyop.control.clock import SystemClock
from trivyop.control.queue import WorkQueue
from trivyop.controllers.lister import Lister
from trivyop.controllers.series.labels import ResourceLabels
from trivyop.controllers.series.reader import SeriesReader, Unread
from trivyop.controllers.series.rendering import ReportSeries
from trivyop.kube.client import Api
from trivyop.kube.informer import Handler
from trivyop.kube.objects import Object, ObjectMeta, OwnerReference
from trivyop.kube.resources import VULNERABILITYREPORTS
from trivyop.kube.store import Store
from trivyop.observe.health import Health
from trivyop.report import keys
from trivyop.report.families import IMAGE_VULNERABILITIES
from trivyop.report.kinds import family_labels, wanted_families
from trivyop.report.stored import StoredReport
from trivyop.settings.operator import MetricsSettings
from trivyop.web.server import serving

_REPORTS = 5_000
_IMAGES = 500
_FINDINGS = 150
_ROUNDS = 5
_PAUSE_SECONDS = 0.002


class _Filled:
    """Stands in for a mirror that has been filled."""

    synced = True

    def __init__(self) -> None:
        self._store = Store[StoredReport]()
        for n in range(_REPORTS):
            report = StoredReport.parse(_metadata(n))
            self._store.set(report.key, report)

    def add_handler(self, _handler: Handler[StoredReport]) -> None:
        """Nothing changes here."""

    def values(self) -> Iterator[StoredReport]:
        return iter(self._store.values())

    def __len__(self) -> int:
        return len(self._store)


def _metadata(n: int) -> Object:
    name = f"app-{n}-{n * 2654435761 % 2**32:08x}"
    namespace, image = f"team-{n % 50}", n % _IMAGES
    digest = f"sha256:{image:064x}"
    labels = {
        keys.MANAGED_BY: keys.MANAGED_BY_VALUE,
        keys.RESOURCE_KIND: "ReplicaSet",
        keys.RESOURCE_NAME: name,
        keys.RESOURCE_NAMESPACE: namespace,
        keys.CONTAINER_NAME: "app",
        keys.SPEC_HASH: f"{n:08x}",
    }
    annotations = {
        keys.IMAGE: f"registry.example.com/team-{image % 20}/app-{image}:1.0@{digest}",
        keys.IMAGE_DIGEST: digest,
        keys.OS: "debian/12.4",
        keys.PLATFORM: "linux/amd64",
        keys.SCANNED_AT: "2026-01-02T12:00:00Z",
        keys.SETTINGS_HASH: "0123456789abcdef",
        keys.SUMMARY: f"c={image % 7},h={image % 31},m={_FINDINGS - image % 7 - image % 31 - 10},l=9,u=1",
        keys.FIXABLE: f"c={image % 5},h={image % 23},m=9,l=1,u=0",
        keys.CONTENT_HASH: f"{n:032x}",
    }
    owner = OwnerReference("apps/v1", "ReplicaSet", name, f"{n:08x}-0000-4000-8000-000000000000", True)
    return Object(
        metadata=ObjectMeta(
            name=f"replicaset-{name}-app",
            namespace=namespace,
            uid=f"{n:08x}-1111-4000-8000-000000000000",
            resource_version=str(n),
            labels=labels,
            annotations=annotations,
            owner_references=(owner,),
        )
    )


async def measure() -> list[Figure]:
    """Scrape and render several times, the best of which counts; memory is measured apart."""
    gc.collect()
    tracemalloc.start()
    mirror = _Filled()
    gc.collect()
    per_report = tracemalloc.get_traced_memory()[0] / _REPORTS
    tracemalloc.stop()
    series = _series(mirror)
    text = b"".join(series.chunks())
    count = sum(not line.startswith(b"#") for line in text.splitlines())
    theirs = _prometheus_client(mirror, count)
    ours: list[float] = []
    packed: list[float] = []
    stalls: list[float] = []
    async with (
        serving(
            CollectorRegistry(), Health(), series, metrics_address="127.0.0.1:0", probe_address="0"
        ) as at,
        aiohttp.ClientSession(auto_decompress=False) as session,
    ):
        for _ in range(_ROUNDS):
            seconds, stall = await _scrape(session, at["metrics"], "identity")
            ours.append(seconds)
            stalls.append(stall)
            packed.append((await _scrape(session, at["metrics"], "gzip"))[0])
        tracemalloc.start()
        await _scrape(session, at["metrics"], "identity", kept=False)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return [
        Figure("scrape", "series", count, ""),
        Figure("scrape", "page", len(text) / 1e6, "MB"),
        Figure("scrape", "scrape", min(ours), "s", 0.3, at_least=False),
        Figure("scrape", "scrape, compressed", min(packed), "s", 0.3, at_least=False),
        Figure("scrape", "prometheus-client, rendering", theirs, "s"),
        Figure("scrape", "scrape to prometheus-client", min(ours) / theirs, "x", 1.5, at_least=False),
        Figure("scrape", "longest stall of the event loop", min(stalls), "s", 0.05, at_least=False),
        Figure("scrape", "most memory during a scrape", peak / 1e6, "MB", 8, at_least=False),
        Figure("scrape", "memory of a report", per_report, "B", 2048, at_least=False),
    ]


def _series(mirror: _Filled) -> ReportSeries:
    registry = CollectorRegistry()
    mirrors = {VULNERABILITYREPORTS: cast("Lister[StoredReport]", mirror)}
    families = wanted_families(MetricsSettings())
    nowhere = cast("Api", None)  # nothing is read
    reader = SeriesReader(nowhere, mirrors, families, WorkQueue[Unread](SystemClock()), registry)
    return ReportSeries(
        mirrors,
        reader,
        families,
        labels=ResourceLabels((), "", family_labels()),
        limit=0,
        merged_roles=False,
        active=lambda: True,
        registry=registry,
    )


async def _scrape(
    session: aiohttp.ClientSession, url: str, encoding: str, *, kept: bool = True
) -> tuple[float, float]:
    """Seconds until the whole page was there, and the longest that another task had to wait meanwhile."""
    stall = 0.0

    async def watch() -> None:
        nonlocal stall
        while True:
            began = time.perf_counter()
            await asyncio.sleep(_PAUSE_SECONDS)
            stall = max(stall, time.perf_counter() - began - _PAUSE_SECONDS)

    async with asyncio.TaskGroup() as group:
        watching = group.create_task(watch())
        began = time.perf_counter()
        async with session.get(f"{url}/metrics", headers={"Accept-Encoding": encoding}) as answer:
            if kept:
                await answer.read()
            else:
                async for _ in answer.content.iter_any():
                    pass
        seconds = time.perf_counter() - began
        watching.cancel()
    return seconds, stall


def _prometheus_client(mirror: _Filled, count: int) -> float:
    """Seconds to render so many series with as many labels."""
    registry = CollectorRegistry()
    gauge = Gauge("vulnerabilities", "The same.", IMAGE_VULNERABILITIES.labels, registry=registry)
    severities = ("Critical", "High", "Medium", "Low", "Unknown", "Critical fixable", "High fixable")
    for report in mirror.values():
        head = (*report.key, "ReplicaSet", report.resource_name, report.container)
        server, _, rest = report.image.partition("/")
        name, _, digest = rest.partition("@")
        repository, _, tag = name.partition(":")
        for severity in severities:
            gauge.labels(*head, server, repository, tag, digest, severity).set(3)
    assert sum(len(metric.samples) for metric in registry.collect()) == count
    best = float("inf")
    for _ in range(3):
        began = time.perf_counter()
        generate_latest(registry)
        best = min(best, time.perf_counter() - began)
    return best
