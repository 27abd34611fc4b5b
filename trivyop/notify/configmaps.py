"""ConfigMaps: what one endpoint's ledger keeps in the operator's namespace, each with a short name.

Promises: a write puts the whole content in the place of what was there. No retries; what a write that broke
off has done is not known.
Not here: what is in them (``notify.pages``, ``notify.journal``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from trivyop.kube.client import Api
from trivyop.kube.objects import Object
from trivyop.kube.resources import CONFIGMAPS, ObjectKey

ENDPOINT_LABEL = "trivyop.dev/webhook"
_FIELD_MANAGER = "trivyop-webhooks"
_AT_ONCE = 20  # listed; some have hundreds of kilobytes


class _ConfigMap(Object, frozen=True, rename="camel", kw_only=True):
    binary_data: dict[str, str] | None = None  # base64


class Found(NamedTuple):
    """One that is there."""

    name: str
    data: Mapping[str, str]  # base64


class ConfigMaps:
    """Those of one endpoint."""

    def __init__(self, api: Api, namespace: str, endpoint: str) -> None:
        self._api = api
        self._namespace = namespace
        self._endpoint = endpoint
        self._prefix = f"trivyop-delivered-{endpoint}-"

    async def list(self) -> list[Found]:
        """All of them, by name."""
        selector = f"{ENDPOINT_LABEL}={self._endpoint}"
        listing = await self._api.list(
            CONFIGMAPS, namespace=self._namespace, label_selector=selector, type=_ConfigMap, limit=_AT_ONCE
        )
        found = (
            Found(one.metadata.name.removeprefix(self._prefix), one.binary_data or {})
            for one in listing.items
        )
        return sorted(found)

    async def write(self, name: str, data: Mapping[str, str]) -> None:
        """Have it contain that, base64."""
        body = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": self._prefix + name,
                "namespace": self._namespace,
                "labels": {ENDPOINT_LABEL: self._endpoint, "app.kubernetes.io/managed-by": "trivyop"},
            },
            "binaryData": data,
        }
        await self._api.apply(CONFIGMAPS, body, field_manager=_FIELD_MANAGER, metadata_only=True)

    async def delete(self, name: str) -> None:
        """Have it no more."""
        await self._api.delete(CONFIGMAPS, ObjectKey(self._namespace, self._prefix + name))
