"""Job controller: does what ``jobs.plan`` says, and lets go of Pods whose Job is gone."""

from __future__ import annotations

from collections.abc import Iterable

from trivyop.kube.resources import JOBS, PODS, ObjectKey
from trivyop.sandbox.changes import Json, part
from trivyop.sandbox.controllers.children import PodChildren
from trivyop.sandbox.controllers.cluster import BY_JOB, JOB_NAME_LABEL, Cluster, each, enqueue
from trivyop.sandbox.controllers.jobs import TRACKING, JobPlan, is_ours, plan
from trivyop.sandbox.controllers.objects import Pod, Workload, controller_of
from trivyop.sandbox.controllers.templates import build_pod, owner_reference


class Jobs:
    """The controller."""

    def __init__(self, cluster: Cluster) -> None:
        self.queue = cluster.queue()
        self._cluster = cluster
        self._jobs = cluster.workloads(JOBS)
        self._jobs.add_handler(enqueue(self.queue))
        self._children = PodChildren(cluster, self.queue, JOBS)
        cluster.pods.add_handler(self._pod_changed)

    async def reconcile(self, key: ObjectKey) -> float | None:
        """Take the Job's next step."""
        job = self._jobs.store.get(key)
        labelled = self._cluster.pods.store.by_index(BY_JOB, str(key))
        uid = job.metadata.uid if job is not None and not job.deleting else None
        await self._release(pod for pod in labelled if _controller_uid(pod) != uid)
        if job is None or job.deleting or not is_ours(job):
            return None
        if wait := self._children.wait_seconds(job.metadata):
            return wait
        step = plan(job, self._children.of(job.metadata), self._cluster.clock.now())
        await self._act(job, step)
        return step.look_again_seconds

    async def _act(self, job: Workload, step: JobPlan) -> None:
        await self._children.create(job.metadata, [_build_pod(job) for _ in range(step.create)])
        await self._children.delete(step.delete)
        await self._cluster.write_status(JOBS, job, step.status)
        await self._release(step.release)

    async def _release(self, pods: Iterable[Pod]) -> None:
        """Take the tracking finalizer off."""
        api = self._cluster.api
        held = [pod for pod in pods if TRACKING in pod.metadata.finalizers]
        await each([api.patch(PODS, pod.metadata.key, without_finalizer(pod, TRACKING)) for pod in held])

    def _pod_changed(self, key: ObjectKey, old: Pod | None, new: Pod | None) -> None:
        """A Pod that lost its owner reference is still known by its label."""
        for pod in (old, new):
            name = ((pod.metadata.labels or {}) if pod is not None else {}).get(JOB_NAME_LABEL)
            if name is not None:
                self.queue.add(ObjectKey(key.namespace, name))


def without_finalizer(pod: Pod, finalizer: str) -> Json:
    """The patch that takes it off this very state of the object."""
    return {
        "metadata": {
            "uid": pod.metadata.uid,
            "resourceVersion": pod.metadata.resource_version,
            "finalizers": [name for name in pod.metadata.finalizers if name != finalizer] or None,
        }
    }


def _controller_uid(pod: Pod) -> str:
    owner = controller_of(pod.metadata)
    return owner.uid if owner is not None else ""


def _build_pod(job: Workload) -> Json:
    owner = owner_reference(JOBS.api_version, JOBS.kind, job.metadata)
    return build_pod(part(job.spec, "template"), owner, finalizers=(TRACKING,))
