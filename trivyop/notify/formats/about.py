"""About: which resource and image a report is about, for the messages that say so in few words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import msgspec

from trivyop.notify.events import Change
from trivyop.report import keys


class About(msgspec.Struct, frozen=True, gc=False):
    """The resource of a report; texts are "" where the report does not say."""

    kind: str  # of the resource: "ReplicaSet"
    namespace: str
    name: str
    container: str
    registry: str
    repository: str
    tag: str
    digest: str

    @classmethod
    def of(cls, change: Change) -> About:
        """Read labels and the artifact; a report without labels is about itself."""
        document = change.object or {}
        meta, body = _mapping(document, "metadata"), _mapping(document, "report")
        labels, annotations = _mapping(meta, "labels"), _mapping(meta, "annotations")
        artifact = _mapping(body, "artifact")
        name = _text(labels, keys.RESOURCE_NAME) or _text(annotations, keys.RESOURCE_NAME)
        return cls(
            kind=_text(labels, keys.RESOURCE_KIND) if name else change.resource.kind,
            namespace=change.key.namespace,
            name=name or change.key.name,
            container=_text(labels, keys.CONTAINER_NAME),
            registry=_text(_mapping(body, "registry"), "server"),
            repository=_text(artifact, "repository"),
            tag=_text(artifact, "tag"),
            digest=_text(artifact, "digest"),
        )

    @property
    def resource(self) -> str:
        """In one text: "shop/ReplicaSet/web-7b8cd85855"."""
        return "/".join(filter(None, (self.namespace, self.kind, self.name)))


def made_at(change: Change) -> str:
    """When the report was made, RFC 3339; "" if it does not say."""
    document = change.object or {}
    made = _text(_mapping(document, "report"), "updateTimestamp")
    made = made or _text(_mapping(document, "status"), "updateTimestamp")
    return made or _text(_mapping(_mapping(document, "metadata"), "annotations"), keys.SCANNED_AT)


def _mapping(row: Mapping[str, Any], field: str) -> Mapping[str, Any]:
    value = row.get(field)
    return cast(Mapping[str, Any], value) if isinstance(value, dict) else {}


def _text(row: Mapping[str, Any], field: str) -> str:
    value = row.get(field)
    return value if isinstance(value, str) else ""
