"""Stamps: points in time as objects carry them."""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> str:
    """Return the time of now: "2006-01-02T15:04:05Z"."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
