"""Lineages: what was told last of each workload, whatever revision of it, for who is told of workloads.

A rollout makes a report of its own, of which nothing was told yet. Compared with what was told of the
revision before it, it has few new findings or none.

Promises: takes at most about ``max_bytes``; what was told longest ago goes first. What is forgotten, at a
restart all of it, costs a repetition: the next rollout is told as if it were a new workload.
"""

from __future__ import annotations

from typing import Final

MAX_BYTES: Final = 8_000_000  # 10,000 containers with 130 findings each
_ENTRY_BYTES = 200  # about: the name, and the room in the table


class Lineages:
    """Packed ids of findings by lineage, as ``listing.lineage`` names them."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._size = 0
        self._told: dict[str, bytes] = {}  # in the order of telling

    def get(self, lineage: str) -> bytes | None:
        """What was told last; None if nothing is known."""
        return self._told.get(lineage)

    def put(self, lineage: str, ids: bytes) -> None:
        """Remember what was told now."""
        self._forget(lineage)
        self._told[lineage] = ids
        self._size += len(ids) + _ENTRY_BYTES
        while self._size > self._max_bytes:
            self._forget(next(iter(self._told)))

    def _forget(self, lineage: str) -> None:
        ids = self._told.pop(lineage, None)
        if ids is not None:
            self._size -= len(ids) + _ENTRY_BYTES
