"""Store: an informer's memory of one kind, and the lister that others read it by.

Promises: what it hands out is shared, so read it and never change it; lists are snapshots, in the order in
which keys first came. Reads and writes are plain, so between two ``await`` the store stands still.
Not here: where the objects come from, and who is notified of changes (``kube.informer``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Generic, Protocol, TypeVar

from trivyop.kube.resources import ObjectKey

V = TypeVar("V")

# Names the values under which an object is to be found.
IndexOf = Callable[[V], Iterable[str]]


class Lister(Protocol[V]):
    """Read side of an informer's store. What it hands out is shared: read it, never change it."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[ObjectKey]: ...

    def get(self, key: ObjectKey) -> V | None: ...

    def keys(self) -> list[ObjectKey]: ...

    def values(self) -> list[V]: ...

    def items(self) -> list[tuple[ObjectKey, V]]: ...

    def by_index(self, name: str, value: str) -> list[V]: ...


class Store(Generic[V]):
    """Objects of one kind by key, and by the values of some indexes."""

    def __init__(self, indexes: Mapping[str, IndexOf[V]] | None = None) -> None:
        self._values: dict[ObjectKey, V] = {}
        self._index_of = dict(indexes or {})
        # Most index values name one object (an owner's uid), so a lone key stands without a set around it.
        self._indexes: dict[str, dict[str, ObjectKey | dict[ObjectKey, None]]] = {
            name: {} for name in self._index_of
        }

    def __len__(self) -> int:
        return len(self._values)

    def __contains__(self, key: ObjectKey) -> bool:
        return key in self._values

    def __iter__(self) -> Iterator[ObjectKey]:
        return iter(self.keys())

    def get(self, key: ObjectKey) -> V | None:
        return self._values.get(key)

    def keys(self) -> list[ObjectKey]:
        return list(self._values)

    def values(self) -> list[V]:
        return list(self._values.values())

    def items(self) -> list[tuple[ObjectKey, V]]:
        return list(self._values.items())

    def keys_by_index(self, name: str, value: str) -> list[ObjectKey]:
        """Keys of the objects for which index ``name``, which has to exist, gave ``value``."""
        entry = self._indexes[name].get(value)
        if entry is None:
            return []
        return [entry] if isinstance(entry, ObjectKey) else list(entry)

    def by_index(self, name: str, value: str) -> list[V]:
        """The objects for which index ``name`` gave ``value``."""
        return [self._values[key] for key in self.keys_by_index(name, value)]

    def index_values(self, name: str) -> list[str]:
        """All values under which index ``name`` knows an object."""
        return list(self._indexes[name])

    def set(self, key: ObjectKey, value: V) -> V | None:
        """Take in an object; returns the one it replaces."""
        old = self._values.get(key)
        if self._index_of:
            self._reindex(key, old, value)
        self._values[key] = value
        return old

    def remove(self, key: ObjectKey) -> V | None:
        """Let an object go; returns it, or None if it was not there."""
        old = self._values.pop(key, None)
        if old is not None and self._index_of:
            self._reindex(key, old, None)
        return old

    def replace(self, values: Mapping[ObjectKey, V]) -> list[tuple[ObjectKey, V | None, V | None]]:
        """Hold exactly ``values`` from now on; returns each difference as key, old and new."""
        if not self._values:
            self._fill(values)
            return [(key, None, new) for key, new in values.items()]
        changes: list[tuple[ObjectKey, V | None, V | None]] = [
            (key, old, None) for key, old in self._values.items() if key not in values
        ]
        changes += [(key, old, new) for key, new in values.items() if (old := self._values.get(key)) != new]
        for key, _, new in changes:
            if new is None:
                self.remove(key)
            else:
                self.set(key, new)
        return changes

    def _fill(self, values: Mapping[ObjectKey, V]) -> None:
        self._values.update(values)
        for name, index_of in self._index_of.items():
            index = self._indexes[name]
            for key, new in values.items():
                for value in index_of(new):
                    _add(index, value, key)

    def _reindex(self, key: ObjectKey, old: V | None, new: V | None) -> None:
        for name, index_of in self._index_of.items():
            index = self._indexes[name]
            before = () if old is None else tuple(index_of(old))
            after = () if new is None else tuple(index_of(new))
            if before == after:
                continue
            for value in set(before).difference(after):
                _drop(index, value, key)
            for value in set(after).difference(before) if before else after:
                _add(index, value, key)


def _add(index: dict[str, ObjectKey | dict[ObjectKey, None]], value: str, key: ObjectKey) -> None:
    entry = index.get(value)
    if entry is None:
        index[value] = key
    elif isinstance(entry, ObjectKey):
        if entry != key:
            index[value] = {entry: None, key: None}
    else:
        entry[key] = None


def _drop(index: dict[str, ObjectKey | dict[ObjectKey, None]], value: str, key: ObjectKey) -> None:
    entry = index[value]
    if isinstance(entry, ObjectKey):
        del index[value]
        return
    del entry[key]
    if not entry:
        del index[value]
