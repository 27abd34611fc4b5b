"""Filters: which events an endpoint wants to hear of.

Promises: pure; what is wrong with a filter names the endpoint and the key.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from trivyop.notify.events import Event
from trivyop.notify.findings import FindingsDiff


@dataclass(frozen=True, slots=True)
class Filter:
    """What an endpoint wants; the empty one wants everything."""

    @property
    def needs_diff(self) -> bool:
        """Whether ``accepts`` has to know what is new."""
        return False

    @classmethod
    def parse(cls, document: object, *, endpoint: str) -> Self:
        """Read the ``filter`` of an endpoint, decoded YAML; raises ``EndpointError``."""
        raise NotImplementedError

    def accepts(self, event: Event, diff: FindingsDiff | None) -> bool:
        """Whether the endpoint wants to hear of it; ``diff`` is to what it heard before, None: unknown."""
        return True
