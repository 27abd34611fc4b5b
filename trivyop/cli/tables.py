"""Tables as kubectl prints them: columns as wide as they need to be, two or more blanks between."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def show_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Lay out a table; every row has as many cells as the header. No trailing blanks."""
    lines = [tuple(header), *(tuple(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    return "\n".join(
        "   ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def show_count(count: int, noun: str) -> str:
    """``1 scan``, ``2 scans``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def show_duration(seconds: float) -> str:
    """A duration as kubectl shows ages: ``42s``, ``5m``, ``3h12m``, ``4d``."""
    seconds = max(0, int(seconds))
    if seconds < 120:
        return f"{seconds}s"
    minutes = seconds // 60
    if minutes < 120:
        return f"{minutes}m"
    hours, minutes = divmod(minutes, 60)
    if hours < 10:
        return f"{hours}h{minutes}m" if minutes else f"{hours}h"
    return f"{hours}h" if hours < 48 else f"{hours // 24}d"
