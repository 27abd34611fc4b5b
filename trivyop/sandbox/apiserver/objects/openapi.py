"""OpenAPI: the documents at /openapi/v2 and /openapi/v3, made from the kinds' schemas."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trivyop.sandbox.apiserver.objects.kinds import Kind


def document_v2(kinds: Iterable[Kind]) -> dict[str, Any]:
    """The one Swagger document of all kinds."""
    raise NotImplementedError


def documents_v3(kinds: Iterable[Kind]) -> dict[str, dict[str, Any]]:
    """The OpenAPI 3 document of each group version, by its path: "api/v1", "apis/apps/v1"."""
    raise NotImplementedError


def index_v3(hashes: dict[str, str]) -> dict[str, Any]:
    """The index at /openapi/v3 for documents with these hashes, by path."""
    return {
        "paths": {
            path: {"serverRelativeURL": f"/openapi/v3/{path}?hash={digest}"}
            for path, digest in hashes.items()
        }
    }
