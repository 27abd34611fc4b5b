"""The operator: everything built once, and run in one tree of tasks.

Order of start: probes, discovery, informers; when all stores are filled, usage is computed for all workloads
at once, so that no scan starts that a report or another workload makes superfluous; then the workers. The
order of stop is the reverse: no new keys, workers finish what they hold, probes last.
"""

from __future__ import annotations

import asyncio
import math
import os
import platform
import random
import socket
import uuid
from collections.abc import Callable, Coroutine, Hashable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

import structlog
from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from trivyop import __version__
from trivyop.audit.nodes.job import CollectorPlace
from trivyop.control.clock import Clock, SystemClock, WatchedClock
from trivyop.control.controller import Controller, ControllerMetrics, Reconcile
from trivyop.control.leader import LeaderElection, LeadershipLostError
from trivyop.control.queue import QueueMetrics, WorkQueue
from trivyop.controllers.auditing import Auditing
from trivyop.controllers.clustercomponents import ClusterComponents
from trivyop.controllers.collecting import Collecting
from trivyop.controllers.delivery import Delivery
from trivyop.controllers.imagescans import ImageScans
from trivyop.controllers.metrics import (
    ClusterComponentMetrics,
    ReportMetrics,
    ScanCollector,
    ScanMetrics,
)
from trivyop.controllers.notifications import Notifications
from trivyop.controllers.rematch import Matcher
from trivyop.controllers.reports import Reports
from trivyop.controllers.results import Results
from trivyop.controllers.scanjobs import ScanJobs
from trivyop.controllers.selecting import build_options, build_selection
from trivyop.controllers.series import ReportSeries
from trivyop.controllers.series_families import ALL_LABELS, wanted_families
from trivyop.controllers.series_labels import ResourceLabels
from trivyop.controllers.series_reader import SeriesReader, Unread
from trivyop.controllers.targets import Targets
from trivyop.controllers.usage import Usage
from trivyop.controllers.view import View
from trivyop.controllers.workloads import Workloads
from trivyop.errors import TransientError
from trivyop.kube.client import Api
from trivyop.kube.discovery import Discovery, discover
from trivyop.kube.events import EventMetrics, EventRecorder
from trivyop.kube.informer import InformerMetrics
from trivyop.kube.resources import IMAGESCANS, ObjectKey, Resource
from trivyop.notify.metrics import WebhookMetrics
from trivyop.observe.familiar import FamiliarNames
from trivyop.observe.health import Health
from trivyop.observe.looplag import LoopLag
from trivyop.observe.registry import SteadyRegistry
from trivyop.settings import Settings, settings_hash
from trivyop.web.server import serving
from trivyop.workload.owners import WorkloadRef

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)

log = structlog.get_logger(__name__)

_DISCOVERY_RETRY_SECONDS = 5.0
_LAST_EVENTS_SECONDS = 2.0
_CATCH_UP_SECONDS = 1.0  # much longer than an event takes from the API server to here
_STANDING_BY = "standing by"
_CLUSTER = "clustercomponents"
_NEEDED: tuple[Resource, ...] = (IMAGESCANS,)


class Operator:
    """The parts of one operator on one cluster; `run` it once."""

    def __init__(
        self,
        api: Api,
        settings: Settings,
        *,
        registry: CollectorRegistry | None = None,
        clock: Clock | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self.registry = registry or SteadyRegistry()
        self.health = Health()
        self.urls: dict[str, str] = {}
        self._api = api
        self._settings = settings
        self._clock = WatchedClock(clock or SystemClock())
        self._rng = rng or random.Random()  # noqa: S311 - spreads retries, guards nothing
        self._stage = "starting"
        self._view: View | None = None
        self._series: ReportSeries | None = None
        self._election: LeaderElection | None = None
        self.health.require(
            "operator", lambda: None if self._stage in ("running", _STANDING_BY) else self._stage
        )
        self.health.require("informers", self._informer_problems)
        self.health.mention("limits", self._limits)
        self.health.tell("leader", self._leadership)
        GCCollector(self.registry)
        PlatformCollector(self.registry)
        ProcessCollector(registry=self.registry)
        Gauge(
            "trivyop_build_info",
            "Always 1; the labels tell what runs.",
            ["version", "python"],
            registry=self.registry,
        ).labels(__version__, platform.python_version()).set(1)
        self._queue_metrics = QueueMetrics(self.registry)
        self._controller_metrics = ControllerMetrics(self.registry)
        self._informer_metrics = InformerMetrics(self.registry)
        self._event_metrics = EventMetrics(self.registry)
        self._report_metrics = ReportMetrics(self.registry)
        self._scan_metrics = ScanMetrics(self.registry)
        self._lag = LoopLag(self.registry)
        Gauge(
            "trivyop_leader", "1 while this replica leads, or leader election is off.", registry=self.registry
        ).set_function(lambda: float(self._leads()))
        operator = settings.operator
        FamiliarNames(
            self.registry,
            self._controller_metrics,
            self._queue_metrics,
            lease=operator.leader_election_id,
            leads=self._leads if operator.leader_election_enabled else None,
        )

    def register_all(self) -> None:
        """Build all parts and leave it at that, so that the registry has every metric there is."""
        self._build(self._api, Discovery({}))

    def chunks(self) -> Iterator[bytes]:
        """The metrics that are counted from reports."""
        return self._series.chunks() if self._series is not None else iter(())

    def _leads(self) -> bool:
        if not self._settings.operator.leader_election_enabled:
            return True
        return self._election is not None and self._election.leads

    def _leadership(self) -> str:
        if not self._settings.operator.leader_election_enabled:
            return "leader election is off"
        return "this replica leads" if self._leads() else "another replica leads, or none yet"

    def _informer_problems(self) -> str | None:
        if self._view is None:
            return "not started"
        waiting = self._view.waiting_for
        if waiting:
            return "waiting for the first list of " + ", ".join(waiting)
        return "; ".join(self._view.needs()) or None

    def _limits(self) -> str | None:
        return "; ".join(self._view.problems()) or None if self._view is not None else None

    async def run(self, stop: asyncio.Event) -> None:
        """Run until `stop` is set; work in hand that outlasts the drain time is cut short."""
        await asyncio.to_thread(lambda: None)  # loads what threads need while there are files to be opened
        async with serving(
            self.registry,
            self.health,
            self,
            metrics_address=self._settings.metrics.bind_address,
            probe_address=self._settings.operator.health_probe_bind_address,
        ) as urls:
            self.urls.update(urls)
            discovery = await _unless(stop, self._discover())
            if discovery is not None:
                await self._run(discovery, stop)
        log.info("operator_stopped")

    async def _discover(self) -> Discovery:
        """Ask what the server has, until it has what nothing works without."""
        told: str | None = None
        while True:
            try:
                discovery = await discover(self._api)
                missing = [resource.name for resource in _NEEDED if not discovery.serves(resource)]
                if not missing:
                    return discovery
                problem = f"the server has no {', '.join(missing)}: apply manifests/crds"
            except TransientError as error:
                problem = str(error)
            if problem != told:
                log.warning("operator_waits", problem=problem)
                told = problem
            self._stage = problem
            await self._clock.sleep(_DISCOVERY_RETRY_SECONDS)

    async def _run(self, discovery: Discovery, stop: asyncio.Event) -> None:
        election = self._election = self._build_election()
        api = self._api if election is None else self._api.gated(election.write_gate)
        parts = self._build(api, discovery)
        self._view = parts.view
        for resource in parts.view.missing:
            log.warning("kind_missing", kind=resource.name, means="what needs it is off until a restart")
        patience = asyncio.timeout(None)
        try:
            async with patience, asyncio.TaskGroup() as group:
                telling = group.create_task(parts.events.run(), name="events")
                background = [
                    telling,
                    group.create_task(parts.view.run(), name="view"),
                    group.create_task(parts.reading.run(), name=parts.reading.name),
                    group.create_task(self._lag.run(), name="loop-lag"),
                ]
                if parts.auditing is not None:
                    background.append(group.create_task(parts.auditing.watch(), name="audited"))
                if await self._ready_to_work(parts, election, stop):
                    if election is not None:
                        background.append(group.create_task(election.keep(), name="leader"))
                    background.append(group.create_task(self._work(parts), name="work"))
                    await stop.wait()
                    self._stage = "stopping"
                    log.info("operator_stopping")
                    drain_seconds = self._settings.operator.drain_seconds
                    patience.reschedule(asyncio.get_running_loop().time() + drain_seconds)
                    await parts.shut_down()
                    parts.events.stop()
                    await asyncio.wait([telling], timeout=_LAST_EVENTS_SECONDS)
                for task in background:
                    task.cancel()
        except* LeadershipLostError as lost:
            raise lost.exceptions[0] from None
        except* TimeoutError:
            if not patience.expired():
                raise
            log.warning("work_cut_short", seconds=self._settings.operator.drain_seconds)
        finally:
            if election is not None:
                await election.release()

    def _build_election(self) -> LeaderElection | None:
        operator = self._settings.operator
        if not operator.leader_election_enabled:
            return None
        return LeaderElection(
            self._api,
            ObjectKey(operator.namespace, operator.leader_election_id),
            f"{socket.gethostname()}_{uuid.uuid4()}",
            clock=self._clock,
            rng=self._rng,
        )

    async def _ready_to_work(
        self, parts: _Parts, election: LeaderElection | None, stop: asyncio.Event
    ) -> bool:
        """Wait until the stores are filled and it is ours to work; False if told to stop before."""
        self._stage = "filling the stores"
        impatient = self._clock.call_later(
            self._settings.operator.cache_sync_timeout_seconds or math.inf,
            lambda: log.warning("still_waiting", first_lists_of=parts.view.waiting_for),
        )
        try:
            if not await _unless(stop, parts.wait_synced()):
                return False
        finally:
            impatient.cancel()
        if election is not None:
            self._stage = _STANDING_BY
            await _unless(stop, election.acquire())
            # what the last leader wrote just before may still be on its way into our stores
            await _unless(stop, self._clock.sleep(_CATCH_UP_SECONDS))
        return not stop.is_set()

    async def _work(self, parts: _Parts) -> None:
        """Reconcile until the queues are shut down, then keep the database until cancelled."""
        parts.scans.listen()
        parts.workloads.listen()
        await parts.workloads.prime()
        self._stage = "running"
        log.info("operator_running", workloads=len(parts.usage.workloads()), images=len(parts.usage.scans()))
        async with asyncio.TaskGroup() as group:
            group.create_task(parts.matcher.run(parts.database_is_newer), name="database")
            group.create_task(parts.notifications.run(), name="webhooks")
            if parts.auditing is not None:
                group.create_task(parts.auditing.work(), name="auditing")
            if parts.collecting is not None:
                parts.working.append(group.create_task(parts.collecting.work(), name="nodes"))
            if parts.components is not None:
                parts.components.listen()
            for controller in parts.controllers:
                parts.working.append(group.create_task(controller.run(), name=controller.name))

    def _build(self, api: Api, discovery: Discovery) -> _Parts:
        settings, clock = self._settings, self._clock
        selection = build_selection(settings)
        view = View(
            api,
            discovery,
            operator_namespace=settings.operator.namespace,
            watched_namespaces=selection.namespaces.watched,
            jobs_everywhere=settings.scan_job.in_workload_namespace,
            collector_namespace=CollectorPlace.of(settings).namespace if _collects(settings) else None,
            report_labels=settings.reports.resource_labels,
            clock=clock,
            metrics=self._informer_metrics,
        )
        usage = Usage()
        scan_queue = WorkQueue[str](clock, rng=self._rng, metrics=self._queue_metrics.of("imagescans"))
        workload_queue = WorkQueue[WorkloadRef](
            clock, rng=self._rng, metrics=self._queue_metrics.of("workloads")
        )
        events = EventRecorder(api, clock=clock, metrics=self._event_metrics)
        targets = Targets(view.listers, view.sole_platform, usage, settings, selection)
        reports = Reports(
            api,
            view,
            budget_bytes=settings.reports.size_budget_bytes,
            clock=clock,
            metrics=self._report_metrics,
        )
        self.health.mention("permissions", reports.denials)
        matcher = Matcher(settings, clock=clock, metrics=self._scan_metrics)
        self.health.mention("database", lambda: matcher.problem)
        scans = ImageScans(
            api,
            view,
            targets,
            Delivery(view, reports, settings=settings, options=build_options(settings), clock=clock),
            Results(api, settings),
            ScanJobs(api, view, settings),
            matcher,
            settings=settings,
            settings_hash=settings_hash(settings),
            queue=scan_queue,
            clock=clock,
            rng=self._rng,
            events=events,
            metrics=self._scan_metrics,
        )
        workloads = Workloads(api, view, usage, targets, reports, scans, workload_queue, clock)
        ScanCollector(self.registry, view, usage, scans.slots)
        reading = self._build_series(api, view)
        controllers: tuple[Controller[Any], ...] = (
            self._controller("workloads", workloads.reconcile, workload_queue, workloads.all),
            self._controller("imagescans", scans.reconcile, scan_queue, scans.names),
        )
        components = self._build_components(api, discovery, view, reports, matcher, events)
        if components is not None:
            controllers = (*controllers, self._cluster_controller(components))
        auditing = self._build_auditing(api, discovery, view, reports, events)
        collecting = self._build_collecting(api, discovery, view, reports, auditing, events)
        return _Parts(
            view,
            usage,
            events,
            matcher,
            workloads,
            scans,
            controllers,
            reading,
            auditing,
            collecting,
            components,
            self._build_notifications(api, view, events),
        )

    def _build_notifications(self, api: Api, view: View, events: EventRecorder) -> Notifications:
        notifications = Notifications(
            api,
            view,
            self._settings,
            environ=os.environ,
            events=events,
            clock=self._clock,
            rng=self._rng,
            metrics=WebhookMetrics(self.registry),
            informer_metrics=self._informer_metrics,
        )
        self.health.mention("webhooks", notifications.problem)
        return notifications

    def _build_auditing(
        self, api: Api, discovery: Discovery, view: View, reports: Reports, events: EventRecorder
    ) -> Auditing | None:
        if not self._settings.audit.config_audit_enabled:
            return None
        auditing = Auditing(
            api,
            discovery,
            view,
            reports,
            self._settings,
            events=events,
            registry=self.registry,
            informer_metrics=self._informer_metrics,
            queue_metrics=self._queue_metrics,
            controller_metrics=self._controller_metrics,
            clock=self._clock,
            rng=self._rng,
        )
        self.health.require("audits", auditing.waiting_for)
        self.health.mention("audit limits", auditing.limits)
        return auditing

    def _build_collecting(
        self,
        api: Api,
        discovery: Discovery,
        view: View,
        reports: Reports,
        auditing: Auditing | None,
        events: EventRecorder,
    ) -> Collecting | None:
        if auditing is None or not _collects(self._settings):
            return None
        return Collecting(
            api,
            discovery,
            view,
            reports,
            auditing,
            self._settings,
            events=events,
            registry=self.registry,
            queue_metrics=self._queue_metrics,
            controller_metrics=self._controller_metrics,
            clock=self._clock,
            rng=self._rng,
        )

    def _build_components(
        self,
        api: Api,
        discovery: Discovery,
        view: View,
        reports: Reports,
        matcher: Matcher,
        events: EventRecorder,
    ) -> ClusterComponents | None:
        operator = self._settings.operator
        needs = (operator.sbom_generation_enabled, operator.vulnerability_scanner_enabled)
        if not (operator.cluster_components_enabled and all(needs)):
            return None
        queue = WorkQueue[str](self._clock, rng=self._rng, metrics=self._queue_metrics.of(_CLUSTER))
        return ClusterComponents(
            api,
            view,
            discovery,
            reports,
            matcher,
            settings=self._settings,
            options=build_options(self._settings),
            queue=queue,
            clock=self._clock,
            rng=self._rng,
            events=events,
            metrics=ClusterComponentMetrics(self.registry),
        )

    def _cluster_controller(self, components: ClusterComponents) -> Controller[str]:
        return self._controller(_CLUSTER, components.reconcile, components.queue, components.names)

    def _build_series(self, api: Api, view: View) -> Controller[Unread]:
        """Have metrics counted from reports; returns what reads the reports that have to be read."""
        settings = self._settings
        families = wanted_families(settings.metrics)
        labels = ResourceLabels(
            settings.reports.resource_labels, settings.metrics.resource_labels_prefix, ALL_LABELS
        )
        for problem in labels.problems:
            log.warning("setting_odd", problem=problem)
        name = "report-series"
        queue = WorkQueue[Unread](self._clock, rng=self._rng, metrics=self._queue_metrics.of(name))
        reader = SeriesReader(api, view.all_reports, families, queue, self.registry)
        self._series = ReportSeries(
            view.all_reports,
            reader,
            families,
            labels=labels,
            limit=settings.metrics.series_limit,
            merged_roles=settings.audit.merge_rbac_findings,
            active=lambda: self._stage in ("running", "stopping"),
            registry=self.registry,
        )
        return self._controller(name, reader.read, queue, reader.keys)

    def _controller(
        self,
        name: str,
        reconcile: Reconcile[K],
        queue: WorkQueue[K],
        keys: Callable[[], Iterable[K]],
    ) -> Controller[K]:
        operator = self._settings.operator
        return Controller(
            name,
            reconcile,
            operator.workers,
            queue,
            resync_keys=keys,
            resync_seconds=operator.resync_interval_seconds,
            metrics=self._controller_metrics,
            rng=self._rng,
        )


@dataclass(frozen=True, slots=True)
class _Parts:
    """What one run is made of."""

    view: View
    usage: Usage
    events: EventRecorder
    matcher: Matcher
    workloads: Workloads
    scans: ImageScans
    controllers: tuple[Controller[Any], ...]
    reading: Controller[Unread]
    auditing: Auditing | None
    collecting: Collecting | None
    components: ClusterComponents | None
    notifications: Notifications
    working: list[asyncio.Task[None]] = field(default_factory=list[asyncio.Task[None]])

    async def wait_synced(self) -> bool:
        """Wait until it is known what there is; then True."""
        if self.auditing is not None:
            await self.auditing.wait_synced()
        return await self.view.wait_synced()

    def database_is_newer(self) -> None:
        """Have everything matched again that can be."""
        self.scans.look_at_all()
        if self.components is not None:
            self.components.look()

    async def shut_down(self) -> None:
        """Take in no more keys, and wait until the workers have finished what they hold."""
        if self.collecting is not None:
            self.collecting.shut_down()
        if self.auditing is not None:
            self.auditing.shut_down()
        for controller in self.controllers:
            controller.queue.shut_down(drain=False)
        if self.working:
            await asyncio.wait(self.working)


def _collects(settings: Settings) -> bool:
    """Whether nodes are read."""
    return settings.audit.config_audit_enabled and settings.audit.infra_assessment_enabled


async def _unless(stop: asyncio.Event, work: Coroutine[Any, Any, T]) -> T | None:
    """Do `work`, unless `stop` comes first; None in that case."""
    doing = asyncio.ensure_future(work)
    stopping = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait((doing, stopping), return_when=asyncio.FIRST_COMPLETED)
        return doing.result() if doing.done() else None
    finally:
        for task in (doing, stopping):
            if not task.done():
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
