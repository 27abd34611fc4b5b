"""Ownership: the graph of owner references, and what garbage collection asks of one object in it. Pure.

An object goes when it had owners and none is left. An owner deleted in the foreground waits (by the finalizer
``foregroundDeletion``) for the dependents that block it; one deleted with orphaning (finalizer ``orphan``)
waits for its dependents to lose their reference to it. An owner is in the namespace of its dependent, or in
none: one with that uid in another namespace is none, so its dependent goes. Whether an owner that is not in
the graph exists is not known here: the caller asks the server and passes the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from trivyop.kube.resources import ObjectKey, Resource
from trivyop.sandbox.controllers.objects import Owner

FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"


@dataclass(frozen=True, slots=True)
class Entry:
    """One object, as far as ownership goes."""

    resource: Resource
    key: ObjectKey
    uid: str
    version: str = ""
    owners: tuple[Owner, ...] = ()
    finalizers: tuple[str, ...] = ()
    deleting: bool = False

    @property
    def waits_for_dependents(self) -> bool:
        return self.deleting and FOREGROUND in self.finalizers

    @property
    def orphans_dependents(self) -> bool:
        return self.deleting and ORPHAN in self.finalizers

    def blocks(self, uid: str) -> bool:
        """Whether a foreground deletion of that owner waits for this."""
        return any(owner.uid == uid and owner.block_owner_deletion for owner in self.owners)


class Graph:
    """All entries by uid, and which depend on which."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self._dependents: dict[str, set[str]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, uid: str) -> Entry | None:
        return self._entries.get(uid)

    def owner(self, entry: Entry, owner: Owner) -> Entry | None:
        """What a reference of the entry leads to, if that may own it and is here."""
        held = self._entries.get(owner.uid)
        return held if held is not None and held.key.namespace in ("", entry.key.namespace) else None

    def put(self, entry: Entry) -> Entry | None:
        """Take in an entry's present state; returns the one before."""
        before = self._entries.get(entry.uid)
        self._unlink(before)
        self._entries[entry.uid] = entry
        for owner in entry.owners:
            self._dependents.setdefault(owner.uid, set()).add(entry.uid)
        return before

    def remove(self, uid: str) -> Entry | None:
        """Forget an object that is gone; its dependents stay, with an owner that is not there."""
        before = self._entries.pop(uid, None)
        self._unlink(before)
        return before

    def dependents(self, uid: str) -> Iterator[Entry]:
        """What names this uid as an owner."""
        for dependent in sorted(self._dependents.get(uid, ())):
            yield self._entries[dependent]

    def _unlink(self, entry: Entry | None) -> None:
        for owner in entry.owners if entry else ():
            dependents = self._dependents.get(owner.uid)
            if dependents is not None:
                dependents.discard(entry.uid if entry else "")
                if not dependents:
                    del self._dependents[owner.uid]


@dataclass(frozen=True, slots=True)
class Keep:
    """Nothing to do."""


@dataclass(frozen=True, slots=True)
class DropOwners:
    """Take these owners off the object: they are gone or going, and others are left."""

    uids: frozenset[str]


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete the object."""

    propagation: str


@dataclass(frozen=True, slots=True)
class DropFinalizer:
    """The object's deletion waits for nothing more of ours."""

    finalizer: str


@dataclass(frozen=True, slots=True)
class OrphanDependents:
    """Take the object, as an owner, off these; then its finalizer may go."""

    dependents: tuple[Entry, ...] = field(default=())


Step = Keep | DropOwners | Delete | DropFinalizer | OrphanDependents


def next_step(graph: Graph, entry: Entry, exists: Callable[[Owner], bool]) -> Step:
    """What to do about ``entry`` now; ``exists`` answers for owners that the graph does not hold."""
    if entry.orphans_dependents:
        dependents = tuple(graph.dependents(entry.uid))
        return OrphanDependents(dependents) if dependents else DropFinalizer(ORPHAN)
    if entry.waits_for_dependents:
        blocked = any(dependent.blocks(entry.uid) for dependent in graph.dependents(entry.uid))
        return Keep() if blocked else DropFinalizer(FOREGROUND)
    if entry.deleting or not entry.owners:
        return Keep()

    solid: set[str] = set()
    waiting: set[str] = set()
    for owner in entry.owners:
        held = graph.owner(entry, owner)
        if held is not None and held.waits_for_dependents:
            waiting.add(owner.uid)
        elif held is not None or exists(owner):
            solid.add(owner.uid)
    going = frozenset(owner.uid for owner in entry.owners) - solid
    if solid:
        return DropOwners(going) if going else Keep()
    if waiting and any(True for _ in graph.dependents(entry.uid)):
        return Delete("Foreground")  # its own dependents have to go before the owner may
    if ORPHAN in entry.finalizers:
        return Delete("Orphan")
    return Delete("Foreground" if FOREGROUND in entry.finalizers else "Background")
