"""Slots: how many scan Jobs may run at once, and who gets the next one.

A slot belongs to an image's scan from just before its Job is created until the Job has finished or is
gone; finished Jobs hold none, however long they are kept. Who asks in vain waits in line by priority,
first come first served within one, and is called through `on_free` when its turn may have come; it then
asks again. Plain calls, no await: nothing can come between asking and getting.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable

from trivyop.control.queue import Priority


class Slots:
    """The slots of one kind of Job; `limit` of at least 1."""

    def __init__(self, limit: int, on_free: Callable[[str, Priority], None]) -> None:
        self.limit = limit
        self._on_free = on_free
        self._holders: set[str] = set()
        self._line: list[tuple[Priority, int, str]] = []
        self._place: dict[str, tuple[Priority, int, str]] = {}  # the entry of the line that counts, by name
        self._called: set[str] = set()  # called for a free slot, have not asked again yet
        self._arrivals = itertools.count()

    def __len__(self) -> int:
        return len(self._holders)

    @property
    def waiting(self) -> int:
        return len(self._place)

    def holds(self, name: str) -> bool:
        return name in self._holders

    def acquire(self, name: str, priority: Priority) -> bool:
        """Take a slot for `name` if one is free and nobody better waits; else join the line."""
        if name in self._holders:
            return True
        called = name in self._called
        self._called.discard(name)
        free = self.limit - len(self._holders) - len(self._called)
        if free > 0 and (called or not self._better_waits(priority)):
            self._place.pop(name, None)
            self._holders.add(name)
            return True
        known = self._place.get(name)
        if known is None or priority < known[0]:
            entry = (priority, next(self._arrivals) if known is None else known[1], name)
            self._place[name] = entry
            heapq.heappush(self._line, entry)
        self._call()
        return False

    def hold(self, name: str) -> None:
        """Count a Job that runs already, found at start-up; may exceed the limit."""
        self._holders.add(name)
        self._leave_line(name)

    def release(self, name: str) -> None:
        """Give back the slot of `name`, or its place in line; without either, nothing happens."""
        self._holders.discard(name)
        self._leave_line(name)
        self._call()

    def _leave_line(self, name: str) -> None:
        self._place.pop(name, None)
        self._called.discard(name)

    def _better_waits(self, priority: Priority) -> bool:
        self._drop_stale()
        return bool(self._line) and self._line[0][0] <= priority

    def _call(self) -> None:
        """Call as many of the line as there are free slots."""
        while len(self._holders) + len(self._called) < self.limit:
            self._drop_stale()
            if not self._line:
                return
            priority, _, name = heapq.heappop(self._line)
            del self._place[name]
            self._called.add(name)
            self._on_free(name, priority)

    def _drop_stale(self) -> None:
        while self._line and self._place.get(self._line[0][2]) != self._line[0]:
            heapq.heappop(self._line)
