"""Garbage collector: deletes what has lost its owners, for every kind the server serves (``ownership``).

It mirrors the metadata of all kinds in one graph, and follows as custom kinds come and go. That an owner is
not in the graph proves nothing, so before something goes, the server is asked for the owner by name.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

import structlog

from trivyop.errors import TerminalError, TransientError
from trivyop.kube.informer import Informer
from trivyop.kube.resources import CRDS, ObjectKey, Resource
from trivyop.sandbox.changes import Json
from trivyop.sandbox.controllers.catalogue import Catalogue, read_catalogue
from trivyop.sandbox.controllers.cluster import Cluster, each
from trivyop.sandbox.controllers.objects import Metadata, Owner
from trivyop.sandbox.controllers.ownership import (
    Delete,
    DropFinalizer,
    DropOwners,
    Entry,
    Graph,
    Keep,
    OrphanDependents,
    next_step,
)

log = structlog.get_logger(__name__)

_REFRESH_SECONDS = 30.0  # for kinds that come without a definition: aggregated APIs


@dataclass(frozen=True, slots=True)
class _Mirror:
    informer: Informer[Metadata]
    task: asyncio.Task[None]


class GarbageCollector:
    """The controller; its queue holds uids."""

    def __init__(self, cluster: Cluster) -> None:
        self.queue = cluster.queue()
        self._cluster = cluster
        self._graph = Graph()
        self._catalogue = Catalogue({})
        self._mirrors: dict[Resource, _Mirror] = {}
        self._kinds_changed = asyncio.Event()
        self._ready = asyncio.Event()
        self._definitions: Informer[Metadata] = Informer(cluster.api, CRDS, Metadata, metadata_only=True)
        self._definitions.add_handler(self._definition_changed)
        cluster.own(self._definitions)

    def _definition_changed(self, key: ObjectKey, old: object, new: object) -> None:  # noqa: ARG002
        self._kinds_changed.set()

    async def follow_kinds(self) -> None:
        """Mirror every kind there is, until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                self._kinds_changed.clear()
                try:
                    await self._refresh(group)
                except (TransientError, TerminalError) as error:
                    log.warning("kinds_unknown", error=str(error))
                timer = self._cluster.clock.call_later(_REFRESH_SECONDS, self._kinds_changed.set)
                try:
                    await self._kinds_changed.wait()
                finally:
                    timer.cancel()

    async def _refresh(self, group: asyncio.TaskGroup) -> None:
        self._catalogue = await read_catalogue(self._cluster.api)
        served = set(self._catalogue.offering("list", "watch", "delete"))
        for resource in [r for r in self._mirrors if r not in served]:
            mirror = self._mirrors.pop(resource)
            mirror.task.cancel()
            for value in mirror.informer.store.values():
                self.forget(value.metadata.uid)
        started: list[Informer[Metadata]] = []
        for resource in served - self._mirrors.keys():
            informer: Informer[Metadata] = Informer(self._cluster.api, resource, Metadata, metadata_only=True)
            informer.add_handler(_Handler(self, resource))
            task = group.create_task(informer.run(), name=f"gc/{resource.name}")
            self._mirrors[resource] = _Mirror(informer, task)
            started.append(informer)
        for informer in started:
            await informer.wait_settled()
        self._ready.set()

    async def reconcile(self, uid: str) -> float | None:
        """Do what ownership asks of one object."""
        await self._ready.wait()  # with half of the graph every other owner would have to be asked for
        entry = self._graph.get(uid)
        if entry is None:
            return None
        answers = {
            owner.uid: await self._exists(entry, owner)
            for owner in entry.owners
            if not entry.deleting and self._graph.owner(entry, owner) is None
        }
        api = self._cluster.api
        match next_step(self._graph, entry, lambda owner: answers.get(owner.uid, True)):
            case Keep():
                pass
            case Delete(propagation):
                await api.delete(
                    entry.resource,
                    entry.key,
                    uid=entry.uid,
                    resource_version=entry.version,
                    propagation=propagation,
                )
            case DropOwners(uids):
                await self._drop_owners(entry, uids)
            case DropFinalizer(finalizer):
                left = [name for name in entry.finalizers if name != finalizer]
                await self._patch(entry, {"finalizers": left or None})
            case OrphanDependents(dependents):
                await each([self._drop_owners(dependent, {uid}) for dependent in dependents])
        return None

    async def _exists(self, entry: Entry, owner: Owner) -> bool:
        resource = self._catalogue.find(owner.api_version, owner.kind)
        if resource is None:
            raise TransientError(f"owner {owner.kind} {owner.name} of {entry.key} is of an unknown kind")
        if resource.namespaced and not entry.key.namespace:
            return True  # such a reference means nothing; nothing is deleted for it
        key = ObjectKey(entry.key.namespace if resource.namespaced else "", owner.name)
        found = await self._cluster.api.get(resource, key, Metadata, metadata_only=True)
        return found is not None and found.metadata.uid == owner.uid

    async def _drop_owners(self, entry: Entry, uids: Iterable[str]) -> None:
        gone = set(uids)
        left = [_to_json(owner) for owner in entry.owners if owner.uid not in gone]
        await self._patch(entry, {"ownerReferences": left or None})

    async def _patch(self, entry: Entry, metadata: Json) -> None:
        body = {"metadata": {"uid": entry.uid, "resourceVersion": entry.version, **metadata}}
        await self._cluster.api.patch(entry.resource, entry.key, body)

    def put(self, entry: Entry) -> None:
        """Take in an object's present state, and queue whom it may concern."""
        before = self._graph.put(entry)
        if entry.owners or entry.deleting:
            self.queue.add(entry.uid)
        if entry.waits_for_dependents and not (before and before.waits_for_dependents):
            self._queue_dependents(entry.uid)
        if before is not None and before.owners != entry.owners:
            self._queue_waiting(before)

    def forget(self, uid: str) -> None:
        """Take in that an object is gone, and queue whom it may concern."""
        before = self._graph.remove(uid)
        if before is not None:
            self._queue_waiting(before)
        self._queue_dependents(uid)

    def _queue_dependents(self, uid: str) -> None:
        for dependent in self._graph.dependents(uid):
            self.queue.add(dependent.uid)

    def _queue_waiting(self, entry: Entry) -> None:
        for owner in entry.owners:
            held = self._graph.get(owner.uid)
            if held is not None and held.deleting:
                self.queue.add(owner.uid)


@dataclass(frozen=True, slots=True)
class _Handler:
    """Puts what an informer tells of one kind into the graph."""

    collector: GarbageCollector
    resource: Resource

    def __call__(self, key: ObjectKey, old: Metadata | None, new: Metadata | None) -> None:
        if old is not None and (new is None or new.metadata.uid != old.metadata.uid):
            self.collector.forget(old.metadata.uid)
        if new is not None:
            meta = new.metadata
            self.collector.put(
                Entry(
                    self.resource,
                    key,
                    meta.uid,
                    meta.resource_version,
                    meta.owner_references,
                    meta.finalizers,
                    deleting=meta.deletion_timestamp is not None,
                )
            )


def _to_json(owner: Owner) -> Json:
    reference: Json = {
        "apiVersion": owner.api_version,
        "kind": owner.kind,
        "name": owner.name,
        "uid": owner.uid,
    }
    if owner.controller:
        reference["controller"] = True
    if owner.block_owner_deletion:
        reference["blockOwnerDeletion"] = True
    return reference
