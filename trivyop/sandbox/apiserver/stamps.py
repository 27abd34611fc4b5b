"""Stamps: points in time as objects carry them."""

from __future__ import annotations

from datetime import UTC, datetime

from trivyop.kube.times import format_time


def now() -> str:
    """Return the time of now: "2006-01-02T15:04:05Z"."""
    return format_time(datetime.now(UTC))
