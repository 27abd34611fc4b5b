"""Pages: the paths that are about the server itself: health, version, OpenAPI documents, faults."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import orjson

from trivyop.sandbox.apiserver import status, swagger
from trivyop.sandbox.apiserver.discovery import Discovery
from trivyop.sandbox.apiserver.objects import openapi
from trivyop.sandbox.apiserver.request import Reply

if TYPE_CHECKING:
    from trivyop.sandbox.apiserver.faults import Faults
    from trivyop.sandbox.apiserver.kinds import Kinds
    from trivyop.sandbox.apiserver.request import Request

VERSION: dict[str, Any] = {
    "major": "1",
    "minor": "36",
    "emulationMajor": "1",
    "emulationMinor": "36",
    "minCompatibilityMajor": "1",
    "minCompatibilityMinor": "35",
    "gitVersion": "v1.36.0+trivyop-sandbox",
    "gitCommit": "0" * 40,
    "gitTreeState": "clean",
    "buildDate": "2026-01-01T00:00:00Z",
    "goVersion": "none",
    "compiler": "none",
    "platform": "any",
}


class Pages:
    """The handlers of paths outside of resources."""

    def __init__(self, kinds: Kinds, faults: Faults) -> None:
        self._kinds = kinds
        self._faults = faults
        self._discovery = Discovery(kinds)
        self._documents: dict[str, bytes] = {}
        self._documents_of = -1

    def handle(self, request: Request) -> Reply:
        """Answer a path that names no resource."""
        parts = [part for part in request.info.path.split("/") if part]
        if parts == ["sandbox", "faults"]:
            return self._faults.handle(request)
        if request.info.verb != "get":
            raise status.method_not_allowed()
        match parts:
            case ["healthz" | "livez" | "readyz", *_]:
                return Reply.text("ok")
            case ["version"]:
                return Reply.json(VERSION)
            case ["api" | "apis", *_]:
                return self._discovery.handle(request, parts)
            case ["openapi", "v2"]:
                return self._openapi_v2(request.headers.get("Accept", ""))
            case ["openapi", "v3", *path]:
                return self._openapi_v3("/".join(path))
            case _:
                raise status.page_not_found()

    def _openapi_v2(self, accept: str) -> Reply:
        document = openapi.document_v2(served.kind for served in self._kinds)
        if accept.partition(";")[0].strip() in swagger.MEDIA_TYPES:
            return Reply(200, swagger.encode(document), media_type=swagger.MEDIA_TYPES[-1])
        return Reply.json(document)

    def _openapi_v3(self, path: str) -> Reply:
        if self._documents_of != self._kinds.version:
            documents = openapi.documents_v3(served.kind for served in self._kinds)
            self._documents = {name: orjson.dumps(document) for name, document in documents.items()}
            self._documents_of = self._kinds.version
        if not path:
            hashes = {name: _digest(document) for name, document in self._documents.items()}
            index = openapi.index_v3(hashes)
            return Reply(200, orjson.dumps(index), media_type="text/plain; charset=utf-8")
        if path not in self._documents:
            return Reply(404, b"", media_type="")
        return Reply(200, self._documents[path])


def _digest(document: bytes) -> str:
    return hashlib.sha256(document).hexdigest().upper()
