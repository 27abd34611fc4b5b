"""Scan starts: which scans may have a Job now, and what is said of those whose pods do not start.

A pod that is known not to start for some seconds costs its scan the attempt: the scan says why, the Job goes
and its slot is free. The gate of the namespace then lets one scan try for all; that one is waited for longer,
without a slot, since whatever mends the cluster (a person, an autoscaler) may need to see its pod.

Promises: statuses are made here and written by the caller.
Not here: the rules of the gate (``startgates.py``), what the pods say (``controllers.starting``).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from trivyop.control.queue import Priority
from trivyop.controllers.context import ControllerContext
from trivyop.controllers.images.startgates import START_CLASSES, StartGates
from trivyop.controllers.images.targets import Target
from trivyop.controllers.runningjobs import RunningJobs
from trivyop.kube.resources import ObjectKey
from trivyop.scan import state
from trivyop.scan.imagescan import ImageScanStatus, Phase
from trivyop.scan.lifecycle import START_PATIENCE
from trivyop.scan.slots import Slots
from trivyop.trivy.failures import Failure, FailureClass, classify, failure
from trivyop.workload.nodes import ClusterNode


class ScanStarts:
    """The Jobs that run, and the gates before them."""

    def __init__(
        self,
        context: ControllerContext,
        call: Callable[[str, Priority], None],
    ) -> None:
        """`call` has a scan looked at."""
        informers, settings = context.informers, context.settings
        at_once = settings.scan_job.concurrency_limit
        self._informers = informers
        self._settings = settings
        self._gates = StartGates(context.clock, context.rng, at_once, call)
        self._remembered: set[str] = set()
        self.running = RunningJobs(
            informers.scan_jobs,
            informers.scan_pods,
            informers.start_notices,
            Slots(at_once, call),
            context.clock,
            owner_of=lambda job: job.scan,
            changed=lambda scan: call(scan, Priority.USER),
            started=self._gates.started,
            ended=self._gates.made_room,
        )

    def listen(self) -> None:
        """Begin to look at nodes; call it once all stores are filled."""
        self._informers.nodes.add_handler(self._node_changed, replay=False)

    def remember(self, scan: str, status: ImageScanStatus, targets: list[Target]) -> None:
        """Close the gate again for what a former life found out; does so once for each scan."""
        if scan in self._remembered:
            return
        self._remembered.add(scan)
        if targets and _is_kept_from_start(status):
            why = failure(FailureClass(status.reason), status.message)
            self._gates.failed_before(scan, self._namespace(targets), why)

    def lets_through(self, scan: str) -> bool:
        """Whether the scan may start whatever its own back-off says."""
        return self._gates.lets_through(scan)

    def patience(self, scan: str) -> timedelta:
        """How long a pod of the scan may be known not to start."""
        trying = self._gates.is_trying(scan)
        return timedelta(seconds=self._settings.scan_job.start_seconds) if trying else START_PATIENCE

    def may_start(self, scan: str, targets: list[Target], priority: Priority) -> bool:
        """Whether the scan may have a Job; if not, it is called when it may."""
        return self._gates.may_start(scan, self._namespace(targets), priority)

    def held_back(self, status: ImageScanStatus, targets: list[Target]) -> ImageScanStatus:
        """The status of a scan that may not start."""
        why = self._gates.why(self._namespace(targets))
        return status if why is None else state.held_back(status, why)

    def waited_for(
        self, scan: str, status: ImageScanStatus, seconds: float | None
    ) -> tuple[ImageScanStatus, float | None]:
        """The status of a scan whose Job is waited for, and when to look again.

        Others have its slot while its pod is known not to start.
        """
        stuck = self.running.stuck(scan)
        if stuck is None:
            return status, seconds
        left = (START_PATIENCE - stuck.age).total_seconds()
        if left > 0:
            return status, left if seconds is None else min(left, seconds)
        self.running.release_slot(scan)
        return state.unstarted(
            status, classify(reason=stuck.obstacle.reason, message=stuck.obstacle.message)
        ), seconds

    def why_not(self, scan: str, namespace: str) -> Failure:
        """Why the pod of the Job that runs does not start."""
        obstacle = self.running.obstacle(scan)
        if obstacle is None:
            words = f"no pod was made for the scan Job in the namespace {namespace}, and no Event says why"
            return failure(FailureClass.ADMISSION, words)
        return classify(reason=obstacle.reason, message=obstacle.message)

    def failed(self, scan: str, namespace: str, why: Failure) -> None:
        """The pod of the scan did not start."""
        self._gates.failed(scan, namespace, why)

    def refused(self, scan: str, targets: list[Target], why: Failure) -> None:
        """The server did not take the Job of the scan."""
        self._gates.failed(scan, self._namespace(targets), why)

    def is_not_wanted(self, scan: str, status: ImageScanStatus) -> None:
        """The scan has something else to do than to start; one that could not start stays in line."""
        if not _is_kept_from_start(status) or self._gates.lets_through(scan):
            self._gates.leave(scan)

    def leave(self, scan: str) -> None:
        """Nothing wants the scan any more."""
        self._remembered.discard(scan)
        self._gates.leave(scan)

    def _namespace(self, targets: list[Target]) -> str:
        """Where the Job of a scan is made."""
        if self._settings.scan_job.in_workload_namespace and targets:
            return targets[0].workload.key.namespace
        return self._settings.operator.namespace

    def _node_changed(self, _: ObjectKey, old: ClusterNode | None, new: ClusterNode | None) -> None:
        if new is not None and (old is None or _offer(old) != _offer(new)):
            self._gates.nodes_changed()


def _is_kept_from_start(status: ImageScanStatus) -> bool:
    return status.phase is Phase.FAILED and status.reason in START_CLASSES


def _offer(node: ClusterNode) -> object:
    """What decides which pods a node takes."""
    return node.metadata.labels, node.spec
