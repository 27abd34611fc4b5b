"""Durations as Go writes them, which is how users of Kubernetes write them: ``90s``, ``1h30m``, ``24h0m0s``.

Promises: what ``format_duration`` writes, ``parse_duration`` reads as the same number of seconds.
"""

from __future__ import annotations

import re

_DURATION_UNITS = {
    "ns": 1e-9,
    "us": 1e-6,
    "µs": 1e-6,
    "μs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "h": 3600.0,
}
_DURATION_PART = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)")
_DURATION_MAX_SECONDS = 9_223_372_036.0  # 2**63 ns, the longest that Go can express


def parse_duration(text: str) -> float:
    """Seconds of a Go duration such as ``1h30m`` or ``1.5s``; ``ValueError`` for anything else."""
    stripped = text.strip().removeprefix("+")
    if stripped == "0":
        return 0.0
    seconds, position = 0.0, 0
    while position < len(stripped):
        part = _DURATION_PART.match(stripped, position)
        if part is None:
            break
        seconds += float(part[1]) * _DURATION_UNITS[part[2]]
        position = part.end()
    if not stripped or position < len(stripped) or seconds > _DURATION_MAX_SECONDS:
        raise ValueError(f"{text!r} is not a duration such as 90s, 5m or 1h30m")
    return round(seconds, 9)


def format_duration(seconds: float) -> str:
    """Write ``seconds`` as Go prints a duration: ``24h0m0s``, ``5m0s``, ``1.5s``, ``0s``."""
    nanoseconds = round(seconds * 1e9)
    if nanoseconds == 0:
        return "0s"
    if nanoseconds < 1_000_000_000:
        for unit, size in (("ms", 1_000_000), ("µs", 1_000), ("ns", 1)):
            if nanoseconds >= size:
                return f"{_decimal(nanoseconds, size)}{unit}"
    minutes, rest = divmod(nanoseconds, 60_000_000_000)
    hours, minutes = divmod(minutes, 60)
    text = f"{_decimal(rest, 1_000_000_000)}s"
    if hours:
        return f"{hours}h{minutes}m{text}"
    return f"{minutes}m{text}" if minutes else text


def _decimal(value: int, size: int) -> str:
    whole, fraction = divmod(value, size)
    digits = f"{fraction:0{len(str(size)) - 1}d}".rstrip("0") if fraction else ""
    return f"{whole}.{digits}" if digits else str(whole)
