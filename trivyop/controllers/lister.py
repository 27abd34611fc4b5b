"""Lister: one kind as the operator sees it, over all namespaces it looks at.

With no target namespaces that is one informer for the whole cluster; with some, one informer for each, so
that permissions in those namespaces are enough. Readers see one store either way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar

from trivyop.kube.informer import Informer
from trivyop.kube.resources import ObjectKey, Resource

V = TypeVar("V")
Handler = Callable[[ObjectKey, V | None, V | None], None]


class Lister(Generic[V]):
    """Read side of one kind; `informers` by namespace, "" for all namespaces."""

    def __init__(self, resource: Resource, informers: dict[str, Informer[V]]) -> None:
        self.resource = resource
        self._informers = informers

    @property
    def informers(self) -> Sequence[Informer[V]]:
        return tuple(self._informers.values())

    @property
    def problem(self) -> str | None:
        """Why the kind can not be watched now, or None."""
        return next((one.problem for one in self._informers.values() if one.problem), None)

    @property
    def missing(self) -> bool:
        """Whether the server does not have the kind (any more)."""
        return not self._informers or any(one.missing for one in self._informers.values())

    def problem_in(self, namespace: str) -> str | None:
        """Why the objects of a namespace can not be watched now, or None."""
        informer = self._informers.get("") or self._informers.get(namespace)
        return None if informer is None else informer.problem

    @property
    def scopes(self) -> tuple[str, ...]:
        """What is watched on its own: namespaces, or "" for all of them."""
        return tuple(self._informers)

    def scope_of(self, namespace: str) -> str:
        """The scope that a namespace is in."""
        return "" if "" in self._informers else namespace

    @property
    def unavailable(self) -> bool:
        """Whether it can not be watched anywhere now."""
        return all(one.problem for one in self._informers.values())

    async def wait_available(self) -> None:
        """Wait until it can be watched somewhere."""
        waiting = [asyncio.ensure_future(one.wait_synced()) for one in self._informers.values()]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waiting:
                one.cancel()

    @property
    def synced(self) -> bool:
        """Whether all that can be listed has been; what may not be read does not hold the others up."""
        return all(one.synced or one.problem for one in self._informers.values())

    def add_handler(self, handler: Handler[V], *, replay: bool = True) -> None:
        """Call `handler` after each change; with `replay` also for what is there, all in one go."""
        for informer in self._informers.values():
            informer.add_handler(handler, replay=replay)

    def add_list_handler(self, handler: Callable[[], None]) -> None:
        """Call `handler` after each list, after all its changes."""
        for informer in self._informers.values():
            informer.add_list_handler(handler)

    def add_recovery_handler(self, handler: Callable[[], None]) -> None:
        """Call `handler` when what could not be watched can be."""
        for informer in self._informers.values():
            informer.add_recovery_handler(handler)

    def lists_begun(self, key: ObjectKey) -> int:
        """How many lists were begun that would have that object; a later one has what is written now."""
        informer = self._informer_of(key)
        return 0 if informer is None else informer.lists_begun

    def last_list(self, key: ObjectKey) -> int:
        """The number of the last such list that came in whole, counting those that were begun; 0: none."""
        informer = self._informer_of(key)
        return 0 if informer is None else informer.last_list

    def get(self, key: ObjectKey) -> V | None:
        informer = self._informer_of(key)
        return None if informer is None else informer.store.get(key)

    def _informer_of(self, key: ObjectKey) -> Informer[V] | None:
        return self._informers.get("") or self._informers.get(key.namespace)

    def by_index(self, index: str, value: str) -> list[V]:
        return [found for one in self._informers.values() for found in one.store.by_index(index, value)]

    def values(self) -> Iterator[V]:
        for informer in self._informers.values():
            yield from informer.store.values()

    def keys(self) -> Iterator[ObjectKey]:
        for informer in self._informers.values():
            yield from informer.store.keys()

    def __len__(self) -> int:
        return sum(len(informer.store) for informer in self._informers.values())
