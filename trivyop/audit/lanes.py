"""Lanes: who waits for an audit, in which order, and who can be audited together.

There are two lanes, one for what a user waits for and one for the rest. Whether anybody does is asked again
until the audit begins, because of what arrives in bulk that is not clear at once.

A batch has no name twice, as what a name means may have changed in between; a culprit of an earlier batch is
by itself. An urgent one has nothing that costs the others more time than its own share: a kind whose checks
are not known yet needs a run of its own, so it has a batch of its own.

Promises: per lane, first come is first served, but for those who have to wait for the next batch.
Not here: when a batch begins (``auditor.py``).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from trivyop.audit.engine import AuditError, AuditFailure, Outcome, Subject

Fetch: TypeAlias = Callable[[], Awaitable[bytes]]
Urgency: TypeAlias = Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Request:
    """A subject whose document is fetched when its turn comes; what ``fetch`` raises, ``audit`` raises."""

    name: str
    kind: str
    fetch: Fetch


@dataclass(slots=True, eq=False)
class Waiting:
    """Somebody who waits for the audit of a subject."""

    subject: Subject | Request
    since: float
    urgent: Urgency
    answer: asyncio.Future[Outcome]

    @property
    def name(self) -> str:
        return self.subject.name

    async def fetched(self) -> Subject | None:
        """The subject, if anybody still waits for it; what goes wrong is for who waits."""
        subject = self.subject
        if self.answer.done():
            return None
        if isinstance(subject, Subject):
            return subject
        try:
            return Subject(subject.name, subject.kind, await subject.fetch())
        except Exception as error:  # noqa: BLE001  whatever it is, it is the caller's
            if not self.answer.done():
                self.answer.set_exception(error)
            return None


class Lanes:
    """Those who wait."""

    def __init__(self, is_culprit: Callable[[str], bool], is_learned: Callable[[str], bool]) -> None:
        """By name, whether a subject spoils batches; by kind, whether it can share a run with other kinds."""
        self._is_culprit = is_culprit
        self._is_learned = is_learned
        self._lanes: dict[bool, deque[Waiting]] = {True: deque(), False: deque()}  # by urgency

    def __len__(self) -> int:
        return sum(map(len, self._lanes.values()))

    def add(self, waiting: Waiting) -> None:
        self._lanes[waiting.urgent()].append(waiting)

    def put_back(self, waiting: Sequence[Waiting], *, urgent: bool) -> None:
        """Let them be the first again."""
        self._lanes[urgent].extendleft(reversed(waiting))

    def sort_out(self) -> None:
        """Let those go for whom nobody waits, and move those with whom it is no longer urgent."""
        urgent = self._lanes[True]
        for _ in range(len(urgent)):
            waiting = urgent.popleft()
            if not waiting.answer.done():
                self._lanes[waiting.urgent()].append(waiting)
        backlog = self._lanes[False]
        while backlog and backlog[0].answer.done():
            backlog.popleft()

    def length(self, *, urgent: bool) -> int:
        return len(self._lanes[urgent])

    def since(self, *, urgent: bool) -> float | None:
        """When the first of the lane came, None if it is empty; call ``sort_out`` before."""
        lane = self._lanes[urgent]
        return lane[0].since if lane else None

    def take(self, limit: int, *, urgent: bool) -> list[Waiting]:
        """The next batch."""
        lane = self._lanes[urgent]
        batch: dict[str, Waiting] = {}
        later: list[Waiting] = []
        company = ""
        while lane and len(batch) < limit:
            waiting = lane.popleft()
            if waiting.answer.done():
                continue
            if self._is_culprit(waiting.name):
                if not batch:
                    batch[waiting.name] = waiting
                    break
                later.append(waiting)
                continue
            own = self._company(waiting.subject.kind) if urgent else ""
            if not batch:
                company = own
            if waiting.name in batch or own != company:
                later.append(waiting)
            else:
                batch[waiting.name] = waiting
        self.put_back(later, urgent=urgent)
        return list(batch.values())

    def _company(self, kind: str) -> str:
        """What is equal for kinds that can share a run."""
        return "" if self._is_learned(kind) else kind

    def refuse(self) -> None:
        """Tell all who wait that there will be no audit."""
        for lane in self._lanes.values():
            refuse(lane)
            lane.clear()


def refuse(waiting: Iterable[Waiting]) -> None:
    """Tell those who still wait that the operator is ending."""
    for one in waiting:
        if not one.answer.done():
            one.answer.set_exception(
                AuditError(AuditFailure.SCANNER, "the operator is ending", everyone=True)
            )
