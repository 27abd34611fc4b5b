"""Expectations: children that were created but that the informer does not show yet.

A reconcile that counts children in the store would, right after it created some, count too few and create
more. So a controller notes each child it creates, and looks again only when all of them have been seen (or
``patience_seconds`` have gone by, in case one came and went between two lists). Deletions need no such
thing: the choice of what to delete is deterministic, so choosing again from an old store chooses the same
ones.
"""

from __future__ import annotations

from collections.abc import Callable

PATIENCE_SECONDS = 30.0


class Expectations:
    """Children by owner uid; lives in one controller."""

    def __init__(self, monotonic: Callable[[], float], patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._monotonic = monotonic
        self._patience = patience_seconds
        self._awaited: dict[str, dict[str, float]] = {}

    def created(self, owner_uid: str, child_uid: str) -> None:
        """A create call answered with this child, which the store does not hold yet."""
        self._awaited.setdefault(owner_uid, {})[child_uid] = self._monotonic() + self._patience

    def seen(self, owner_uid: str, child_uid: str) -> None:
        """The informer told of this child, there or gone."""
        awaited = self._awaited.get(owner_uid)
        if awaited is not None:
            awaited.pop(child_uid, None)
            if not awaited:
                del self._awaited[owner_uid]

    def wait_seconds(self, owner_uid: str) -> float:
        """How long to hold back at most; zero if all children were seen."""
        awaited = self._awaited.get(owner_uid)
        if not awaited:
            return 0.0
        left = max(awaited.values()) - self._monotonic()
        if left <= 0:
            del self._awaited[owner_uid]
            return 0.0
        return left
