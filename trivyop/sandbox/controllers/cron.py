"""Cron: when a five-field schedule is due. Pure.

Fields are minute, hour, day of month, month, day of week, with lists, ranges, steps and English names; also
the ``@hourly`` family. If both days are restricted, either one is enough, as cron has always done it. Times
that a clock change skips are skipped.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self

_MACROS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_MONTH_NAMES = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAY_NAMES = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_MONTHS = {name: n for n, name in enumerate(_MONTH_NAMES, 1)}
_DAYS = {name: n for n, name in enumerate(_DAY_NAMES)}
_HORIZON_DAYS = 366 * 5  # 29 February, and some slack


class ScheduleError(ValueError):
    """The text is no schedule."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """A parsed schedule."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]  # Sunday is 0
    any_day: bool  # the day of month says nothing
    any_weekday: bool

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a schedule; raises ``ScheduleError``."""
        fields = _MACROS.get(text.strip(), text).split()
        if len(fields) != 5:
            raise ScheduleError(f"expected exactly 5 fields, found {len(fields)}: {text!r}")
        minute, hour, day, month, weekday = fields
        return cls(
            minutes=_parse_field(minute, 0, 59, {}),
            hours=_parse_field(hour, 0, 23, {}),
            days=_parse_field(day, 1, 31, {}),
            months=_parse_field(month, 1, 12, _MONTHS),
            weekdays=frozenset(n % 7 for n in _parse_field(weekday, 0, 7, _DAYS)),
            any_day=day.startswith(("*", "?")),
            any_weekday=weekday.startswith(("*", "?")),
        )

    def _on(self, day: datetime) -> bool:
        if day.month not in self.months:
            return False
        by_day = day.day in self.days
        by_weekday = day.isoweekday() % 7 in self.weekdays
        if self.any_day or self.any_weekday:
            return by_day and by_weekday
        return by_day or by_weekday

    def after(self, moment: datetime) -> Iterator[datetime]:
        """The due times later than ``moment``, in its time zone; ends if none comes for years."""
        day = moment.replace(hour=0, minute=0, second=0, microsecond=0)
        idle = 0
        while idle < _HORIZON_DAYS:
            idle += 1
            if self._on(day):
                for hour in sorted(self.hours):
                    for minute in sorted(self.minutes):
                        due = day.replace(hour=hour, minute=minute)
                        if due > moment:
                            idle = 0
                            yield due
            day += timedelta(days=1)


def _parse_field(text: str, low: int, high: int, names: dict[str, int]) -> frozenset[int]:
    values: set[int] = set()
    for part in text.split(","):
        span, slash, step_text = part.partition("/")
        first, dash, last = span.partition("-")
        if span in ("*", "?"):
            start, end = low, high
        else:
            start = _parse_number(first, names, part)
            end = _parse_number(last, names, part) if dash else (high if slash else start)
        step = _parse_number(step_text, {}, part) if slash else 1
        if not (low <= start <= end <= high) or step < 1:
            raise ScheduleError(f"{part!r} is not within {low}-{high}")
        values.update(range(start, end + 1, step))
    return frozenset(values)


def _parse_number(text: str, names: dict[str, int], part: str) -> int:
    if text.isdecimal():
        return int(text)
    try:
        return names[text.lower()]
    except KeyError:
        raise ScheduleError(f"failed to parse {part!r}") from None
