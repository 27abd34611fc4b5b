"""Events: what there is to tell an endpoint, as values.

A ``Change`` is the present state of one report, not what happened to it in between: several updates in a row
may be one change. Of a report that is gone it carries what was last known.

Promises: values are frozen; the documents in them are shared by endpoints, so nobody changes them.
Not here: whether an endpoint wants it (``notify.filters``), and in which words (``notify.formats``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple, Protocol

import msgspec

from trivyop.kube.resources import ObjectKey, Resource


class Verb(StrEnum):
    """What became of a report; the first writing of one is an update, too."""

    UPDATE = "update"
    DELETE = "delete"


class Subject(NamedTuple):
    """One object that events are about: what they are ordered, and coalesced, by."""

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
    content_hash: str  # the same for the same content; "" if that is not known, of a deleted report
    object: dict[str, Any] | None
    """The whole report; of a deleted one, the last one known. Where only its identity is known it is that:
    apiVersion, kind, and metadata with name, namespace and uid. None only where nobody asked for it."""

    @property
    def whole(self) -> bool:
        """Whether findings can be read from it."""
        return self.object is not None and ("report" in self.object or "status" in self.object)


class ScanFailed(msgspec.Struct, frozen=True):
    """An image that could not be scanned, and that will not be for now."""

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
    """The event without the report that it is about."""
    return msgspec.structs.replace(event, object=None) if isinstance(event, Change) else event


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

    def tombstone(self, subject: Subject, endpoint: str) -> Change | None:
        """The deletion of it as it was last seen, unless the endpoint has been told, or nobody saw it."""
        ...

    def has_tombstone(self, subject: Subject, endpoint: str) -> bool:
        """Whether ``tombstone`` has an answer."""
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
