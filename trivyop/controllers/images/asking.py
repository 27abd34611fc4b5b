"""Asking: which workloads may lack a report of which scan.

Of an image that runs everywhere, looking at all its workloads each time one comes or goes would be too much;
so only those that ask are looked at. Who asks without need costs one look.

Promises: who asked stays until it lacks nothing or was served; nothing here takes long without giving others
their turn on the event loop.
Not here: what makes a workload ask (`workloads.py`).
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


class Asking:
    """Who asks, by the name of the scan."""

    def __init__(self, targets: Targets, delivery: Delivery) -> None:
        self._targets = targets
        self._delivery = delivery
        self._asking: dict[str, dict[WorkloadRef, None]] = {}  # in order of arrival

    def add(self, scan: str, workload: WorkloadRef) -> None:
        self._asking.setdefault(scan, {})[workload] = None

    def forget(self, scan: str) -> None:
        self._asking.pop(scan, None)

    async def any_lacks(self, scan: str, image: ImageKey, settings_hash: str) -> bool:
        """Whether a workload that asked lacks a current report; who does not counts as served."""
        asking = self._asking.get(scan, {})
        for seen, workload in enumerate(tuple(asking), start=1):
            targets = self._targets.of_workloads(scan, (workload,))
            if any(self._delivery.is_missing(target, image, settings_hash) for target in targets):
                return True
            asking.pop(workload, None)
            if seen % _LOOKED_AT_ONCE == 0:
                await asyncio.sleep(0)
        return False

    @contextmanager
    def serving(self, scan: str) -> Generator[Iterator[Target]]:
        """The containers of all who asked so far, who are served if the block ends well."""
        asking = self._asking.pop(scan, {})
        try:
            yield self._targets.of_workloads(scan, tuple(asking))
        except BaseException:
            self._asking[scan] = asking | self._asking.get(scan, {})
            raise
