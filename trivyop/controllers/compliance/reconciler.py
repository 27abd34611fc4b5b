"""Reconciling ClusterComplianceReports: each says what the reports of audits say, and when it is due.

One key stands for reading reports, each other is the name of a specification. They have one worker, so that
an evaluation sees one state of all reports; what changes meanwhile is read next, and looked at again.

Promises: statuses are written when ``due.py`` says so, and only what says anything else. What is wrong with a
specification is in its conditions and an Event; the others go on.
Not here: what controls are answered (``trivyop.compliance``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import orjson
import structlog
from structlog.contextvars import bound_contextvars

from trivyop.compliance.evaluation import Answer, Circumstances, Result, evaluate
from trivyop.compliance.resource import SaidStatus
from trivyop.compliance.specification import Specification, Unreadable
from trivyop.compliance.status import VALID, build_refusal, build_status
from trivyop.control.queue import Priority
from trivyop.controllers.audits.concern import Auditing
from trivyop.controllers.compliance.circumstances import Surroundings
from trivyop.controllers.compliance.due import DUE, SETTLE_SECONDS, Inputs, decide
from trivyop.controllers.compliance.reading import ReportReader
from trivyop.controllers.compliance.specifications import Held, Specifications
from trivyop.controllers.context import ControllerContext
from trivyop.controllers.metrics import ComplianceMetrics
from trivyop.errors import TooLargeError
from trivyop.kube.times import time_or_none

log = structlog.get_logger(__name__)

REPORTS: Final = "/reports"
"""The key of reading; no object has a slash in its name."""
_UNREADABLE: Final = "unreadable"
_SMALLER: Final = 3  # how often a status that the server finds too large is halved


@dataclass(frozen=True, slots=True)
class _Built:
    """A status for the state of the reports at one moment."""

    basis: tuple[int, int, Circumstances]
    said: SaidStatus
    answers: tuple[Answer, ...] = ()

    def count(self, result: Result) -> int:
        return sum(answer.result is result for answer in self.answers)


class ComplianceReconciler:
    """Keeps statuses up to date."""

    def __init__(self, context: ControllerContext, auditing: Auditing | None) -> None:
        self.queue = context.queue("compliance", str)
        self.specifications = Specifications(context, self.queue.add)
        self._reader = ReportReader(context, self._reports_changed)
        self._surroundings = Surroundings(context, auditing)
        self._settings = context.settings.compliance
        self._budget_bytes = context.settings.reports.size_budget_bytes
        self._clock = context.clock
        self._events = context.events
        self._metrics = ComplianceMetrics(context.registry, (*DUE, _UNREADABLE))
        self._reading = False
        self._circumstances: Circumstances | None = None  # None: not all has been read
        self._built: dict[str, _Built] = {}  # by uid: what was built last
        self._written: dict[str, float] = {}  # by uid: when, by the monotonic clock

    def listen(self) -> None:
        """Begin to look at what changes; call it once all stores are filled."""
        self.specifications.listen()

    def keys(self) -> Iterator[str]:
        """All there is to look at, for the resync."""
        yield REPORTS
        yield from self.specifications.names()

    def look_at_all(self) -> None:
        """Answer anew: there are other checks."""
        self.queue.add(REPORTS, Priority.REFRESH)

    def _reports_changed(self) -> None:
        settle = 0.0 if self._settings.invoke_once else SETTLE_SECONDS
        self.queue.add_after(REPORTS, settle)

    async def reconcile(self, key: str) -> float | None:
        """Take the next step for a key; returns seconds until the next look, if time alone calls for one."""
        if key == REPORTS:
            await self._read()
            return None
        held = self.specifications.get(key)
        if held is None:
            self._forget_gone()
            return None
        if isinstance(held.asked, Unreadable):
            await self._refuse(held, held.asked)
            return None
        if self._circumstances is None:
            self.queue.add(REPORTS)  # which has it looked at again
            return None
        return await self._answer(held, held.asked, self._circumstances)

    async def _read(self) -> None:
        if not self._reading:
            if not any(True for _ in self.specifications.names()):
                return  # nobody asks, and reading is not free
            self._reader.listen()
            self._reading = True
        changed = await self._reader.read()
        audited = {one.kind for one in self._reader.findings.audited}
        circumstances = await self._surroundings.gather(audited)
        if changed or circumstances != self._circumstances:
            self._circumstances = circumstances
            for name in self.specifications.names():
                self.queue.add(name, Priority.REFRESH)

    async def _answer(self, held: Held, asked: Specification, circumstances: Circumstances) -> float | None:
        basis = (asked.generation, self._reader.revision, circumstances)
        built = self._built.get(held.uid)
        status: dict[str, Any] | None = None
        if built is None or built.basis != basis:
            built, status = await self._build(held, asked, basis)
        inputs = self._gather(held, asked, built)
        seconds, reason = decide(inputs)
        if seconds != 0:
            return seconds
        with bound_contextvars(because=reason.value):
            await self._write(held, asked, basis, status)
        self._metrics.evaluations.labels(reason.value).inc()
        after = self.specifications.get(held.name)
        return decide(self._gather(after, asked, built)).seconds if after is not None else None

    def _gather(self, held: Held, asked: Specification, built: _Built) -> Inputs:
        """What decides on answering a specification."""
        said = held.said
        written = self._written.get(held.uid)
        return Inputs(
            now=self._clock.now(),
            updated=time_or_none(said.updated),
            answered=said.summary is not None and not said.foreign,
            current=said.observed_generation == asked.generation,
            schedule=asked.schedule,
            differs=(said.answers, said.summary) != (built.said.answers, built.said.summary),
            since_written=None if written is None else self._clock.monotonic() - written,
            at_every_change=self._settings.invoke_once,
        )

    async def _build(
        self,
        held: Held,
        asked: Specification,
        basis: tuple[int, int, Circumstances],
        budget_bytes: int = 0,
    ) -> tuple[_Built, dict[str, Any]]:
        """Answer all controls; in a thread, since a standard may have thousands."""
        answers, status = await asyncio.to_thread(
            self._evaluate, held, asked, basis[2], budget_bytes or self._budget_bytes, self._clock.now()
        )
        built = self._built[held.uid] = _Built(basis, SaidStatus.parse(orjson.dumps(status)), answers)
        return built, status

    def _evaluate(
        self, held: Held, asked: Specification, circumstances: Circumstances, budget_bytes: int, now: datetime
    ) -> tuple[tuple[Answer, ...], dict[str, Any]]:
        findings = self._reader.findings  # which only this worker changes, and it waits
        answers = tuple(evaluate(asked.controls, findings, circumstances))
        status = build_status(
            asked,
            answers,
            findings,
            entries_limit=self._settings.fail_entries_limit,
            budget_bytes=budget_bytes,
            now=now,
            former=held.said.conditions,
        )
        return answers, status

    async def _write(
        self,
        held: Held,
        asked: Specification,
        basis: tuple[int, int, Circumstances],
        status: dict[str, Any] | None,
    ) -> None:
        budget = self._budget_bytes
        for _ in range(_SMALLER):
            if status is None:
                _, status = await self._build(held, asked, basis, budget)
            try:
                await self._send(held, status)
            except TooLargeError as error:
                budget //= 2
                status = None
                log.warning("compliance_status_too_large", next_bytes=budget, error=str(error))
            else:
                return
        _, status = await self._build(held, asked, basis, budget)
        await self._send(held, status)

    async def _send(self, held: Held, status: dict[str, Any]) -> None:
        if not await self.specifications.write(held, status):
            return  # deleted meanwhile
        self._written[held.uid] = self._clock.monotonic()
        built = self._built.get(held.uid)
        if built is not None and built.answers:
            counts = {
                "passed": built.count(Result.PASS),
                "failed": built.count(Result.FAIL),
                "not_evaluated": built.count(Result.NOT_EVALUATED),
            }
            log.info("compliance_evaluated", specification=held.name, **counts)
        self._say_problems(held, SaidStatus.parse(orjson.dumps(status)))

    async def _refuse(self, held: Held, asked: Unreadable) -> None:
        """Say what is wrong with a specification that can not be answered."""
        kept = await self.specifications.read_status(held)
        status = build_refusal(asked, now=self._clock.now(), kept=kept, former=held.said.conditions)
        said = SaidStatus.parse(orjson.dumps(status))
        if (said.observed_generation, said.conditions) == (
            held.said.observed_generation,
            held.said.conditions,
        ):
            return
        self._metrics.evaluations.labels(_UNREADABLE).inc()
        if await self.specifications.write(held, status):
            self._say_problems(held, said)

    def _say_problems(self, held: Held, said: SaidStatus) -> None:
        """Say in an Event and the log what is wrong with a specification, once for each change."""
        now, before = said.condition(VALID), held.said.condition(VALID)
        if now is None or now.status == "True":
            return
        if before is not None and before.message == now.message:
            return
        log.warning("compliance_specification_odd", specification=held.name, problem=now.message)
        self._events.event(held.reference, "Warning", "SpecificationProblem", now.message)

    def _forget_gone(self) -> None:
        there = {held.uid for name in self.specifications.names() if (held := self.specifications.get(name))}
        for kept in (self._built, self._written):
            for uid in kept.keys() - there:
                del kept[uid]
