"""Objects: the metadata that all kinds share, decoded from bytes into slim frozen structs.

Kinds of which more is used define their own struct with a ``metadata: ObjectMeta`` field, most simply as a
subclass of ``Object``. Fields that nobody lists here or there are skipped while decoding, so they cost no
memory.

Promises: values are frozen; stores share them, so the dicts inside are not to be changed either.
Not here: specs and statuses.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, Protocol, cast

import msgspec

from trivyop.kube.resources import ObjectKey


class OwnerReference(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """Whom this object belongs to; ``controller`` marks the one owner that manages it."""

    api_version: str
    kind: str
    name: str
    uid: str
    controller: bool = False


class ObjectMeta(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """Metadata of an object that a server holds. Times are RFC 3339 text, as they came."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    creation_timestamp: str = ""
    deletion_timestamp: str | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    owner_references: tuple[OwnerReference, ...] = ()

    @property
    def key(self) -> ObjectKey:
        return ObjectKey(self.namespace, self.name)


class TemplateMeta(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """Metadata inside a template, where servers write ``creationTimestamp: null``."""

    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None


class Object(msgspec.Struct, frozen=True, gc=False, rename="camel", kw_only=True):
    """Any object, of which only the metadata counts. In lists the two type fields are empty."""

    api_version: str = ""
    kind: str = ""
    metadata: ObjectMeta

    @property
    def key(self) -> ObjectKey:
        return self.metadata.key


class HasMetadata(Protocol):
    """What every decoded object offers."""

    @property
    def metadata(self) -> ObjectMeta: ...


def controller_of(meta: ObjectMeta) -> OwnerReference | None:
    """The owner that manages the object, if there is one."""
    for owner in meta.owner_references:
        if owner.controller:
            return owner
    return None


def _metadata_of(value: Mapping[str, Any]) -> Mapping[str, Any]:
    return value.get("metadata") or {}


def key_of(value: object) -> ObjectKey:
    """Key of a decoded object: a struct with ``metadata``, or a plain dict."""
    meta: ObjectMeta | None = getattr(value, "metadata", None)
    if meta is not None:
        return ObjectKey(meta.namespace, meta.name)
    plain = _metadata_of(cast("Mapping[str, Any]", value))
    return ObjectKey(plain.get("namespace", ""), plain.get("name", ""))


def version_of(value: object) -> str:
    """Resource version of a decoded object: a struct with ``metadata``, or a plain dict."""
    meta: ObjectMeta | None = getattr(value, "metadata", None)
    if meta is not None:
        return meta.resource_version
    return _metadata_of(cast("Mapping[str, Any]", value)).get("resourceVersion", "")


_set_field = msgspec.structs.force_setattr  # frozen is for readers; nobody has seen these values yet


def intern_namespace(meta: ObjectMeta) -> None:
    """Let the namespace share memory with that of all other objects in it."""
    _set_field(meta, "namespace", sys.intern(meta.namespace))


def intern_meta(meta: ObjectMeta) -> None:
    """Let equal strings of many objects' metadata share memory. The value stays equal to what it was.

    Pods of one ReplicaSet repeat its labels, its name and its uid; thousands of objects repeat a namespace.
    Annotations stay as they are: long, and seldom alike.
    """
    intern_namespace(meta)
    if meta.labels:
        _set_field(meta, "labels", {sys.intern(k): sys.intern(v) for k, v in meta.labels.items()})
    for owner in meta.owner_references:
        for field in ("api_version", "kind", "name", "uid"):
            _set_field(owner, field, sys.intern(getattr(owner, field)))


def precedes(version: str, other: str) -> bool:
    """Whether `version` is older than `other`, of the same kind; False where one of them is no number.

    Everywhere else resource versions are passed back as they came. That those of one kind may be compared,
    as the decimal numbers that they are, is part of the API since Kubernetes 1.35 (KEP-5504); older servers
    with etcd have always had such numbers.
    """
    numbers = version.isascii() and version.isdigit() and other.isascii() and other.isdigit()
    return numbers and int(version) < int(other)
