"""Outcomes of reading nodes, recorded: in the state, the log, metrics, and Events on nodes.

Promises: an outcome is written to the state first, so a restart forgets nothing that was logged.
"""

from __future__ import annotations

import random
from datetime import datetime, timedelta

import structlog

from trivyop.audit.nodes import nodescan
from trivyop.audit.nodes.info import NodeInfo
from trivyop.audit.nodes.lifecycle import Policy, refresh_due
from trivyop.audit.nodes.nodescan import NodeScan, NodeScanStatus
from trivyop.control.clock import Clock
from trivyop.controllers.metrics import NodeMetrics
from trivyop.controllers.nodes.reports import Unmade
from trivyop.controllers.records import Records
from trivyop.kube.events import EventRecorder, ObjectReference
from trivyop.kube.resources import NODES
from trivyop.trivy.failures import Failure, FailureClass
from trivyop.trivy.retries import next_retry
from trivyop.workload.nodes import ClusterNode

log = structlog.get_logger(__name__)


class NodeOutcomes:
    """Records what came of reading nodes."""

    def __init__(
        self,
        records: Records[NodeScan, NodeScanStatus],
        events: EventRecorder,
        metrics: NodeMetrics,
        *,
        retry_after_seconds: float,
        clock: Clock,
        rng: random.Random,
    ) -> None:
        """`retry_after_seconds` is the shortest wait before another try."""
        self._records = records
        self._events = events
        self._metrics = metrics
        self._retry_after_seconds = retry_after_seconds
        self._clock = clock
        self._rng = rng

    async def read(self, name: str, status: NodeScanStatus, info: NodeInfo, policy: Policy) -> None:
        """The node was read."""
        saved = nodescan.collected(status, info, now=self._clock.now())
        await self._records.save(name, nodescan.with_refresh(saved, refresh_due(saved, policy)))
        self._metrics.collections.labels("succeeded").inc()
        log.info("node_collected", node=name, type=info.type)

    async def failed(self, node: ClusterNode, status: NodeScanStatus, why: Failure) -> None:
        """The node could not be read; a time for the next try is found."""
        retry_at, now = self._retry(status, why.failure_class), self._clock.now()
        self._metrics.collections.labels("failed").inc()
        self._metrics.failures.labels(why.failure_class.value).inc()
        await self._record_failure(node, nodescan.failed(status, why, retry_at=retry_at, now=now))

    async def unreported(self, node: ClusterNode, status: NodeScanStatus, why: Unmade) -> None:
        """The node was read, but there is no report on it."""
        retry_at, now = self._retry(status, why.failure_class), self._clock.now()
        saved = nodescan.unaudited(status, why.reason, why.message, retry_at=retry_at, now=now)
        await self._record_failure(node, saved)

    def _retry(self, status: NodeScanStatus, failure_class: FailureClass) -> datetime | None:
        attempts = status.consecutive_failures + 1
        seconds = next_retry(failure_class, attempts, self._rng, at_least_seconds=self._retry_after_seconds)
        return None if seconds is None else self._clock.now() + timedelta(seconds=seconds)

    async def _record_failure(self, node: ClusterNode, status: NodeScanStatus) -> None:
        name = node.metadata.name
        await self._records.save(name, status)
        log.warning(
            "node_scan_failed",
            node=name,
            failure=status.reason,
            message=status.message,
            retry_at=status.next_retry or None,
        )
        note = f"{status.reason}: {status.message}"
        self._events.event(ObjectReference.of(NODES, node.metadata), "Warning", "NodeScanFailed", note)
