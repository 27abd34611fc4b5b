"""Storage: every object's newest revision, and enough of the past to watch and page from.

One revision counter over all buckets; a bucket holds one resource (all its versions). An object is kept
as the JSON it is sent as, without ``kind`` and ``apiVersion``, which depend on who asks; so lists and
watches copy bytes, and nobody can change what is stored by accident.

Promises: all methods are plain calls without waiting, so each is atomic. Keys sort as in etcd. A watcher is
offered each change once, in order.
Not here: what a valid object is, who may write it, and how it is encoded for a client.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

Obj = dict[str, Any]
Fields = Callable[[Obj], Mapping[str, str]]

HISTORY_CHANGES = 20_000  # per bucket
HISTORY_BYTES = 16 << 20  # per bucket; reports can be large
OBJECT_BYTES = 1536 << 10  # what etcd takes


class Stored:
    """One revision of one object; never changes."""

    __slots__ = ("body", "fields", "key", "labels", "name", "namespace", "rv", "uid")

    def __init__(self, obj: Obj, rv: int, fields: Fields) -> None:
        """Encode ``obj`` with resource version ``rv`` (0: none); ``kind`` and ``apiVersion`` are left out."""
        metadata: dict[str, Any] = obj["metadata"] | {"resourceVersion": str(rv)}
        if not rv:
            del metadata["resourceVersion"]
        body = {k: v for k, v in obj.items() if k not in ("kind", "apiVersion", "metadata")}
        self.body = orjson.dumps({"metadata": metadata, **body})
        self.rv = rv
        self.namespace: str = metadata.get("namespace", "")
        self.name: str = metadata["name"]
        self.key = object_key(self.namespace, self.name)
        self.uid: str = metadata.get("uid", "")
        self.labels: Mapping[str, str] = metadata.get("labels") or {}
        self.fields = fields(obj)

    def obj(self) -> Obj:
        """Decode the object; the caller may change what it gets."""
        return orjson.loads(self.body)


@dataclass(slots=True, eq=False)
class Change:
    """One step of history; ``old`` is None for a create, ``new`` for a delete."""

    rv: int
    old: Stored | None
    new: Stored | None
    gone: Stored | None = None  # of a delete: the last state, at the revision of the delete
    lines: dict[Any, bytes] = field(default_factory=dict[Any, bytes])  # encoded events, shared by watchers


Watcher = Callable[[Change], None]


def object_key(namespace: str, name: str) -> str:
    """Return the key under which an object sorts within its bucket."""
    return f"{namespace}/{name}" if namespace else name


class Bucket:
    """All objects of one resource."""

    def __init__(self, storage: Storage, fields: Fields) -> None:
        self._storage = storage
        self._fields = fields
        self._objects: dict[str, Stored] = {}
        self._order: list[str] = []
        self._history: deque[Change] = deque()
        self._history_bytes = 0
        self._floor = storage.rv  # changes up to here are forgotten
        self.watchers: set[Watcher] = set()
        self.closers: set[Callable[[], None]] = set()  # what ends the watches of clients

    def __len__(self) -> int:
        return len(self._objects)

    def __iter__(self) -> Iterator[Stored]:
        return map(self._objects.__getitem__, self._order)

    @property
    def floor(self) -> int:
        """The oldest resource version from which watches and exact lists are possible."""
        return max(self._floor, min(self._storage.compacted, self._storage.rv))

    def get(self, namespace: str, name: str) -> Stored | None:
        """Return the newest revision."""
        return self._objects.get(object_key(namespace, name))

    def list(self, namespace: str = "", after: str = "") -> list[Stored]:
        """Return what is in ``namespace`` (empty: in all), ordered by key, from the first past ``after``."""
        start, end = 0, len(self._order)
        if namespace:
            start = bisect_left(self._order, f"{namespace}/")
            end = bisect_left(self._order, f"{namespace}0")  # "0" follows "/"
        if after:
            start = max(start, bisect_left(self._order, after + "\0"))
        return [self._objects[key] for key in self._order[start:end]]

    def list_at(self, rv: int, namespace: str = "", after: str = "") -> list[Stored]:
        """Return what ``list`` would have returned at ``rv``, which must not be below ``floor``."""
        if not self._history or self._history[-1].rv <= rv:
            return self.list(namespace, after)
        objects = dict(self._objects)
        for change in reversed(self._history):
            if change.rv <= rv:
                break
            state = change.new or change.old
            if state is None:
                continue
            if change.old is None:
                del objects[state.key]
            else:
                objects[state.key] = change.old
        inside = (s for s in objects.values() if not namespace or s.namespace == namespace)
        return sorted((s for s in inside if s.key > after), key=lambda s: s.key)

    def since(self, rv: int) -> list[Change]:
        """Return the changes after ``rv``, which must not be below ``floor``."""
        newer: list[Change] = []
        for change in reversed(self._history):
            if change.rv <= rv:
                break
            newer.append(change)
        newer.reverse()
        return newer

    def put(self, obj: Obj) -> Stored:
        """Store a new object or a new revision of one; raises ``ValueError`` if it is too large."""
        stored = Stored(obj, self._storage.rv + 1, self._fields)
        if len(stored.body) > OBJECT_BYTES:
            raise ValueError("etcdserver: request is too large")
        self._storage.next_rv()
        old = self._objects.get(stored.key)
        if old is None:
            insort(self._order, stored.key)
        self._objects[stored.key] = stored
        self._record(Change(stored.rv, old, stored))
        return stored

    def preview(self, obj: Obj, rv: int) -> Stored:
        """Encode as ``put`` would, without storing; ``rv`` 0 means none."""
        return Stored(obj, rv, self._fields)

    def select_by(self, fields: Fields) -> None:
        """Read other fields off the objects from now on, those that are here included."""
        self._fields = fields
        for stored in self._objects.values():
            stored.fields = fields(stored.obj())

    def close_watches(self) -> None:
        """End all watches of clients."""
        for close in tuple(self.closers):
            close()

    def remove(self, stored: Stored) -> Stored:
        """Remove an object; returns its last state at the revision of the removal."""
        del self._objects[stored.key]
        del self._order[bisect_left(self._order, stored.key)]
        gone = Stored(stored.obj(), self._storage.next_rv(), self._fields)
        self._record(Change(gone.rv, stored, None, gone))
        return gone

    def state(self) -> dict[str, Stored]:
        """Return the objects by key, for a snapshot."""
        return dict(self._objects)

    def restore(self, objects: Mapping[str, Stored]) -> None:
        """Go back to an earlier state. The past is forgotten: nobody can watch or page across this."""
        self._objects = dict(objects)
        self._order = sorted(objects)
        self._history.clear()
        self._history_bytes = 0
        self._floor = self._storage.rv
        self.close_watches()

    def _record(self, change: Change) -> None:
        history = self._history
        history.append(change)
        self._history_bytes += _size(change)
        while len(history) > HISTORY_CHANGES or (self._history_bytes > HISTORY_BYTES and len(history) > 1):
            forgotten = history.popleft()
            self._history_bytes -= _size(forgotten)
            self._floor = forgotten.rv
        for watcher in tuple(self.watchers):
            watcher(change)


def _size(change: Change) -> int:
    state = change.new or change.gone
    return len(state.body) if state else 0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All objects at one revision."""

    rv: int
    objects: Mapping[tuple[str, str], Mapping[str, Stored]]


class Storage:
    """The buckets and the revision counter they share."""

    def __init__(self) -> None:
        self.rv = 1
        self.compacted = 0
        self._buckets: dict[tuple[str, str], Bucket] = {}

    def next_rv(self) -> int:
        """Count a write."""
        self.rv += 1
        return self.rv

    def bucket(self, group: str, plural: str, fields: Fields) -> Bucket:
        """Return the bucket of a resource; ``fields`` (for field selectors) counts when it is made."""
        try:
            return self._buckets[group, plural]
        except KeyError:
            return self._buckets.setdefault((group, plural), Bucket(self, fields))

    def buckets(self) -> Iterator[tuple[tuple[str, str], Bucket]]:
        """Return all buckets by (group, plural)."""
        return iter(tuple(self._buckets.items()))

    def compact(self) -> None:
        """Forget history up to now: older watches, exact lists and continue tokens expire."""
        self.compacted = self.rv

    def snapshot(self) -> Snapshot:
        """Return all objects as they are."""
        return Snapshot(self.rv, {name: bucket.state() for name, bucket in self._buckets.items()})

    def restore(self, snapshot: Snapshot, *, rewind: bool = False) -> None:
        """Go back to ``snapshot``, as a restored backup does.

        With ``rewind`` the revision counter goes back too: revisions that clients have seen come again, with
        other contents.
        """
        self.rv = snapshot.rv if rewind else self.rv + 1
        for name, bucket in self._buckets.items():
            bucket.restore(snapshot.objects.get(name, {}))
