"""Events: what an endpoint is notified of, as values, and the source that they are read from.

A ``Change`` is the present state of one report, not what happened in between: several updates in a row may be
one change. For a deleted report it carries the last known state. ``Source`` is the seam to the cluster.

Promises: values are frozen; the documents in them are shared by endpoints, so nobody changes them.
Not here: whether an endpoint wants an event (``notify.filters``), and how messages are written
(``notify.formats``); the informers behind the source (``controllers.webhooks``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple, Protocol

import msgspec

from trivyop.kube.resources import ObjectKey, Resource


class Verb(StrEnum):
    """What happened to a report; writing a new one is an update, too."""

    UPDATE = "update"
    DELETE = "delete"


class Subject(NamedTuple):
    """One object that events are about; events are ordered and coalesced per subject."""

    resource: Resource
    key: ObjectKey

    def __str__(self) -> str:
        return f"{self.resource.kind} {self.key}"


class Change(msgspec.Struct, frozen=True):
    """A report as it is now, or as it was when it was deleted."""

    verb: Verb
    resource: Resource
    key: ObjectKey
    uid: str
    content_hash: str  # the same for the same content; "" of a deleted report, if unknown
    object: dict[str, Any] | None
    """The whole report; of a deleted one, its last known state, or only its identity: apiVersion, kind, and
    metadata with name, namespace and uid. None only where the event was slimmed."""

    @property
    def whole(self) -> bool:
        """Whether findings can be read from it."""
        return self.object is not None and ("report" in self.object or "status" in self.object)


class ScanFailed(msgspec.Struct, frozen=True):
    """An image that cannot be scanned for now."""

    scan: ObjectKey  # the ImageScan
    uid: str
    image: str
    digest: str
    platform: str
    reason: str  # the class of the failure: "auth", "not-found", ...
    message: str
    attempts: int
    workloads: tuple[str, ...]  # "Deployment/shop/web"; the first ten
    at: datetime  # of the last attempt; aware, UTC
    content_hash: str  # the same for the same failure


Event = Change | ScanFailed


def slimmed(event: Event) -> Event:
    """The event without its report."""
    return msgspec.structs.replace(event, object=None) if isinstance(event, Change) else event


class Marker(NamedTuple):
    """What the informers know of a subject without reading it."""

    uid: str
    content_hash: str  # "": unknown without reading the object


class Source(Protocol):
    """The subjects there are, and their present state."""

    def marker(self, subject: Subject) -> Marker | None:
        """What identifies its present state; None if there is nothing to send (any more)."""
        ...

    def certain(self, subject: Subject) -> bool:
        """Whether a missing ``marker`` can be trusted: the kind can be watched, and was listed."""
        ...

    def batches(self) -> Iterable[Sequence[Subject]]:
        """All subjects, some at a time; handlers notify of what changes meanwhile."""
        ...

    async def read(self, subject: Subject) -> Event | None:
        """Its present state; None if it has just gone. Raises transient and terminal errors."""
        ...

    def tombstone(self, subject: Subject, endpoint: str) -> Change | None:
        """Its deletion, with the last known state; None if the endpoint has it, or the watch missed it."""
        ...

    def has_tombstone(self, subject: Subject, endpoint: str) -> bool:
        """Whether ``tombstone`` returns a deletion."""
        ...

    def settled(self, subject: Subject, endpoint: str) -> None:
        """Record that the endpoint needs no (further) message about that deletion."""
        ...


def deletion(subject: Subject, uid: str, document: dict[str, Any] | None = None) -> Change:
    """The deletion of a report, with ``document`` as its last known state, else its identity alone."""
    resource, key = subject
    metadata = {"name": key.name, "uid": uid} | ({"namespace": key.namespace} if key.namespace else {})
    identity = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata}
    return Change(Verb.DELETE, resource, key, uid, "", document or identity)
