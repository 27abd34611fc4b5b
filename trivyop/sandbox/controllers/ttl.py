"""TTL: finished Jobs go when their ``ttlSecondsAfterFinished`` has passed."""

from __future__ import annotations

from datetime import timedelta

from trivyop.kube.resources import JOBS, ObjectKey
from trivyop.sandbox.controllers.cluster import Cluster, enqueue
from trivyop.sandbox.controllers.jobs import finish_time


class JobTtl:
    """The controller."""

    def __init__(self, cluster: Cluster) -> None:
        self.queue = cluster.queue()
        self._cluster = cluster
        self._jobs = cluster.workloads(JOBS)
        self._jobs.add_handler(enqueue(self.queue))

    async def reconcile(self, key: ObjectKey) -> float | None:
        """Delete the Job if it is time; returns how long it may stay."""
        job = self._jobs.store.get(key)
        if job is None or job.deleting:
            return None
        seconds, end = job.spec.get("ttlSecondsAfterFinished"), finish_time(job)
        if seconds is None or end is None:
            return None
        left = (end + timedelta(seconds=int(seconds)) - self._cluster.clock.now()).total_seconds()
        if left > 0:
            return left
        meta = job.metadata
        await self._cluster.api.delete(
            JOBS, key, uid=meta.uid, resource_version=meta.resource_version, propagation="Foreground"
        )
        return None
