"""NodeScan: one node to read, as an object of the API; its status is what came of it.

It has the node's name and belongs to it. What the collector said is kept in the status, a few hundred bytes,
so that checks can be evaluated anew (other policies, another Trivy, a report that was deleted) without
another pod on the node.

The functions are pure: each answers with a new status.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec
from msgspec.structs import replace

from trivyop.audit.nodes.eligibility import Skip
from trivyop.audit.nodes.info import NodeInfo, pack, unpack
from trivyop.kube.objects import Object
from trivyop.kube.resources import Resource
from trivyop.kube.times import format_time
from trivyop.report.hashing import compute_hash
from trivyop.trivy.failures import Failure

NODESCANS = Resource("trivyop.dev", "v1alpha1", "nodescans", "NodeScan", namespaced=False)


_AUDIT = "audit-"


class Phase(StrEnum):
    """Where a NodeScan stands."""

    PENDING = "Pending"  # not looked at yet
    QUEUED = "Queued"  # waits for a slot
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    SKIPPED = "Skipped"  # its node is not read, or not now


class _Struct(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    pass


class NodeScanStatus(_Struct, frozen=True, kw_only=True):
    """Times are RFC 3339 in UTC with seconds; "" is absent."""

    phase: Phase = Phase.PENDING
    reason: str = ""  # of a failure: its class; of a skipped node: why
    message: str = ""
    scan_reason: str = ""  # why it is queued, or was read last: a ``lifecycle.Reason``
    attempts: int = 0
    consecutive_failures: int = 0
    last_attempt: str = ""
    last_success: str = ""  # when the node was read
    next_retry: str = ""
    next_refresh: str = ""
    job: str = ""  # the uid of the Job that reads, or read last
    node_type: str = ""
    node_info: str = ""  # packed, see ``info.py``
    info_hash: str = ""

    @property
    def is_read(self) -> bool:
        """Whether there is something to evaluate checks on."""
        return bool(self.node_info and self.last_success)

    @property
    def audit_failed(self) -> bool:
        """Whether the last failure was one of checks or of the report, not of reading the node."""
        return self.consecutive_failures > 0 and self.reason.startswith(_AUDIT)

    @property
    def info(self) -> NodeInfo | None:
        """What the collector said; None if it has not, or if somebody else wrote here."""
        return unpack(self.node_info) if self.node_info else None


class NodeScan(Object, frozen=True, rename="camel", kw_only=True):
    """A NodeScan as informers keep it."""

    status: NodeScanStatus = NodeScanStatus()


def to_document(status: NodeScanStatus) -> dict[str, Any]:
    """The status as the JSON values that the API would send."""
    return {"phase": status.phase.value, **msgspec.json.decode(msgspec.json.encode(status))}


def queued(status: NodeScanStatus) -> NodeScanStatus:
    """It waits for a slot."""
    return replace(status, phase=Phase.QUEUED)


def settled(status: NodeScanStatus) -> NodeScanStatus:
    """It waits for nothing (any more): the phase tells of the last outcome."""
    if status.consecutive_failures:
        return replace(status, phase=Phase.FAILED)
    return replace(
        status, phase=Phase.SUCCEEDED if status.last_success else Phase.PENDING, reason="", message=""
    )


def skipped(status: NodeScanStatus, skip: Skip) -> NodeScanStatus:
    """Its node is not read; what was found before stays, and failures before do not count any more."""
    return replace(
        status,
        phase=Phase.SKIPPED,
        reason=skip.why.value,
        message=skip.message,
        consecutive_failures=0,
        next_retry="",
    )


def attempted(status: NodeScanStatus, *, now: datetime) -> NodeScanStatus:
    """It was tried, and did not get as far as to have a Job."""
    return replace(status, attempts=status.attempts + 1, last_attempt=format_time(now))


def started(status: NodeScanStatus, job: str, *, now: datetime) -> NodeScanStatus:
    """A Job of that uid was made for it."""
    return replace(attempted(status, now=now), phase=Phase.RUNNING, job=job, next_retry="")


def collected(status: NodeScanStatus, info: NodeInfo, *, now: datetime) -> NodeScanStatus:
    """The node was read."""
    packed = pack(info)
    return replace(
        settled(replace(status, consecutive_failures=0, last_success=format_time(now))),
        next_retry="",
        node_type=info.type,
        node_info=packed,
        info_hash=compute_hash(packed),
    )


def with_refresh(status: NodeScanStatus, due: datetime | None) -> NodeScanStatus:
    """What was read is good until then; None: for ever."""
    return replace(status, next_refresh=format_time(due))


def recovered(status: NodeScanStatus) -> NodeScanStatus:
    """What had failed with what was read before went well."""
    return settled(replace(status, consecutive_failures=0, next_retry=""))


def failed(
    status: NodeScanStatus, failure: Failure, *, retry_at: datetime | None, now: datetime
) -> NodeScanStatus:
    """The node could not be read; what was read before stays."""
    return _failed(status, failure.failure_class.value, failure.advice, retry_at, now)


def unaudited(
    status: NodeScanStatus, reason: str, message: str, *, retry_at: datetime | None, now: datetime
) -> NodeScanStatus:
    """The node was read, but the report on it could not be made."""
    return _failed(status, f"{_AUDIT}{reason}", message, retry_at, now)


def _failed(
    status: NodeScanStatus, reason: str, message: str, retry_at: datetime | None, now: datetime
) -> NodeScanStatus:
    return replace(
        status,
        phase=Phase.FAILED,
        reason=reason,
        message=message,
        consecutive_failures=status.consecutive_failures + 1,
        last_attempt=status.last_attempt or format_time(now),
        next_retry=format_time(retry_at),
    )
