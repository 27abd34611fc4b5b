"""Schedule: when a specification is due.

A schedule is a cron expression of five fields in a time zone, as that of a CronJob is. Times that a change of
the clock skips or repeats are handled as Debian's cron does.

Promises: pure; ``now`` is an argument. A schedule that parsed has a next time.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError


class ScheduleError(ValueError):
    """The schedule can not be followed; ``field`` is the one of ``spec`` to change."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True, slots=True)
class Schedule:
    """A parsed schedule."""

    cron: str
    zone: ZoneInfo

    @classmethod
    def parse(cls, cron: str, time_zone: str = "", *, now: datetime) -> Self:
        """Read a schedule; an empty time zone is UTC. Raises ``ScheduleError``, also if it never fires."""
        try:
            zone = ZoneInfo(time_zone or "UTC")
        except (ZoneInfoNotFoundError, ValueError, OSError):  # the last: a name that is a directory
            raise ScheduleError("timeZone", f"there is no time zone {time_zone!r}") from None
        fields = cron.split()
        if len(fields) != 5:
            raise ScheduleError("cron", f"{cron!r} has {len(fields)} fields, not 5")
        try:
            found = cls(" ".join(fields), zone)
            found.next_after(now)
        except CronSimError as error:
            raise ScheduleError("cron", f"{cron!r} is no schedule: {error}") from None
        except StopIteration:
            raise ScheduleError("cron", f"{cron!r} never fires") from None
        return found

    def next_after(self, moment: datetime) -> datetime:
        """The first time that is due after ``moment``; aware, in UTC."""
        return next(CronSim(self.cron, moment.astimezone(self.zone))).astimezone(UTC)
