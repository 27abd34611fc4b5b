"""Cluster: the informers that controllers share, and the few ways in which they write.

Promises: one informer a kind, made when a controller first asks for it. A status is written only if it
differs, and only over the version it was computed from. Fan-outs are bounded.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any, TypeVar, cast

from trivyop.control.clock import Clock
from trivyop.control.queue import WorkQueue
from trivyop.kube.client import Api
from trivyop.kube.events import EventRecorder
from trivyop.kube.informer import Informer
from trivyop.kube.resources import NODES, PODS, ObjectKey, Resource
from trivyop.sandbox.changes import Json, merge_patch
from trivyop.sandbox.controllers.objects import Node, Pod, Workload, controller_of

T = TypeVar("T")
Handler = Callable[[ObjectKey, Any, Any], None]

_AT_ONCE = 16  # requests of one reconcile
_BASE_SECONDS = 0.05  # conflicts are common among controllers, and solved by looking again
_MAX_SECONDS = 30.0

BY_CONTROLLER = "controller"
BY_JOB = "job"
JOB_NAME_LABEL = "batch.kubernetes.io/job-name"


class Cluster:
    """What all controllers see."""

    def __init__(self, api: Api, clock: Clock) -> None:
        self.api = api
        self.clock = clock
        self._informers: dict[Resource, Informer[Any]] = {}
        self._owned: list[Informer[Any]] = []
        self._recorders: dict[str, EventRecorder] = {}

    def recorder(self, component: str) -> EventRecorder:
        """What a controller tells people through Events."""
        if component not in self._recorders:
            self._recorders[component] = EventRecorder(self.api, component, clock=self.clock)
        return self._recorders[component]

    @property
    def recorders(self) -> Iterable[EventRecorder]:
        """Those that were asked for; they need to be run."""
        return self._recorders.values()

    @property
    def informers(self) -> Iterable[Informer[Any]]:
        """Those that were asked for; they need to be run."""
        return (*self._informers.values(), *self._owned)

    def own(self, informer: Informer[Any]) -> None:
        """Have an informer run with the others that only one controller reads."""
        self._owned.append(informer)

    def queue(self) -> WorkQueue[Any]:
        """A work queue with the patience that suits a sandbox."""
        return WorkQueue(self.clock, base_seconds=_BASE_SECONDS, max_seconds=_MAX_SECONDS)

    @property
    def pods(self) -> Informer[Pod]:
        """All Pods, indexed by their controller's uid, and by the Job that their labels name."""
        return self._informer(PODS, Pod, {BY_CONTROLLER: _controller_uid, BY_JOB: _job_of})

    @property
    def nodes(self) -> Informer[Node]:
        """All Nodes."""
        return self._informer(NODES, Node, {})

    def workloads(self, resource: Resource) -> Informer[Workload]:
        """All objects of a kind with a spec and a status, indexed by their controller's uid."""
        return self._informer(resource, Workload, {BY_CONTROLLER: _controller_uid})

    def _informer(
        self, resource: Resource, type_: type[T], indexes: dict[str, Callable[[T], Iterable[str]]]
    ) -> Informer[T]:
        if resource not in self._informers:
            self._informers[resource] = Informer(self.api, resource, type_, indexes=indexes)
        return cast("Informer[T]", self._informers[resource])

    async def write_status(
        self,
        resource: Resource,
        before: Workload,
        status: Json,
        annotations: Mapping[str, str] | None = None,
    ) -> None:
        """Make the status of ``before`` be ``status``; ``ConflictError`` if it has changed since.

        ``annotations`` go along with it: written by themselves they would count as a new generation.
        """
        patch = merge_patch(before.status, status)
        have = before.metadata.annotations or {}
        changed = {name: text for name, text in (annotations or {}).items() if have.get(name) != text}
        if patch or changed:
            meta: Json = {"uid": before.metadata.uid, "resourceVersion": before.metadata.resource_version}
            if changed:
                meta["annotations"] = changed
            body = {"metadata": meta, "status": patch}
            await self.api.patch(resource, before.metadata.key, body, subresource="status")


async def each(actions: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Do these, a few at a time; all are tried, then the first error is raised."""
    gate = asyncio.Semaphore(_AT_ONCE)
    actions = list(actions)

    async def one(action: Coroutine[Any, Any, T]) -> T:
        async with gate:
            return await action

    try:
        results = await asyncio.gather(*(one(action) for action in actions), return_exceptions=True)
    finally:
        for action in actions:
            action.close()  # those that a cancellation kept from beginning
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return cast("list[T]", results)


def enqueue(queue: WorkQueue[ObjectKey]) -> Handler:
    """A handler that queues the object itself."""

    def handler(key: ObjectKey, old: Any, new: Any) -> None:  # noqa: ARG001 - which object, not what happened
        queue.add(key)

    return handler


def enqueue_controller(queue: WorkQueue[ObjectKey], kind: str) -> Handler:
    """A handler that queues the object's controller, the former one too, if it is of ``kind``."""

    def handler(key: ObjectKey, old: Any, new: Any) -> None:
        for value in (old, new):
            owner = controller_of(value.metadata) if value is not None else None
            if owner is not None and owner.kind == kind:
                queue.add(ObjectKey(key.namespace, owner.name))

    return handler


def _controller_uid(value: Any) -> Iterable[str]:
    owner = controller_of(value.metadata)
    return () if owner is None else (owner.uid,)


def _job_of(pod: Pod) -> Iterable[str]:
    name = (pod.metadata.labels or {}).get(JOB_NAME_LABEL)
    return () if name is None else (f"{pod.metadata.namespace}/{name}",)
