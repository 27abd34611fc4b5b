"""Delivery: bring the result of one scan to every container that needs it.

A fresh result is built into one report of each kind; where a result is there already, a report of another
workload is read. Either is then made over for each target, and those share its findings, which are in memory
only while this runs. Writes are bounded in number at a time; what takes long to make is made in a thread.

Promises: one report that the server refuses holds up no other; a transient error does, after the others were
tried, so that the caller comes back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from itertools import chain, islice
from typing import Any, TypeVar

from trivyop.control.clock import Clock
from trivyop.controllers.images.results import ScanResult
from trivyop.controllers.images.targets import Target, pinned
from trivyop.controllers.informers import Informers
from trivyop.controllers.reports import Build, Refusal, Reports
from trivyop.errors import ConflictError
from trivyop.kube.events import ObjectReference
from trivyop.kube.resources import (
    CLUSTERSBOMREPORTS,
    EXPOSEDSECRETREPORTS,
    VULNERABILITYREPORTS,
    ObjectKey,
    Resource,
)
from trivyop.kube.times import time_or_none
from trivyop.report.budget import row_count
from trivyop.report.findings import Sbom
from trivyop.report.kinds import kind_of
from trivyop.report.names import cluster_sbom_name
from trivyop.report.options import ReportOptions
from trivyop.report.projection import reproject
from trivyop.report.sbom import build_cluster_sbom_report
from trivyop.report.stored import StoredReport
from trivyop.report.summary import SeverityCounts
from trivyop.scan.matching import with_facts
from trivyop.settings.values import Settings
from trivyop.workload.images import ImageKey
from trivyop.workload.resolve import Workload

WRITES_AT_ONCE = 16
_LONG_WORK = 500  # rows; as many take 10 ms to build
_PROJECTED_AT_ONCE = 64  # looked at in one go, so that thousands do not hold up the event loop

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Adoptable:
    """What reports that are there tell about an image."""

    vulnerabilities: SeverityCounts | None
    secrets: int
    scanned_at: datetime


class Delivery:
    """Writes reports for targets. `image` is always the image that was scanned, with its digest."""

    def __init__(
        self,
        informers: Informers,
        reports: Reports,
        *,
        settings: Settings,
        options: ReportOptions,
        clock: Clock,
    ) -> None:
        self._reports = reports
        self._options = options
        self._clock = clock
        self._long_work = asyncio.Semaphore()
        self._wanted = tuple(kind for kind in informers.report_kinds if kind_of(kind).enabled(settings))
        self._wants_boms = (
            kind_of(CLUSTERSBOMREPORTS).enabled(settings) and CLUSTERSBOMREPORTS not in informers.missing
        )

    @property
    def kinds(self) -> tuple[Resource, ...]:
        """What to write; a kind that is off has no place, and nobody lacks it."""
        return tuple(kind for kind in self._wanted if not self._reports.is_off(kind))

    @property
    def _keeps_boms(self) -> bool:
        """Whether bills of materials can be kept; they are cluster-wide, and we may be not."""
        return self._wants_boms and not self._reports.is_off(CLUSTERSBOMREPORTS)

    # what is there

    def is_missing(self, target: Target, image: ImageKey, settings_hash: str) -> bool:
        """Whether the target lacks a current report of any kind."""
        return any(self._lacks(kind, target, image, settings_hash) for kind in self.kinds)

    def _lacks(self, kind: Resource, target: Target, image: ImageKey, settings_hash: str) -> bool:
        container = target.container.container
        return not self._reports.is_current(kind, target.workload, container, image, settings_hash)

    def has_sources(self, image: ImageKey, settings_hash: str, namespace: str) -> bool:
        """Whether reports of every kind are there to make others from; `namespace` limits where."""
        return bool(self.kinds) and all(
            self._source(kind, image, settings_hash, namespace) for kind in self.kinds
        )

    def _source(
        self, kind: Resource, image: ImageKey, settings_hash: str, namespace: str
    ) -> StoredReport | None:
        return next(self._reports.sources(kind, image, settings_hash, namespace=namespace), None)

    def adoptable(self, image: ImageKey, settings_hash: str, namespace: str) -> Adoptable | None:
        """What the reports that are there say, or None if some are not, or do not say since when."""
        counts: SeverityCounts | None = None
        secrets = 0
        oldest: datetime | None = None
        for kind in self.kinds:
            source = self._source(kind, image, settings_hash, namespace)
            scanned_at = time_or_none(source.scanned_at) if source else None
            if source is None or scanned_at is None:
                return None
            oldest = scanned_at if oldest is None else min(oldest, scanned_at)
            if kind is VULNERABILITYREPORTS:
                counts = SeverityCounts.parse(source.summary)
            if kind is EXPOSEDSECRETREPORTS:
                found = SeverityCounts.parse(source.summary)
                secrets = sum(found.by_severity.values()) if found else 0
        return None if oldest is None else Adoptable(counts, secrets, oldest)

    def bill_of_materials(self, image: ImageKey, settings_hash: str) -> StoredReport | None:
        """The bill of materials kept for the image, if it can be matched and is of those settings."""
        if not (self._keeps_boms and image.digest and VULNERABILITYREPORTS in self.kinds):
            return None
        stored = self._reports.get(CLUSTERSBOMREPORTS, ObjectKey("", cluster_sbom_name(image)))
        if stored is None or not stored.matchable or stored.settings_hash != settings_hash:
            return None
        return stored

    async def read_bill_of_materials(self, image: ImageKey) -> Sbom | None:
        """Read the kept bill of materials; None if it is gone."""
        report = await self._reports.read(CLUSTERSBOMREPORTS, ObjectKey("", cluster_sbom_name(image)))
        return None if report is None else report["report"]["components"]

    async def delete_bill_of_materials(self, image: ImageKey) -> None:
        """Delete the kept bill of materials, if there is one."""
        if not self._keeps_boms or not image.digest:
            return
        stored = self._reports.get(CLUSTERSBOMREPORTS, ObjectKey("", cluster_sbom_name(image)))
        if stored is not None:
            await self._reports.delete(CLUSTERSBOMREPORTS, stored)

    @staticmethod
    def reference(workload: Workload) -> ObjectReference:
        """The workload as Events refer to it."""
        return ObjectReference(workload.api_version, workload.kind, workload.key, workload.uid)

    # what is made

    async def deliver(
        self, targets: Iterable[Target], image: ImageKey, result: ScanResult, settings_hash: str
    ) -> list[Refusal]:
        """Write all reports of all targets from a fresh result; answers with what the server refused."""
        refusals: list[Refusal] = []
        namespaces = set[str]()
        targets = _noting(targets, namespaces)
        first = next(targets, None)
        if first is None:
            return refusals
        options = replace(self._options, settings_hash=settings_hash)
        now = self._clock.now()
        if self._keeps_boms and result.sbom is not None and image.digest:
            build = partial(
                build_cluster_sbom_report,
                image,
                pinned(first.container, image.digest, image.platform or ""),
                with_facts(result.sbom, result.facts) if result.problem is None else result.sbom,
                options,
                scanner_version=result.findings.scanner_version,
                left_out=result.bom_left_out,
                matchable=result.problem is None,
                now=now,
            )
            report = await self._make(len(result.sbom["components"]), build)
            refused = await self._reports.write_object(CLUSTERSBOMREPORTS, report)
            refusals += [refused] if refused else []
        sources = {kind: await self._build(kind, first, image, result, options, now) for kind in self.kinds}
        refusals += await self._write_all(
            (kind, target, self._projector(source, target, image, options))
            for target in chain((first,), targets)
            for kind, source in sources.items()
        )
        return refusals + self.held_back(namespaces)

    async def deliver_matched(
        self, targets: Iterable[Target], image: ImageKey, result: ScanResult, settings_hash: str
    ) -> list[Refusal]:
        """Write the vulnerability reports of all targets; matching tells nothing about the other kinds."""
        namespaces = set[str]()
        targets = _noting(targets, namespaces)
        first = next(targets, None)
        if first is None:
            return []
        options = replace(self._options, settings_hash=settings_hash)
        kind = VULNERABILITYREPORTS
        source = await self._build(kind, first, image, result, options, self._clock.now())
        refusals = await self._write_all(
            (kind, target, self._projector(source, target, image, options))
            for target in chain((first,), targets)
        )
        return refusals + self.held_back(namespaces)

    async def project(
        self, targets: Iterable[Target], image: ImageKey, settings_hash: str, namespace: str
    ) -> list[Refusal]:
        """Make the reports that targets lack from those of others; ``ConflictError`` if those are gone."""
        refusals: list[Refusal] = []
        options = replace(self._options, settings_hash=settings_hash)
        namespaces = set[str]()
        targets = _noting(targets, namespaces)
        while some := list(islice(targets, _PROJECTED_AT_ONCE)):
            for kind in self.kinds:
                lacking = [target for target in some if self._lacks(kind, target, image, settings_hash)]
                if not lacking:
                    continue
                source = self._source(kind, image, settings_hash, namespace)
                report = None if source is None else await self._reports.read(kind, source.key)
                if report is None:
                    raise ConflictError(f"no {kind.kind} of {image.digest} to make others from")
                refusals += await self._write_all(
                    (kind, target, self._projector(report, target, image, options)) for target in lacking
                )
            await asyncio.sleep(0)
        return refusals + self.held_back(namespaces)

    def held_back(self, namespaces: Iterable[str]) -> list[Refusal]:
        """The kinds of report that containers in those namespaces lack because we may not write them."""
        found = (self._reports.held_back(kind, name) for name in sorted(namespaces) for kind in self._wanted)
        return [refusal for refusal in found if refusal is not None]

    async def _build(
        self,
        kind: Resource,
        target: Target,
        image: ImageKey,
        result: ScanResult,
        options: ReportOptions,
        now: datetime,
    ) -> dict[str, Any]:
        """Build the report of one target, for all others to be made from."""
        container = pinned(target.container, image.digest, image.platform or "")
        build = kind_of(kind).build
        if build is None:
            raise AssertionError(f"{kind.kind} is on containers and has no builder")
        findings, components = result.findings, (result.sbom or {}).get("components", ())
        rows = max(len(findings.vulnerabilities), len(findings.secrets), len(components))
        return await self._make(rows, partial(build, target.workload, container, result, options, now))

    def _projector(
        self, report: Mapping[str, Any], target: Target, image: ImageKey, options: ReportOptions
    ) -> Build:
        container = pinned(target.container, image.digest, image.platform or "")

        def build(name: str) -> Awaitable[dict[str, Any]]:
            make = partial(reproject, report, target.workload, container, options, name=name)
            return self._make(row_count(report), make)

        return build

    async def _make(self, rows: int, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        if rows < _LONG_WORK:
            return make()
        async with self._long_work:  # two threads with long work would leave little to the event loop
            return await asyncio.to_thread(make)

    async def _write_all(self, work: Iterable[tuple[Resource, Target, Build]]) -> list[Refusal]:
        async def write(item: tuple[Resource, Target, Build]) -> Refusal | None:
            kind, target, build = item
            return await self._reports.write(kind, target.workload, target.container.container, build)

        return [refusal for refusal in await _each(iter(work), write) if refusal is not None]


def _noting(targets: Iterable[Target], namespaces: set[str]) -> Iterator[Target]:
    """The same targets; each one's namespace is noted as it comes."""
    for target in targets:
        namespaces.add(target.workload.key.namespace)
        yield target


async def _each(items: Iterator[Any], do: Callable[[Any], Awaitable[T]]) -> list[T]:
    """Do all, a few at a time; the first error is raised when all others are done."""
    results: list[T] = []
    errors: list[Exception] = []

    async def serve() -> None:
        for item in items:  # shared: each takes the next
            try:
                results.append(await do(item))
            except Exception as error:  # noqa: BLE001 - raised below
                errors.append(error)
            await asyncio.sleep(0)  # what is not written takes time to build all the same

    async with asyncio.TaskGroup() as group:
        for _ in range(WRITES_AT_ONCE):
            group.create_task(serve())
    if errors:
        raise errors[0]
    return results
