"""Reports as informers tell of them, without a server: for tests of what is served."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, cast

from prometheus_client import CollectorRegistry, generate_latest

from tests.clock import FakeClock
from tests.series import Json, Series, Switch, parse
from trivyop.control.queue import WorkQueue
from trivyop.controllers.lister import Handler, Lister
from trivyop.controllers.series.labels import ResourceLabels
from trivyop.controllers.series.reader import SeriesReader, Unread
from trivyop.controllers.series.rendering import ReportSeries
from trivyop.errors import TransientError
from trivyop.kube.client import Api
from trivyop.kube.objects import Object
from trivyop.kube.pages import decode_one
from trivyop.kube.resources import (
    CLUSTERCOMPLIANCEREPORTS,
    CLUSTERCONFIGAUDITREPORTS,
    CLUSTERRBACASSESSMENTREPORTS,
    CONFIGAUDITREPORTS,
    EXPOSEDSECRETREPORTS,
    INFRAASSESSMENTREPORTS,
    RBACASSESSMENTREPORTS,
    VULNERABILITYREPORTS,
    ObjectKey,
    Resource,
)
from trivyop.kube.store import Store
from trivyop.report import keys
from trivyop.report.kinds import family_labels, wanted_families
from trivyop.report.stored import StoredReport
from trivyop.settings.operator import MetricsSettings

KINDS = (
    VULNERABILITYREPORTS,
    EXPOSEDSECRETREPORTS,
    CONFIGAUDITREPORTS,
    CLUSTERCONFIGAUDITREPORTS,
    RBACASSESSMENTREPORTS,
    CLUSTERRBACASSESSMENTREPORTS,
    INFRAASSESSMENTREPORTS,
    CLUSTERCOMPLIANCEREPORTS,
)
_OWN = ("critical", "high", "medium", "low", "unknown")


class Told:
    """Stands in for a mirror: what it holds changes when a test says so."""

    def __init__(self) -> None:
        self.store = Store[StoredReport]()
        self.handlers: list[Handler[StoredReport]] = []
        self.synced = True

    def add_handler(self, handler: Handler[StoredReport]) -> None:
        self.handlers.append(handler)

    def values(self) -> Iterator[StoredReport]:
        return iter(self.store.values())

    def __len__(self) -> int:
        return len(self.store)

    def tell(self, key: ObjectKey, new: StoredReport | None) -> None:
        old = self.store.remove(key) if new is None else self.store.set(key, new)
        for handler in self.handlers:
            handler(key, old, new)


@dataclass(slots=True)
class World:
    """Reports, whom they are told to, and how often one was read."""

    settings: MetricsSettings = field(default_factory=MetricsSettings)
    labels: Iterable[str] = ()
    merged_roles: bool = False
    reads: list[str] = field(default_factory=list[str])
    broken: bool = False  # reads fail
    objects: dict[tuple[Resource, ObjectKey], Json] = field(
        default_factory=dict[tuple[Resource, ObjectKey], Json]
    )
    mirrors: dict[Resource, Told] = field(init=False)
    registry: CollectorRegistry = field(init=False)
    queue: WorkQueue[Unread] = field(init=False)
    reader: SeriesReader = field(init=False)
    series: ReportSeries = field(init=False)
    switch: Switch = field(default_factory=Switch)
    clock: FakeClock = field(default_factory=FakeClock)
    _version: int = 0

    def __post_init__(self) -> None:
        self.mirrors = {kind: Told() for kind in KINDS}
        self.registry = CollectorRegistry()
        self.queue = WorkQueue[Unread](self.clock)
        self.labels = tuple(self.labels)
        mirrors = cast("dict[Resource, Lister[StoredReport]]", self.mirrors)
        families = wanted_families(self.settings)
        self.reader = SeriesReader(cast("Api", self), mirrors, families, self.queue, self.registry)
        self.series = ReportSeries(
            mirrors,
            self.reader,
            families,
            labels=ResourceLabels(self.labels, self.settings.resource_labels_prefix, family_labels()),
            limit=self.settings.series_limit,
            merged_roles=self.merged_roles,
            active=lambda: self.switch.active,
            registry=self.registry,
        )

    async def get(self, resource: Resource, key: ObjectKey, type: type[Any]) -> Any:  # noqa: A002 - as the client
        """What the client does with the API server."""
        self.reads.append(f"{resource.plural} {key}")
        if self.broken:
            raise TransientError("no answer")
        found = self.objects.get((resource, key))
        return None if found is None else decode_one(_bytes(found), type, str(key))

    def write(self, resource: Resource, report: Json) -> None:
        """A report comes, or changes; all are told at once."""
        self._version += 1
        meta = {**report["metadata"], "resourceVersion": str(self._version)}
        meta.setdefault("uid", f"uid of {meta['name']}")
        report = {**report, "metadata": meta}
        stored = StoredReport.parse(decode_one(_bytes(report), Object, meta["name"]), tuple(self.labels))
        self.objects[resource, stored.key] = report
        self.mirrors[resource].tell(stored.key, stored)

    def listing(self, *, done: bool) -> None:
        """The first lists are on their way, or have come."""
        for mirror in self.mirrors.values():
            mirror.synced = done

    def delete(self, resource: Resource, key: ObjectKey) -> None:
        """A report goes."""
        del self.objects[resource, key]
        self.mirrors[resource].tell(key, None)

    async def read_all(self) -> None:
        """Have all that is to be read now read, as the controller does."""
        while len(self.queue):
            unread = await self.queue.get()
            try:
                await self.reader.read(unread)
            except TransientError:
                self.queue.add_rate_limited(unread)
            finally:
                self.queue.done(unread)

    def page(self) -> str:
        return b"".join(self.series.chunks()).decode()

    def scrape(self) -> Series:
        return parse(self.page())

    def own(self, name: str, **labels: str) -> float | None:
        """One of the metrics about the metrics."""
        return parse(generate_latest(self.registry).decode()).get((name, frozenset(labels.items())))


def _bytes(document: Json) -> bytes:
    import orjson  # noqa: PLC0415 - the only place

    return orjson.dumps(document)


def report(
    name: str = "replicaset-web-1-app",
    namespace: str = "shop",
    *,
    kind: str = "ReplicaSet",
    owner: str = "web-1",
    container: str = "app",
    counts: tuple[int, ...] | None = None,
    annotations: dict[str, str] | None = None,
    labels: dict[str, str] | None = None,
    **body: Any,
) -> Json:
    """A report; with `counts` it is one of ours, which metadata tells enough of."""
    ours: dict[str, str] = {}
    if counts is not None:
        ours[keys.SUMMARY] = ",".join(f"{name[0]}={n}" for name, n in zip(_OWN, counts, strict=True))
        ours[keys.IMAGE] = "registry.example.com/shop/web:1.0@sha256:abc"
        ours[keys.SCANNED_AT] = "2026-01-02T12:00:00Z"
    return {
        "metadata": {
            "name": name,
            **({"namespace": namespace} if namespace else {}),
            "labels": {
                keys.RESOURCE_KIND: kind,
                keys.RESOURCE_NAME: owner,
                **({keys.CONTAINER_NAME: container} if container else {}),
                **(labels or {}),
            },
            "annotations": {**ours, **(annotations or {})},
        },
        "report": body,
    }


def summary(*counts: int) -> Json:
    """The counts of a body."""
    return {f"{name}Count": n for name, n in zip(_OWN, counts, strict=False)}


def vulnerability(number: int, severity: str = "HIGH", **fields: Any) -> Json:
    """A row of a VulnerabilityReport."""
    return {
        "vulnerabilityID": f"CVE-2026-{number}",
        "resource": "openssl",
        "installedVersion": "3.0.1",
        "fixedVersion": "",
        "severity": severity,
        "title": f"Problem {number}",
        **fields,
    }
