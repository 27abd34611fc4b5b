"""Controller: workers that take keys from a queue and bring each up to date; the one home of retries.

A reconcile returns the seconds until its key needs another look, or None if only an event can call for one.
What it raises decides on the next try: transient errors come back with the key's back-off, or when the server
wishes; terminal ones wait for a change of the object, or the resync; anything else is a bug, loud and slow to
come back. What we may not do comes back within a minute, since no event says that a permission was given: it
is logged once, and costs no request (``kube.permissions``). Running out of files, memory or room on the disk
is transient wherever it strikes.

Promises: one key is in one worker's hands at a time; a failing key harms no other; when ``run`` returns or is
cancelled, all workers have ended.
Not here: what keys mean.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections.abc import Awaitable, Callable, Hashable, Iterable
from typing import Generic, Protocol, TypeVar

import structlog
from prometheus_client import CollectorRegistry, Counter, Histogram
from structlog.contextvars import bound_contextvars

from trivyop.control.clock import Clock
from trivyop.control.queue import Priority, WorkQueue
from trivyop.errors import ForbiddenError, TerminalError, TransientError, renamed_scarcity

log = structlog.get_logger(__name__)

K = TypeVar("K", bound=Hashable)

Reconcile = Callable[[K], Awaitable[float | None]]

_FORBIDDEN_SECONDS = 30.0  # until a key is tried again that needs a permission

_OUTCOMES = ("done", "deferred", "gave_up", "crashed")


class ReconcileObserver(Protocol):
    """Who wants to know how reconciles end."""

    def reconciled(self, controller: str, outcome: str, seconds: float) -> None: ...


class ControllerMetrics:
    """Metrics of controllers; one of these serves all of them."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.total = Counter(
            "trivyop_reconcile_total",
            "Reconciles by how they ended: done, deferred, gave_up, crashed.",
            ["controller", "outcome"],
            registry=registry,
        )
        self.seconds = Histogram(
            "trivyop_reconcile_duration_seconds",
            "Time one reconcile took.",
            ["controller"],
            registry=registry,
        )

    def start(self, controller: str) -> None:
        """Show the series of ``controller`` from the beginning."""
        for outcome in _OUTCOMES:
            self.total.labels(controller, outcome)
        self.seconds.labels(controller)

    def reconciled(self, controller: str, outcome: str, seconds: float) -> None:
        self.total.labels(controller, outcome).inc()
        self.seconds.labels(controller).observe(seconds)


async def work(
    queue: WorkQueue[K],
    reconcile: Reconcile[K],
    *,
    name: str,
    metrics: ReconcileObserver | None = None,
    forbidden: set[K] | None = None,
) -> None:
    """Serve keys until the queue shuts down; the only place that decides on another try.

    `forbidden`: the keys that may not be served, as logged; shared by the workers of a queue.
    """
    known = set[K]() if forbidden is None else forbidden
    worker_id, number = secrets.token_hex(4), 0
    async for key in queue:
        number += 1  # tells this look at the key from the next, and from others at the same time
        with bound_contextvars(controller=name, key=str(key), reconcile_id=f"{worker_id}-{number}"):
            began = time.perf_counter()
            outcome = "canceled"
            try:
                with renamed_scarcity():
                    next_look = await reconcile(key)
            except TransientError as error:
                outcome = "deferred"
                seconds = queue.add_rate_limited(key, at_least=error.retry_after, at_most=error.retry_within)
                log.info("reconcile_deferred", error=str(error), seconds=round(seconds, 1))
            except ForbiddenError as error:
                outcome = "gave_up"
                if key not in known:
                    known.add(key)
                    log.warning("reconcile_gave_up", error=str(error))
                queue.forget(key)
                queue.add_after(key, _FORBIDDEN_SECONDS, Priority.BACKLOG)
            except TerminalError as error:
                outcome = "gave_up"
                log.warning("reconcile_gave_up", error=str(error))
                queue.forget(key)
            except Exception:  # a bug of ours: loud, slow to come back, and no harm to other keys
                outcome = "crashed"
                log.exception("reconcile_crashed")
                queue.add_rate_limited(key)
            else:
                outcome = "done"
                known.discard(key)
                queue.forget(key)
                if next_look is not None:
                    queue.add_after(key, next_look)
            finally:
                queue.done(key)
                if metrics is not None:
                    metrics.reconciled(name, outcome, time.perf_counter() - began)
        await asyncio.sleep(0)  # thousands of keys without a wait must not hold up the event loop


async def resync(
    queue: WorkQueue[K],
    keys: Callable[[], Iterable[K]],
    *,
    clock: Clock,
    every_seconds: float,
    rng: random.Random,
) -> None:
    """Have all ``keys`` looked at about every ``every_seconds``, after everything else; until cancelled.

    It brings back keys that were given up, and heals what a missed event left behind. The period varies by a
    fifth, so that several controllers do not do it together.
    """
    while True:
        await clock.sleep(every_seconds * rng.uniform(0.8, 1.2))
        for key in keys():
            queue.add(key, Priority.BACKLOG)


class Controller(Generic[K]):
    """Some workers on one queue, and their resync."""

    def __init__(
        self,
        name: str,
        reconcile: Reconcile[K],
        workers: int,
        queue: WorkQueue[K],
        *,
        resync_keys: Callable[[], Iterable[K]] | None = None,
        resync_seconds: float = 6 * 3600.0,
        metrics: ControllerMetrics | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self.name = name
        self.queue = queue
        self._reconcile = reconcile
        self._workers = workers
        self._resync_keys = resync_keys
        self._resync_seconds = resync_seconds
        self._metrics = metrics
        self._rng = rng or random.Random()  # noqa: S311 - spreads work, guards nothing
        self._idle = asyncio.Event()
        self._idle.set()
        if metrics is not None:
            metrics.start(name)

    async def run(self) -> None:
        """Serve keys until the queue shuts down and the workers have finished."""
        self._idle.clear()
        try:
            await self._run()
        finally:
            self._idle.set()

    async def drain(self) -> None:
        """Take in no more keys, and wait until the workers have finished what they hold."""
        self.queue.shut_down(drain=False)
        await self._idle.wait()

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as group:
            resyncing = None
            if self._resync_keys is not None:
                resyncing = group.create_task(
                    resync(
                        self.queue,
                        self._resync_keys,
                        clock=self.queue.clock,
                        every_seconds=self._resync_seconds,
                        rng=self._rng,
                    ),
                    name=f"{self.name}/resync",
                )
            forbidden = set[K]()
            async with asyncio.TaskGroup() as workers:
                for n in range(self._workers):
                    worker = work(
                        self.queue,
                        self._reconcile,
                        name=self.name,
                        metrics=self._metrics,
                        forbidden=forbidden,
                    )
                    workers.create_task(worker, name=f"{self.name}/{n}")
            if resyncing is not None:
                resyncing.cancel()
