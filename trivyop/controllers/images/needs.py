"""Needs: which scan each container needs now, and which lost reports are worth a new scan. Pure.

Not here: gathering what is passed in, and acting on the answers (`workloads.py`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from typing import NamedTuple


class NeedReason(Enum):
    """Why a container needs that scan."""

    IMAGE = auto()  # it is the scan of its image
    AWAITS_DIGEST = auto()  # a node may report the digest in a moment
    REFERENCE_AT_WORK = auto()  # the scan by reference has begun; its result may be of that digest


@dataclass(frozen=True, slots=True)
class ContainerInputs:
    """All that decides on the scan of one container."""

    scan: str  # that of its image, as far as that is known now
    before: str | None  # that which it has used so far
    has_digest: bool
    scan_exists: bool
    by_reference: str = ""  # that of the image as written; "" where it makes no difference
    reference_at_work: bool = False
    wait_seconds: float | None = None  # for which a digest is awaited; None: it will not come


class Need(NamedTuple):
    """The scan of one container."""

    scan: str | None  # None: none yet
    reason: NeedReason
    wait_seconds: float | None = None  # until there is another answer


def decide_need(inputs: ContainerInputs) -> Need:
    """Answer which scan a container needs.

    A scan by reference that is at work goes on when the digest becomes known: its result says of which digest
    it is, and where that is the one that runs no other scan is needed.
    """
    wait = inputs.wait_seconds
    if wait is not None and wait > 0:
        # A restart of the workload must not take its reports away, nor one of ours its scan.
        scan = inputs.before or (inputs.scan if inputs.scan_exists else None)
        return Need(scan, NeedReason.AWAITS_DIGEST, wait)
    if inputs.before == inputs.scan or not inputs.has_digest or inputs.scan_exists:
        return Need(inputs.scan, NeedReason.IMAGE)
    if inputs.before not in (None, inputs.by_reference) or not inputs.reference_at_work:
        return Need(inputs.scan, NeedReason.IMAGE)
    return Need(inputs.by_reference, NeedReason.REFERENCE_AT_WORK)


@dataclass(frozen=True, slots=True)
class LostReport:
    """A report that somebody deleted."""

    owner_uid: str
    at: datetime
    due: float  # when its workload would be known to be deleted, too, by the monotonic clock


class LostReports(NamedTuple):
    """What follows from the lost reports of a workload, by container."""

    certain: dict[str, LostReport]  # of which it can be said by now
    missed: dict[str, LostReport]  # those of them that their workload misses


def sort_lost(
    lost: Mapping[str, LostReport], containers: Collection[str], *, uid: str, now: float
) -> LostReports:
    """Tell what somebody deleted from what the cluster collects: the owner of that has gone meanwhile.

    ``containers`` are those of the workload that need a scan, ``uid`` is its own.
    """
    certain = {container: one for container, one in lost.items() if one.due <= now}
    missed = {
        container: one
        for container, one in certain.items()
        if container in containers and one.owner_uid == uid
    }
    return LostReports(certain, missed)
