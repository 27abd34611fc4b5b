"""The operator: everything built once, and run in one tree of tasks.

Order of start: probes, discovery, informers; when all stores are filled, usage is computed for all workloads
at once, so that no scan starts that a report or another workload makes superfluous; then the workers. The
order of stop is the reverse: no new keys, workers finish what they hold, probes last.
"""

from __future__ import annotations

import asyncio
import platform
import random
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

import structlog
from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from trivyop import __version__
from trivyop.control.clock import Clock, SystemClock
from trivyop.control.controller import Controller, ControllerMetrics
from trivyop.control.queue import QueueMetrics, WorkQueue
from trivyop.controllers.delivery import Delivery
from trivyop.controllers.imagescans import ImageScans
from trivyop.controllers.metrics import ReportMetrics, ScanCollector, ScanMetrics
from trivyop.controllers.rematch import Matcher
from trivyop.controllers.reports import Reports
from trivyop.controllers.results import Results
from trivyop.controllers.scanjobs import ScanJobs
from trivyop.controllers.selecting import build_options, build_selection
from trivyop.controllers.targets import Targets
from trivyop.controllers.usage import Usage
from trivyop.controllers.view import View
from trivyop.controllers.workloads import Workloads
from trivyop.errors import TransientError
from trivyop.kube.client import Api
from trivyop.kube.discovery import Discovery, discover
from trivyop.kube.events import EventMetrics, EventRecorder
from trivyop.kube.informer import InformerMetrics
from trivyop.kube.resources import IMAGESCANS, Resource
from trivyop.observe.health import Health
from trivyop.settings import Settings, settings_hash
from trivyop.web.server import serving
from trivyop.workload.owners import WorkloadRef

T = TypeVar("T")

log = structlog.get_logger(__name__)

_DISCOVERY_RETRY_SECONDS = 5.0
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
        self.registry = registry or CollectorRegistry()
        self.health = Health()
        self.urls: dict[str, str] = {}
        self._api = api
        self._settings = settings
        self._clock = clock or SystemClock()
        self._rng = rng or random.Random()  # noqa: S311 - spreads retries, guards nothing
        self._stage = "starting"
        self._view: View | None = None
        self.health.require("operator", lambda: None if self._stage == "running" else self._stage)
        self.health.require("informers", self._informer_problems)
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

    def _informer_problems(self) -> str | None:
        if self._view is None:
            return "not started"
        waiting = self._view.waiting_for
        if waiting:
            return "waiting for the first list of " + ", ".join(waiting)
        return None

    async def run(self, stop: asyncio.Event) -> None:
        """Run until `stop` is set; ``TimeoutError`` if work in hand outlasts the drain time."""
        async with serving(
            self.registry,
            self.health,
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
        settings = self._settings
        selection = build_selection(settings)
        view = self._view = View(
            self._api,
            discovery,
            operator_namespace=settings.operator.namespace,
            watched_namespaces=selection.namespaces.watched,
            jobs_everywhere=settings.scan_job.in_workload_namespace,
            clock=self._clock,
            metrics=self._informer_metrics,
        )
        for resource in view.missing:
            log.warning("kind_missing", kind=resource.name, means="what needs it is off until a restart")
        usage = Usage()
        scan_queue = WorkQueue[str](self._clock, rng=self._rng, metrics=self._queue_metrics.of("imagescans"))
        workload_queue = WorkQueue[WorkloadRef](
            self._clock, rng=self._rng, metrics=self._queue_metrics.of("workloads")
        )
        events = EventRecorder(self._api, clock=self._clock, metrics=self._event_metrics)
        targets = Targets(view.listers, view.sole_platform, usage, settings, selection)
        reports = Reports(
            self._api,
            view,
            budget_bytes=settings.reports.size_budget_bytes,
            clock=self._clock,
            metrics=self._report_metrics,
        )
        delivery = Delivery(
            view, reports, settings=settings, options=build_options(settings), clock=self._clock
        )
        matcher = Matcher(settings, clock=self._clock, metrics=self._scan_metrics)
        scans = ImageScans(
            self._api,
            view,
            usage,
            targets,
            delivery,
            Results(self._api, settings),
            ScanJobs(self._api, view, settings),
            matcher,
            settings=settings,
            settings_hash=settings_hash(settings),
            queue=scan_queue,
            clock=self._clock,
            rng=self._rng,
            events=events,
            metrics=self._scan_metrics,
        )
        workloads = Workloads(self._api, view, usage, targets, reports, scans, workload_queue, self._clock)
        ScanCollector(self.registry, view, usage, scans.slots)
        workload_controller = Controller(
            "workloads",
            workloads.reconcile,
            settings.operator.workers,
            workload_queue,
            resync_keys=workloads.all,
            resync_seconds=settings.operator.resync_interval_seconds,
            metrics=self._controller_metrics,
            rng=self._rng,
        )
        scan_controller = Controller(
            "imagescans",
            scans.reconcile,
            settings.operator.workers,
            scan_queue,
            resync_keys=scans.names,
            resync_seconds=settings.operator.resync_interval_seconds,
            metrics=self._controller_metrics,
            rng=self._rng,
        )
        async with asyncio.timeout(None) as patience, asyncio.TaskGroup() as group:
            background = [
                group.create_task(view.run(), name="view"),
                group.create_task(events.run(), name="events"),
            ]
            self._stage = "filling the stores"
            if await _unless(stop, view.wait_synced()):
                for name, problem in view.problems().items():
                    log.warning("kind_not_readable", kind=name, problem=problem)
                workloads.prime()
                scans.listen()
                workloads.listen()
                self._stage = "running"
                log.info("operator_running", workloads=len(usage.workloads()), images=len(usage.scans()))
                background.append(group.create_task(matcher.run(scans.look_at_all), name="database"))
                group.create_task(workload_controller.run(), name="workloads")
                group.create_task(scan_controller.run(), name="imagescans")
                await stop.wait()
                self._stage = "stopping"
                log.info("operator_stopping")
                patience.reschedule(asyncio.get_running_loop().time() + settings.operator.drain_seconds)
                workload_queue.shut_down(drain=False)
                scan_queue.shut_down(drain=False)
            for task in background:
                task.cancel()


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
