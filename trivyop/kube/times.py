"""Times as the API writes them: RFC 3339 in UTC; "" where there is none.

To the second, except where two things within a second have to be told apart.
"""

from __future__ import annotations

from datetime import UTC, datetime


def parse_time(text: str) -> datetime:
    """Read a time of an object; aware, in UTC. Raises ``ValueError`` for anything else."""
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError(f"time {text!r} has no time zone")
    return time.astimezone(UTC)


def time_or_none(text: str) -> datetime | None:
    """Read a time that may be absent; what people wrote by hand and is no time counts as absent."""
    try:
        return parse_time(text) if text else None
    except (ValueError, OverflowError):  # the latter: year 1 east of Greenwich
        return None


def format_time(time: datetime | None) -> str:
    """Write a time; "" for None."""
    return "" if time is None else time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def format_precise(time: datetime) -> str:
    """Write a time to the microsecond."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
