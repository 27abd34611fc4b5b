"""Durations as tables print them: the two largest units while they tell something, then one."""

from __future__ import annotations

from datetime import datetime


def age(moment: str | None, now: datetime) -> str:
    """How long ago an RFC 3339 moment was; ``<unknown>`` without one."""
    if not moment:
        return "<unknown>"
    return shown((now - datetime.fromisoformat(moment)).total_seconds())


def between(start: str, end: str) -> str:
    """How long it was between two moments."""
    return shown((datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds())


def shown(seconds: float) -> str:
    """``59s``, ``5m30s``, ``90m``, ``3h5m``, ``30h``, ``3d4h``, ``90d``, ``3y20d``, ``9y``."""
    whole = int(seconds)
    if whole < -1:
        return "<invalid>"
    minutes, hours, days, years = whole // 60, whole // 3600, whole // 86400, whole // (86400 * 365)
    if whole < 120:
        return f"{max(whole, 0)}s"
    if minutes < 10:
        return _pair(minutes, "m", whole % 60, "s")
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return _pair(hours, "h", minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    if days < 8:
        return _pair(days, "d", hours % 24, "h")
    if years < 2:
        return f"{days}d"
    return _pair(years, "y", days % 365, "d") if years < 8 else f"{years}y"


def _pair(large: int, unit: str, small: int, smaller: str) -> str:
    return f"{large}{unit}{small}{smaller}" if small else f"{large}{unit}"
