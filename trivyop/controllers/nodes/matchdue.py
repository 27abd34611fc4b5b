"""Whether the cluster's bill of materials is to be matched now, and why. Pure.

Times are of the monotonic clock, in seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Match:
    """What was matched, and with what."""

    matched: str  # what of the document counts
    database: datetime | None
    at: float


@dataclass(frozen=True, slots=True)
class MatchInputs:
    """All that decides on a match."""

    this: Match  # that which could be made now
    last: Match | None  # that which went well
    tried: Match | None  # that which failed since
    retry_at: float  # when the latter is tried again
    reported: bool  # whether there is a report on this cluster
    refused_until: float  # when a report that was refused may be written again
    ttl_seconds: float | None  # None: a match does not age


class MatchReason(StrEnum):
    """Why a match is due, or not."""

    REPORT_MISSING = "report-missing"
    COMPONENTS_CHANGED = "components-changed"
    NEWER_DATABASE = "newer-database"
    TOO_OLD = "too-old"
    BACKING_OFF = "backing-off"
    UP_TO_DATE = "up-to-date"


class MatchDecision(NamedTuple):
    """When to match: now (0), in some seconds, or not before something changes (None)."""

    seconds: float | None
    reason: MatchReason


def decide_match(inputs: MatchInputs) -> MatchDecision:
    """Answer when to match. A failed match is not tried again before its time with the same database."""
    this, tried = inputs.this, inputs.tried
    due = _due(inputs)
    again = tried is not None and (tried.matched, tried.database) == (this.matched, this.database)
    wait = inputs.retry_at - this.at
    if due.seconds == 0 and again and wait > 0:
        return MatchDecision(wait, MatchReason.BACKING_OFF)
    return due


def _due(inputs: MatchInputs) -> MatchDecision:
    """The same, whatever was tried in vain."""
    this, last = inputs.this, inputs.last
    if not inputs.reported and this.at >= inputs.refused_until:
        return MatchDecision(0.0, MatchReason.REPORT_MISSING)
    if last is None or last.matched != this.matched:
        return MatchDecision(0.0, MatchReason.COMPONENTS_CHANGED)
    if last.database != this.database:
        return MatchDecision(0.0, MatchReason.NEWER_DATABASE)
    if not inputs.ttl_seconds:
        return MatchDecision(None, MatchReason.UP_TO_DATE)
    left = max(0.0, last.at + inputs.ttl_seconds - this.at)
    return MatchDecision(left, MatchReason.UP_TO_DATE if left else MatchReason.TOO_OLD)
