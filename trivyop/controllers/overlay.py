"""Overlay: what we wrote, until the informer has observed it.

Between a write's answer and its watch event, the lister has what was before. What is noted here
fills the gap. An event ends it; so does a list that began after the write, also when that list comes without
the object: it is gone, and no event will ever say so.

Promises: nothing noted here outlives its object by more than the informer's next list.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from trivyop.controllers.lister import Lister
from trivyop.kube.resources import ObjectKey

V = TypeVar("V")
M = TypeVar("M")


class Overlay(Generic[V, M]):
    """Values by key, put over a lister."""

    def __init__(
        self,
        lister: Lister[M],
        *,
        lost: Callable[[ObjectKey, V], None],
        catches_up: Callable[[V, M | None, M | None], bool] = lambda _noted, _old, _new: True,
    ) -> None:
        """`lost` is called with what was noted of an object that a list came without.

        `catches_up(noted, old, new)` is whether a change that the lister observes is the noted one; if not,
        it is an older one, on its way when ours was made.
        """
        self._lister = lister
        self._lost = lost
        self._catches_up = catches_up
        self._values: dict[ObjectKey, tuple[V, int]] = {}  # with how many lists had been begun by then
        lister.add_handler(self._observed)
        lister.add_list_handler(self._listed)

    def get(self, key: ObjectKey) -> V | None:
        noted = self._values.get(key)
        return None if noted is None else noted[0]

    def values(self) -> list[V]:
        """All that is noted."""
        return [value for value, _ in self._values.values()]

    def put(self, key: ObjectKey, value: V) -> None:
        """Note down what a write came to, right when it was answered, before anything else is awaited."""
        self._values[key] = (value, self._lister.lists_begun(key))

    def pop(self, key: ObjectKey) -> None:
        """Forget what was noted, if there is something."""
        self._values.pop(key, None)

    def _observed(self, key: ObjectKey, old: M | None, new: M | None) -> None:
        noted = self._values.get(key)
        if noted is not None and self._catches_up(noted[0], old, new):
            del self._values[key]

    def _listed(self) -> None:
        overtaken = [
            (key, value)
            for key, (value, lists) in self._values.items()
            if lists < self._lister.last_list(key)
        ]
        for key, value in overtaken:
            del self._values[key]
            if self._lister.get(key) is None:
                self._lost(key, value)
