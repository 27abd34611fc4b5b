"""Pending requests: which workloads may lack a report of which scan, and whether a change brought that up.

Of an image that runs everywhere, looking at all its workloads each time one comes or goes would be too much;
so only those with a request are looked at. A request without need costs one look.

Promises: a request stays until its workload lacks nothing or was served; nothing here takes long without
giving others their turn on the event loop.
Not here: what makes a workload request a scan (`workloads.py`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Iterator
from contextlib import contextmanager

from trivyop.controllers.images.delivery import Delivery
from trivyop.controllers.images.targets import Target, Targets
from trivyop.workload.images import ImageKey
from trivyop.workload.owners import WorkloadRef

_LOOKED_AT_ONCE = 64  # before others have their turn


class PendingRequests:
    """The workloads with a request, by the name of the scan."""

    def __init__(self, targets: Targets, delivery: Delivery) -> None:
        self._targets = targets
        self._delivery = delivery
        self._requests: dict[str, dict[WorkloadRef, None]] = {}  # in order of arrival
        self._urgent: set[str] = set()

    def add(self, scan: str, workload: WorkloadRef | None, *, urgent: bool = False) -> None:
        """Note a request; `urgent` if a change brought it up, not the backlog of a start."""
        if workload is not None:
            self._requests.setdefault(scan, {})[workload] = None
        if urgent:
            self._urgent.add(scan)

    def is_urgent(self, scan: str) -> bool:
        return scan in self._urgent

    def started(self, scan: str) -> None:
        """The scan has a Job, so nothing about it is urgent any more."""
        self._urgent.discard(scan)

    def forget(self, scan: str) -> None:
        self._requests.pop(scan, None)
        self._urgent.discard(scan)

    async def any_lacks(self, scan: str, image: ImageKey, settings_hash: str) -> bool:
        """Whether a workload with a request lacks a current report; one that does not counts as served."""
        requests = self._requests.get(scan, {})
        for seen, workload in enumerate(tuple(requests), start=1):
            targets = self._targets.of_workloads(scan, (workload,))
            if any(self._delivery.is_missing(target, image, settings_hash) for target in targets):
                return True
            requests.pop(workload, None)
            if seen % _LOOKED_AT_ONCE == 0:
                await asyncio.sleep(0)
        return False

    @contextmanager
    def serving(self, scan: str) -> Generator[Iterator[Target]]:
        """The containers of all requests so far, which are served if the block ends well."""
        requests = self._requests.pop(scan, {})
        try:
            yield self._targets.of_workloads(scan, tuple(requests))
        except BaseException:
            self._requests[scan] = requests | self._requests.get(scan, {})
            raise
