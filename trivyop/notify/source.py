"""Source: where the present state is read from; the seam between the fan-out and the cluster.

Not here: the mirrors behind it (``controllers.webhooks.notifications``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Protocol

from trivyop.notify.events import Change, Event, Subject, Verb


class Marker(NamedTuple):
    """What is known of a subject without reading it."""

    uid: str
    content_hash: str  # "": it has to be read to know


class Source(Protocol):
    """The subjects there are, and what is to be told of them now."""

    def marker(self, subject: Subject) -> Marker | None:
        """What there is to tell of; None if there is nothing (any more)."""
        ...

    def certain(self, subject: Subject) -> bool:
        """Whether "nothing" can be believed: the kind can be watched, and was listed."""
        ...

    def batches(self) -> Iterable[Sequence[Subject]]:
        """All subjects there are, some at a time; what changes meanwhile is told otherwise."""
        ...

    async def read(self, subject: Subject) -> Event | None:
        """What is to be told of it; None if it has just gone. Raises transient and terminal errors."""
        ...

    def departed(self, subject: Subject, endpoint: str) -> Change | None:
        """The deletion of it as it was last seen, unless the endpoint has been told, or nobody saw it."""
        ...

    def has_departed(self, subject: Subject, endpoint: str) -> bool:
        """Whether ``departed`` has an answer."""
        ...

    def settled(self, subject: Subject, endpoint: str) -> None:
        """The endpoint need not be told of that deletion (any more)."""
        ...


def deletion(subject: Subject, uid: str, document: dict[str, Any] | None = None) -> Change:
    """The deletion of a report, with what is known of it: at least which one it was."""
    resource, key = subject
    metadata = {"name": key.name, "uid": uid} | ({"namespace": key.namespace} if key.namespace else {})
    identity = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata}
    return Change(Verb.DELETE, resource, key, uid, "", document or identity)
