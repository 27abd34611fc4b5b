"""Auditing in micro-batches: what is due within a moment is audited together.

Starting Trivy costs as much as a dozen resources, so resources that come in within ``WINDOW_SECONDS`` share a
run, up to ``MAX_BATCH`` of them. There is at most one run per core, and with a backlog all cores have one.
Urgent subjects, which a user waits for, never wait for a run of the backlog: if all cores have one, one
of them stands still meanwhile. They wait for other urgent ones only while these have all cores, and for an
engine that is getting ready, together. With nothing to audit, the engine may learn (``learning.py``).

Promises: every ``audit`` ends with an outcome or an ``AuditError``, and one bad resource or policy costs
itself only. Documents of waiting subjects are not held where the caller gives a ``Request``.
Not here: what is due (controllers), who comes together (``lanes.py``), how a failed batch is taken apart
(``splitting.py``), who is told (``hearing.py``).
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import structlog

from trivyop.audit.bundle import ChecksBundle
from trivyop.audit.cores import usable_cores
from trivyop.audit.engine import Engine, Outcome, Subject
from trivyop.audit.hearing import Hearing, Standings
from trivyop.audit.keeper import ChangedHandler, PolicyKeeper, ProblemsHandler
from trivyop.audit.lanes import Lanes, Request, Urgency, Waiting, refuse
from trivyop.audit.learning import Kinds, Learning
from trivyop.audit.metrics import AuditMetrics
from trivyop.audit.policies import Policies, PolicyProblem
from trivyop.audit.splitting import Settlement
from trivyop.control.clock import Clock
from trivyop.report.findings import Severity
from trivyop.settings import Settings
from trivyop.trivy.process import Brake

log = structlog.get_logger(__name__)

WINDOW_SECONDS: Final = 0.2
MAX_BATCH: Final = 500
MAX_URGENT_BATCH: Final = 20  # half a second's worth, so that those who come next do not wait long either
MAX_BATCH_BYTES: Final = 16 * 1024 * 1024
_WORTH_A_PROCESS: Final = 50  # a backlog is not cut into smaller pieces than this to occupy all cores
_FETCHES: Final = 16


@dataclass(slots=True, eq=False)
class _Run:
    """A batch under way."""

    urgent: bool
    gathering: bool = True
    brake: Brake = field(default_factory=Brake)


class Auditor:
    """Audits. ``run`` has to run beside it."""

    def __init__(self, engine: Engine, *, settings: Settings, clock: Clock, metrics: AuditMetrics) -> None:
        self._engine = engine
        self._clock = clock
        self._metrics = metrics
        self._processes = settings.audit.processes or usable_cores()
        wants_bundle = settings.audit.use_builtin_policies
        self._keeper = PolicyKeeper(engine, clock=clock, metrics=metrics, awaits_bundle=wants_bundle)
        self._bundle = (
            ChecksBundle(settings, engine, self._keeper, clock=clock, metrics=metrics)
            if wants_bundle
            else None
        )
        self._standings = Standings(self._keeper, metrics)
        self._lanes = Lanes(self._standings.is_culprit, self._is_learned)
        self._learning = Learning(engine, clock)
        self._checks: tuple[Policies, Mapping[str, Severity]] | None = None
        self._runs: list[_Run] = []
        self._wake = asyncio.Event()
        self._eased = asyncio.Event()  # what holds up runs of the backlog may be over

    @property
    def policies(self) -> Policies:
        """What is evaluated now."""
        return self._keeper.policies

    @property
    def problems(self) -> tuple[PolicyProblem, ...]:
        """Everything wrong with policies, sorted by policy."""
        return self._keeper.problems

    @property
    def version(self) -> str:
        """Version of Trivy; "" until ``wait_ready``."""
        return self._keeper.version

    async def wait_ready(self) -> None:
        """Return once it is known which policies count; needs ``set_policies`` first, if only with None."""
        await self._keeper.wait_ready()

    async def checks(self) -> Mapping[str, Severity]:
        """All checks that are evaluated now, by canonical id, for a run of Trivy; raises ``AuditError``."""
        policies = self._keeper.policies
        if self._checks is None or self._checks[0] != policies:
            self._checks = policies, await self._engine.checks(policies)
        return self._checks[1]

    def policies_hash(self, kind: str) -> str:
        """What the outcome for a resource of this kind depends on, beside the resource, in one word."""
        return self._keeper.hash_for(kind)

    def undecided(self, kind: str) -> bool:
        """Whether a difference in that word alone is no reason to audit anew; see ``PolicyKeeper``."""
        return self._keeper.undecided(kind)

    def set_policies(self, data: Mapping[str, str] | None) -> tuple[PolicyProblem, ...]:
        """Take what the ConfigMap says; comes into force once it was tried. See ``PolicyKeeper``."""
        return self._keeper.set_policies(data)

    def set_cluster_version(self, version: str) -> None:
        """Version of Kubernetes, like "1.36.0"; "" if unknown."""
        self._keeper.set_cluster_version(version)

    def expect(self, kinds: Kinds) -> None:
        """Be prepared for the first object of these kinds."""
        self._learning.expect(kinds)
        self._wake.set()

    def add_handler(self, handler: ChangedHandler) -> None:
        """Have ``handler`` told of kinds to audit anew, None for all."""
        self._keeper.add_handler(handler)

    def add_problem_handler(self, handler: ProblemsHandler) -> None:
        """Have ``handler`` told of all problems of policies whenever they change."""
        self._keeper.add_problem_handler(handler)

    def forget(self, name: str) -> None:
        """The subject is gone: nothing is to be said of it any more."""
        self._standings.forget(name)

    async def audit(self, subject: Subject | Request, *, urgent: bool | Urgency) -> Outcome:
        """Have a subject audited, in its turn. ``AuditError``, or what its fetch raises.

        ``urgent`` as a function is asked until the audit begins, and once it is not, that stays so.
        """
        urgency = urgent if callable(urgent) else lambda: urgent
        answer = asyncio.get_running_loop().create_future()
        waiting = Waiting(subject, self._clock.monotonic(), urgency, answer)
        self._lanes.add(waiting)
        self._count_waiting()
        self._wake.set()
        try:
            return await waiting.answer
        finally:
            waiting.answer.cancel()  # nobody waits any more; without effect on an answer that was given

    async def run(self) -> None:
        """Serve until cancelled. Who waits then is told so by an ``AuditError``."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._keeper.run(), name="audit/policies")
                group.create_task(self._engine.keep_ready(self._clock, self._wake.set), name="audit/standby")
                if self._bundle is not None:
                    group.create_task(self._bundle.run(), name="audit/bundle")
                await self._keeper.wait_ready()
                await self._serve(group)
        finally:
            self._lanes.refuse()

    async def _serve(self, group: asyncio.TaskGroup) -> None:
        while True:
            self._wake.clear()
            pause = self._start_due(group)
            timer = self._clock.call_later(pause, self._wake.set) if pause is not None else None
            try:
                await self._wake.wait()
            finally:
                if timer is not None:
                    timer.cancel()

    def _start_due(self, group: asyncio.TaskGroup) -> float | None:
        """Start what is due, as far as there are cores; seconds until more may be due, None for a wake-up."""
        pauses: list[float] = []
        self._lanes.sort_out()
        if self._lanes.length(urgent=True) or self._lanes.length(urgent=False) > MAX_BATCH:
            self._expect_urgent()
        for urgent in (True, False):
            full = MAX_URGENT_BATCH if urgent else MAX_BATCH
            while self._has_core(urgent=urgent):
                since = self._lanes.since(urgent=urgent)
                if since is None:
                    break
                wait = since + WINDOW_SECONDS - self._clock.monotonic()
                if wait > 0 and self._lanes.length(urgent=urgent) < full:
                    pauses.append(wait)
                    break
                batch = self._lanes.take(self._batch_limit(urgent=urgent), urgent=urgent)
                self._start(group, batch, urgent=urgent)
        if not self._runs and not self._lanes and not self._engine.preparing:
            due = self._learning.due(self._keeper.policies, self._keeper.cluster_version)
            if due == 0:
                self._start_learning(group)
            elif due is not None:
                pauses.append(due)
        self._share_cores()
        self._count_waiting()
        return min(pauses, default=None)

    def _expect_urgent(self) -> None:
        """Who changes something changes more, and a long backlog is when it would have to wait longest."""
        self._engine.prepare(self._keeper.policies, cluster_version=self._keeper.cluster_version)

    def _has_core(self, *, urgent: bool) -> bool:
        if urgent:  # stops runs of the backlog, not other urgent ones
            return not self._engine.preparing and sum(run.urgent for run in self._runs) < self._processes
        busy = len(self._runs) + self._engine.preparing
        return busy < self._processes and not self._lanes.length(urgent=True)

    def _batch_limit(self, *, urgent: bool) -> int:
        if urgent:
            return MAX_URGENT_BATCH
        free = max(1, self._processes - len(self._runs))
        return min(MAX_BATCH, max(_WORTH_A_PROCESS, math.ceil(self._lanes.length(urgent=False) / free)))

    def _is_learned(self, kind: str) -> bool:
        keeper = self._keeper
        return self._engine.is_learned(kind, keeper.policies, cluster_version=keeper.cluster_version)

    def _start(self, group: asyncio.TaskGroup, batch: list[Waiting], *, urgent: bool) -> None:
        if not batch:
            return
        run = _Run(urgent)
        self._runs.append(run)
        self._learning.put_off()
        group.create_task(self._work(run, batch), name="audit/batch")

    def _start_learning(self, group: asyncio.TaskGroup) -> None:
        run = _Run(urgent=False, gathering=False)
        self._runs.append(run)
        group.create_task(self._learn(run), name="audit/learning")

    def _share_cores(self) -> None:
        """Have as many runs of the backlog stand still as it takes for a core for each of the others."""
        room = self._processes - self._engine.preparing - sum(run.urgent for run in self._runs)
        moving = [run for run in self._runs if not run.urgent and not run.brake.pulled]
        still = [run for run in self._runs if not run.urgent and run.brake.pulled]
        for run in moving[: max(0, len(moving) - room)]:
            run.brake.pull()
        for run in still[: max(0, room - len(moving))]:
            run.brake.release()
            self._eased.set()

    async def _work(self, run: _Run, batch: list[Waiting]) -> None:
        try:
            subjects, answers = await self._gather(run, batch)
            run.gathering = False
            self._eased.set()
            if subjects:
                await self._settle(run, subjects, answers)
        finally:
            refuse(batch)
            self._learning.put_off()
            self._end(run)

    async def _learn(self, run: _Run) -> None:
        try:
            await self._learning.learn(self._keeper.policies, self._keeper.cluster_version, run.brake)
        finally:
            self._end(run)

    def _end(self, run: _Run) -> None:
        self._runs.remove(run)
        self._eased.set()
        self._wake.set()

    async def _settle(
        self, run: _Run, subjects: list[Subject], answers: Mapping[str, asyncio.Future[Outcome]]
    ) -> None:
        began = self._clock.monotonic()
        policies = self._keeper.policies
        hearing = Hearing(self._standings, self._keeper, policies, answers)
        settlement = Settlement(
            self._engine,
            policies,
            hearing,
            cluster_version=self._keeper.cluster_version,
            urgent=run.urgent,
            brake=run.brake,
        )
        await settlement.settle(subjects)
        self._metrics.seconds.observe(self._clock.monotonic() - began)
        result = "done" if settlement.whole else "split" if hearing.outcomes else "failed"
        self._metrics.batches.labels(result).inc()
        self._standings.count()

    async def _gather(
        self, run: _Run, batch: list[Waiting]
    ) -> tuple[list[Subject], dict[str, asyncio.Future[Outcome]]]:
        """Documents of a batch; what would be too much goes back to the front of its lane."""
        subjects: list[Subject] = []
        answers: dict[str, asyncio.Future[Outcome]] = {}
        room = MAX_BATCH_BYTES
        left = deque(batch)
        while left and room > 0:
            await self._let_pass(run)
            some = [left.popleft() for _ in range(min(_FETCHES, len(left)))]
            for waiting, subject in zip(
                some, await asyncio.gather(*(one.fetched() for one in some)), strict=True
            ):
                if subject is not None:
                    subjects.append(subject)
                    answers[waiting.name] = waiting.answer
                    room -= len(subject.document)
        batch[:] = [waiting for waiting in batch if waiting.name in answers]
        self._lanes.put_back(left, urgent=run.urgent)
        return subjects, answers

    async def _let_pass(self, run: _Run) -> None:
        """Wait while urgent runs need the core, or the way to the server, that this one would have."""
        while not run.urgent and (
            run.brake.pulled or any(one.urgent and one.gathering for one in self._runs)
        ):
            self._eased.clear()
            await self._eased.wait()

    def _count_waiting(self) -> None:
        self._metrics.waiting.set(len(self._lanes))
