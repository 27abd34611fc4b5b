"""Usage: which containers of which workloads run which image; both ways round.

The workload reconciler says what a workload runs; the scan reconciler asks who runs an image. Scans go by
the name of their ImageScan. Kept in memory only, and complete once every workload has been looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from trivyop.workload.owners import WorkloadRef


class Use(NamedTuple):
    """One container of one workload."""

    workload: WorkloadRef
    container: str


class Usage:
    """Who uses which scan."""

    def __init__(self) -> None:
        self._scans: dict[WorkloadRef, dict[str, str]] = {}  # container -> scan
        self._uses: dict[str, dict[Use, None]] = {}  # in order of arrival

    def set(self, workload: WorkloadRef, scans: Mapping[str, str]) -> set[str]:
        """Say which scan each container of `workload` needs; returns the scans that lost or won a use."""
        before = self._scans.get(workload, {})
        touched: set[str] = set()
        for container, scan in before.items():
            if scans.get(container) != scan:
                touched.add(scan)
                uses = self._uses[scan]
                del uses[Use(workload, container)]
                if not uses:
                    del self._uses[scan]
        for container, scan in scans.items():
            if before.get(container) != scan:
                touched.add(scan)
                self._uses.setdefault(scan, {})[Use(workload, container)] = None
        if scans:
            self._scans[workload] = dict(scans)
        else:
            self._scans.pop(workload, None)
        return touched

    def remove(self, workload: WorkloadRef) -> set[str]:
        """Forget `workload`; returns the scans that lost a use."""
        return self.set(workload, {})

    def of(self, scan: str) -> tuple[Use, ...]:
        """The containers that need `scan`, first come first."""
        return tuple(self._uses.get(scan, ()))

    def count(self, scan: str) -> int:
        return len(self._uses.get(scan, ()))

    def scans_of(self, workload: WorkloadRef) -> Mapping[str, str]:
        """The scan each container of `workload` needs."""
        return self._scans.get(workload, {})

    def workloads(self) -> tuple[WorkloadRef, ...]:
        return tuple(self._scans)

    def scans(self) -> tuple[str, ...]:
        return tuple(self._uses)
