"""The operator: everything built once, and run in one tree of tasks.

Order of start: probes, discovery, informers; when all stores are filled, usage is computed for all workloads
at once, so that no scan starts that a report or another workload makes superfluous; then the workers. The
order of stop is the reverse: no new keys, workers finish what they hold, probes last.
"""

from __future__ import annotations

import asyncio
import math
import platform
import random
import socket
import uuid
from collections.abc import Coroutine, Iterator
from contextlib import suppress
from typing import Any, TypeVar

import structlog
from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from trivyop import __version__
from trivyop.app.manager import Manager
from trivyop.control.clock import Clock, SystemClock, WatchedClock
from trivyop.controllers.context import ControllerContext, SharedMetrics
from trivyop.errors import TransientError
from trivyop.kube.client import Api
from trivyop.kube.discovery import Discovery, discover
from trivyop.kube.leader import LeaderElection, LeadershipLostError
from trivyop.kube.resources import IMAGESCANS, ObjectKey, Resource
from trivyop.observe.controllerruntime import ControllerRuntimeNames
from trivyop.observe.health import Health
from trivyop.observe.looplag import LoopLag
from trivyop.observe.registry import SteadyRegistry
from trivyop.settings import Settings
from trivyop.trivy.directories import sweep
from trivyop.web.server import serving

T = TypeVar("T")

log = structlog.get_logger(__name__)

_DISCOVERY_RETRY_SECONDS = 5.0
_LAST_EVENTS_SECONDS = 2.0
_CATCH_UP_SECONDS = 1.0  # much longer than an event takes from the API server to here
_STANDING_BY = "standing by"
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
        self._manager: Manager | None = None
        self._election: LeaderElection | None = None
        self.health.require(
            "operator", lambda: None if self._stage in ("running", _STANDING_BY) else self._stage
        )
        self.health.require("informers", self._informer_problems)
        self.health.mention("limits", self._limits)
        self.health.add_note("leader", self._leadership)
        GCCollector(self.registry)
        PlatformCollector(self.registry)
        ProcessCollector(registry=self.registry)
        Gauge(
            "trivyop_build_info",
            "Always 1; the labels are the versions of trivyop and Python.",
            ["version", "python"],
            registry=self.registry,
        ).labels(__version__, platform.python_version()).set(1)
        self._metrics = SharedMetrics(self.registry)
        self._lag = LoopLag(self.registry)
        Gauge(
            "trivyop_leader", "1 while this replica leads, or leader election is off.", registry=self.registry
        ).set_function(lambda: float(self._leads()))
        operator = settings.operator
        ControllerRuntimeNames(
            self.registry,
            self._metrics.controllers,
            self._metrics.queues,
            lease=operator.leader_election_id,
            leads=self._leads if operator.leader_election_enabled else None,
        )

    def register_all(self) -> None:
        """Build all parts and leave it at that, so that the registry has every metric there is."""
        self._build(self._api, Discovery({}))

    def chunks(self) -> Iterator[bytes]:
        """The metrics that are counted from reports."""
        return self._manager.series.chunks() if self._manager is not None else iter(())

    def _leads(self) -> bool:
        if not self._settings.operator.leader_election_enabled:
            return True
        return self._election is not None and self._election.leads

    def _leadership(self) -> str:
        if not self._settings.operator.leader_election_enabled:
            return "leader election is off"
        return "this replica leads" if self._leads() else "another replica leads, or none yet"

    def _informer_problems(self) -> str | None:
        if self._manager is None:
            return "not started"
        waiting = self._manager.informers.waiting_for
        if waiting:
            return "waiting for the first list of " + ", ".join(waiting)
        return "; ".join(self._manager.informers.needs()) or None

    def _limits(self) -> str | None:
        return "; ".join(self._manager.informers.problems()) or None if self._manager is not None else None

    async def run(self, stop: asyncio.Event) -> None:
        """Run until `stop` is set; work in hand that outlasts the drain time is cut short."""
        await asyncio.to_thread(sweep)  # of what one left that was killed; this loads what threads need, too
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
        logged: str | None = None
        while True:
            try:
                discovery = await discover(self._api)
                missing = [resource.name for resource in _NEEDED if not discovery.serves(resource)]
                if not missing:
                    return discovery
                problem = f"the server has no {', '.join(missing)}: apply manifests/crds"
            except TransientError as error:
                problem = str(error)
            if problem != logged:
                log.warning("operator_waits", problem=problem)
                logged = problem
            self._stage = problem
            await self._clock.sleep(_DISCOVERY_RETRY_SECONDS)

    async def _run(self, discovery: Discovery, stop: asyncio.Event) -> None:
        election = self._election = self._build_election()
        api = self._api if election is None else self._api.gated(election.write_gate)
        manager = self._manager = self._build(api, discovery)
        for resource in manager.informers.missing:
            log.warning("kind_missing", kind=resource.name, means="what needs it is off until a restart")
        patience = asyncio.timeout(None)
        try:
            async with patience, asyncio.TaskGroup() as group:
                recording = group.create_task(manager.events.run(), name="events")
                background = [recording, group.create_task(self._lag.run(), name="loop-lag")]
                background += manager.watch(group)
                if await self._ready_to_work(manager, election, stop):
                    if election is not None:
                        background.append(group.create_task(election.keep(), name="leader"))
                    background.append(group.create_task(self._work(manager), name="work"))
                    await stop.wait()
                    self._stage = "stopping"
                    log.info("operator_stopping")
                    drain_seconds = self._settings.operator.drain_seconds
                    patience.reschedule(asyncio.get_running_loop().time() + drain_seconds)
                    await manager.drain()
                    manager.events.stop()
                    await asyncio.wait([recording], timeout=_LAST_EVENTS_SECONDS)
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
        self, manager: Manager, election: LeaderElection | None, stop: asyncio.Event
    ) -> bool:
        """Wait until the stores are filled and it is ours to work; False if asked to stop before."""
        self._stage = "filling the stores"
        impatient = self._clock.call_later(
            self._settings.operator.cache_sync_timeout_seconds or math.inf,
            lambda: log.warning("still_waiting", first_lists_of=manager.informers.waiting_for),
        )
        try:
            if not await _unless(stop, manager.wait_synced()):
                return False
        finally:
            impatient.cancel()
        if election is not None:
            self._stage = _STANDING_BY
            await _unless(stop, election.acquire())
            # what the last leader wrote just before may still be on its way into our stores
            await _unless(stop, self._clock.sleep(_CATCH_UP_SECONDS))
        return not stop.is_set()

    async def _work(self, manager: Manager) -> None:
        """Reconcile until the queues are shut down, then keep the database until cancelled."""
        await manager.start()
        self._stage = "running"
        log.info(
            "operator_running", workloads=len(manager.usage.workloads()), images=len(manager.usage.scans())
        )
        await manager.run()

    def _build(self, api: Api, discovery: Discovery) -> Manager:
        active = ("running", "stopping")
        return Manager(
            ControllerContext(
                api,
                discovery,
                self._settings,
                metrics=self._metrics,
                health=self.health,
                clock=self._clock,
                rng=self._rng,
                active=lambda: self._stage in active,
            )
        )


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
