"""Whether a specification is to be answered now, and why. Pure.

A change of the cluster reaches a status in less than a minute: reading waits ``SETTLE_SECONDS`` for more
changes, and two writes of one status because of changes are ``PAUSE_SECONDS`` apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, NamedTuple

from trivyop.compliance.schedule import Schedule

SETTLE_SECONDS: Final = 10.0
PAUSE_SECONDS: Final = 30.0  # a backlog of audits changes statuses of up to 900 kB all the time


@dataclass(frozen=True, slots=True)
class Inputs:
    """All that decides on answering a specification."""

    now: datetime
    updated: datetime | None  # when the status was written last; None: never
    answered: bool  # the status has an answer to every control, written by us
    current: bool  # it is about the specification as it is
    schedule: Schedule | None  # None: it can not be followed
    differs: bool  # the status says something else than what reports say
    since_written: float | None  # seconds since this process wrote the status; None: it did not
    at_every_change: bool = False  # no pause, and no schedule


class DueReason(StrEnum):
    """Why a specification is answered now, or not."""

    STATUS_MISSING = "status-missing"
    SPEC_CHANGED = "spec-changed"
    SCHEDULED = "scheduled"
    ANSWERS_CHANGED = "answers-changed"
    SETTLING = "settling"
    UP_TO_DATE = "up-to-date"


DUE: Final = (
    DueReason.STATUS_MISSING,
    DueReason.SPEC_CHANGED,
    DueReason.SCHEDULED,
    DueReason.ANSWERS_CHANGED,
)
"""The reasons for answering now."""


class DueDecision(NamedTuple):
    """When to answer: now (0), in some seconds, or not before something changes (None)."""

    seconds: float | None
    reason: DueReason


def decide(inputs: Inputs) -> DueDecision:
    """Answer when a specification is due."""
    if inputs.updated is None or not inputs.answered:
        return DueDecision(0.0, DueReason.STATUS_MISSING)
    if not inputs.current:
        return DueDecision(0.0, DueReason.SPEC_CHANGED)
    until_run = None if inputs.at_every_change else _until_run(inputs)
    if until_run == 0:
        return DueDecision(0.0, DueReason.SCHEDULED)
    if not inputs.differs:
        return DueDecision(until_run, DueReason.UP_TO_DATE)
    pause = 0.0 if inputs.at_every_change or inputs.since_written is None else PAUSE_SECONDS
    wait = max(0.0, pause - (inputs.since_written or 0.0))
    if not wait:
        return DueDecision(0.0, DueReason.ANSWERS_CHANGED)
    return DueDecision(wait if until_run is None else min(wait, until_run), DueReason.SETTLING)


def _until_run(inputs: Inputs) -> float | None:
    """Seconds until the schedule's next time after the last answer; None without a schedule."""
    if inputs.schedule is None or inputs.updated is None:
        return None
    last = min(inputs.updated, inputs.now)  # the clock may have been set back since
    return max(0.0, (inputs.schedule.next_after(last) - inputs.now).total_seconds())
