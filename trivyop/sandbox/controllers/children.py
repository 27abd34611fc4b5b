"""Children: the Pods of one owner, created and deleted with expectations in mind.

What a controller that makes Pods has in common with every other: see ``expectations`` for why it may have
to wait. A Pod that the server does not take is told of in an Event about the owner, and tried again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from trivyop.control.queue import WorkQueue
from trivyop.errors import AlreadyExistsError, DeniedError, TerminalError, TransientError
from trivyop.kube.events import ObjectReference
from trivyop.kube.resources import PODS, ObjectKey, Resource
from trivyop.sandbox.changes import Json
from trivyop.sandbox.controllers.cluster import BY_CONTROLLER, Cluster, each, enqueue_controller
from trivyop.sandbox.controllers.expectations import Expectations
from trivyop.sandbox.controllers.objects import Meta, Pod, controller_of

_CREATE_AGAIN_SECONDS = 1.0  # and longer each time


class PodChildren:
    """The Pods of all owners of one kind."""

    def __init__(self, cluster: Cluster, queue: WorkQueue[ObjectKey], owners: Resource) -> None:
        self._cluster = cluster
        self._owners = owners
        self._events = cluster.recorder(f"{owners.kind.lower()}-controller")
        self._pods = cluster.pods
        self._expected = Expectations(cluster.clock.monotonic)
        self._pods.add_handler(self._seen)
        self._pods.add_handler(enqueue_controller(queue, owners.kind))

    def of(self, owner: Meta) -> list[Pod]:
        """The Pods that the owner controls, by name."""
        return sorted(self._pods.store.by_index(BY_CONTROLLER, owner.uid), key=lambda pod: pod.metadata.name)

    def wait_seconds(self, owner: Meta) -> float:
        """Not zero: the store lacks Pods that were created; look again when they show, or after this."""
        return self._expected.wait_seconds(owner.uid)

    async def create(self, owner: Meta, bodies: Iterable[Json]) -> None:
        """Create Pods in the owner's namespace."""

        async def create(body: Json) -> None:
            try:
                created = await self._cluster.api.create(PODS, body, namespace=owner.namespace)
            except AlreadyExistsError:
                raise
            except (TerminalError, TransientError) as error:
                said = str(error).partition(": ")[2].partition(" ")[2]  # without the request and the code
                about = ObjectReference(self._owners.api_version, self._owners.kind, owner.key, owner.uid)
                self._events.event(about, "Warning", "FailedCreate", f"Error creating: {said}")
                if isinstance(error, TransientError) and not isinstance(error, DeniedError):
                    raise
                # Admission's words are not told from RBAC's.
                raise TransientError(str(error), retry_after=_CREATE_AGAIN_SECONDS) from error
            meta = created["metadata"]
            if self._pods.store.get(ObjectKey(owner.namespace, meta["name"])) is None:
                self._expected.created(owner.uid, meta["uid"])

        await each([create(body) for body in bodies])

    async def delete(self, pods: Sequence[Pod]) -> None:
        """Delete these very Pods."""
        api = self._cluster.api
        await each(
            [api.delete(PODS, pod.metadata.key, uid=pod.metadata.uid) for pod in pods if not pod.deleting]
        )

    def _seen(self, key: ObjectKey, old: Pod | None, new: Pod | None) -> None:  # noqa: ARG002 - a handler
        for pod in (old, new):
            owner = controller_of(pod.metadata) if pod is not None else None
            if pod is not None and owner is not None:
                self._expected.seen(owner.uid, pod.metadata.uid)


def surplus(pods: Sequence[Pod], count: int) -> list[Pod]:
    """The ``count`` Pods to give up first: not placed, not running, not ready, then the newest."""
    ordered = sorted(pods, key=lambda pod: (pod.metadata.creation_timestamp, pod.metadata.name), reverse=True)
    ordered.sort(key=lambda pod: (bool(pod.spec.node_name), pod.running, pod.ready))
    return ordered[:count]
