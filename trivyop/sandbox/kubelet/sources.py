"""Sources: the ConfigMaps, Secrets and tokens that a Pod's environment and volumes are made of.

One ``Sources`` serves one start of one Pod: each object is asked for once, so that what starts together
agrees.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from trivyop.kube.resources import CONFIGMAPS, SECRETS, ObjectKey, Resource
from trivyop.sandbox.changes import part


class ConfigMissingError(Exception):
    """Something that the Pod needs, and that is not optional, is not there; the message is a kubelet's."""


class Reads(Protocol):
    """Where objects are read."""

    async def get_dict(self, resource: Resource, key: ObjectKey) -> dict[str, Any] | None: ...


Token = Callable[[str, int], Awaitable[str]]  # (audience, seconds of validity) to a service account's token


class Sources:
    """The configuration of one namespace."""

    def __init__(self, api: Reads, namespace: str, token: Token) -> None:
        self._api = api
        self._namespace = namespace
        self.token = token
        self._read: dict[tuple[Resource, str], Mapping[str, bytes] | None] = {}

    async def values(self, resource: Resource, name: str) -> Mapping[str, bytes] | None:
        """The content of a ConfigMap or Secret; None if there is no such object."""
        if (resource, name) not in self._read:
            found = await self._api.get_dict(resource, ObjectKey(self._namespace, name))
            self._read[resource, name] = None if found is None else _content(resource, found)
        return self._read[resource, name]

    async def all_of(self, resource: Resource, reference: Mapping[str, Any]) -> Mapping[str, bytes]:
        """The content of the object that ``reference`` names; empty if it is optional and not there."""
        name: str = reference.get("name") or reference.get("secretName") or ""
        found = await self.values(resource, name)
        if found is None and not reference.get("optional"):
            raise ConfigMissingError(f'{resource.kind.lower()} "{name}" not found')
        return found or {}

    async def one_of(self, resource: Resource, reference: Mapping[str, Any]) -> bytes | None:
        """The value of the key that ``reference`` names; None if it is optional and not there."""
        values = await self.all_of(resource, reference)
        key: str = reference["key"]
        if key not in values and not reference.get("optional"):
            place = f"{self._namespace}/{reference.get('name', '')}"
            raise ConfigMissingError(f"couldn't find key {key} in {resource.kind} {place}")
        return values.get(key)


def _content(resource: Resource, found: Mapping[str, Any]) -> Mapping[str, bytes]:
    if resource == SECRETS:
        return {key: b64decode(value) for key, value in part(found, "data").items()}
    texts = {key: str(value).encode() for key, value in part(found, "data").items()}
    return texts | {key: b64decode(value) for key, value in part(found, "binaryData").items()}


__all__ = ["CONFIGMAPS", "SECRETS", "ConfigMissingError", "Reads", "Sources", "Token"]
