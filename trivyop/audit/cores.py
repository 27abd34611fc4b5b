"""How many CPUs this process may use, whatever the machine has.

Promises: at least 1; a container's limit counts (control groups, version 2 and 1), rounded up.
"""

from __future__ import annotations

import math
import os
from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")


def usable_cores(root: Path = _ROOT) -> int:
    """CPUs that this process may use at once."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limit = _limit(root)
    return max(1, cores if limit is None else min(cores, math.ceil(limit)))


def _limit(root: Path) -> float | None:
    try:
        quota, _, period = (root / "cpu.max").read_text().partition(" ")
    except OSError:
        try:
            quota = (root / "cpu/cpu.cfs_quota_us").read_text()
            period = (root / "cpu/cpu.cfs_period_us").read_text()
        except OSError:
            return None
    try:
        limit = int(quota) / int(period)
    except (ValueError, ZeroDivisionError):
        return None  # "max": there is none
    return limit if limit > 0 else None
