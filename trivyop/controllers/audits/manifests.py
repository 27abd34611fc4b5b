"""Manifests: a resource as checks see it, read whole when it is audited.

Promises: nothing of it is kept here. The state is that of the very object that was read, so that a report
says what it was made from, also when the informer is behind or ahead.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import msgspec
import orjson

from trivyop.controllers.audits.kinds import AuditRef
from trivyop.controllers.informers import WORKLOAD_STRUCTS
from trivyop.errors import NotFoundError
from trivyop.kube.client import Api
from trivyop.kube.objects import Object
from trivyop.kube.resources import ObjectKey, Resource
from trivyop.workload.audited import LAST_APPLIED, Document, applied_version, document_state, object_state
from trivyop.workload.owners import RESOURCES

_STRUCTS: dict[Resource, type[Object]] = {
    RESOURCES[kind]: struct for kind, struct in WORKLOAD_STRUCTS.items()
}
"""Workloads have their state from what stores keep of them."""
_FORMER_GROUPS = ("extensions", "apps")  # where kinds were before they had a group of their own
_VERSION = re.compile(r"v[0-9]+(?:(?:alpha|beta)[0-9]+)?")


@dataclass(frozen=True, slots=True)
class Manifest:
    """A resource to audit."""

    uid: str
    state: str
    labels: dict[str, str]
    document: bytes  # JSON


class Reading:
    """A resource that is read when its turn comes."""

    def __init__(self, api: Api, resource: Resource, ref: AuditRef) -> None:
        self.resource = resource
        self.manifest: Manifest | None = None
        """What was read."""
        self._api = api
        self._ref = ref

    async def fetch(self) -> bytes:
        """Read it; ``NotFoundError`` if it is gone."""
        self.manifest = await read_manifest(self._api, self.resource, self._ref.key)
        if self.manifest is None:
            raise NotFoundError(f"{self._ref} is gone")
        return self.manifest.document


async def read_manifest(api: Api, resource: Resource, key: ObjectKey) -> Manifest | None:
    """Read a resource; None if it is gone."""
    raw = await api.get(resource, key, msgspec.Raw)
    return None if raw is None else build_manifest(bytes(raw), resource)


def build_manifest(data: bytes, resource: Resource) -> Manifest:
    """Make of an object, as the server sent it, what checks are to see."""
    struct = _STRUCTS.get(resource)
    if struct is None:
        document = msgspec.json.decode(data, type=Document)
        meta, state = document.metadata, document_state(document, resource.api_version)
    else:
        slim = msgspec.json.decode(data, type=struct)
        meta, state = slim.metadata, object_state(slim, resource.api_version)
    return Manifest(meta.uid, state, meta.labels or {}, _document(data, resource, meta.annotations))


def _document(data: bytes, resource: Resource, annotations: dict[str, str] | None) -> bytes:
    """The object without what managers and kubectl note in it.

    Where it was applied in another version than the server keeps it in, it has that version: the server has
    converted it, and a check for outdated versions could not find anything. All else is what the server has,
    because it is what counts, and because anybody may write an annotation.
    """
    document: dict[str, Any] = orjson.loads(data)
    meta = document["metadata"]
    meta.pop("managedFields", None)
    if LAST_APPLIED in (meta.get("annotations") or {}):
        del meta["annotations"][LAST_APPLIED]
    applied = applied_version(annotations)
    if applied not in ("", resource.api_version) and _is_version_of(applied, resource):
        document["apiVersion"] = applied
    return orjson.dumps(document)


def _is_version_of(api_version: str, resource: Resource) -> bool:
    """Whether a kind has, or once had, such a version."""
    group, _, version = api_version.rpartition("/")
    return _VERSION.fullmatch(version) is not None and group in (resource.group, *_FORMER_GROUPS)
