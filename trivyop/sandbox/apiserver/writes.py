"""Writes: create, update and patch, from the request to the bucket.

``objects.writing`` makes of the request what shall be stored; here it is held against what is stored.

Promises: reading the live object and storing the new one is one step, so nothing comes between.
Not here: deletion, but for the update that removes the last finalizer.
"""

from __future__ import annotations

import secrets
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from trivyop.sandbox.apiserver import deletes, encoding, status
from trivyop.sandbox.apiserver.interim import writing
from trivyop.sandbox.apiserver.request import Reply, Request

if TYPE_CHECKING:
    from trivyop.sandbox.apiserver.crds import Definitions
    from trivyop.sandbox.apiserver.kinds import Served
    from trivyop.sandbox.apiserver.namespaces import Namespaces
    from trivyop.sandbox.apiserver.storage import Stored

Obj = dict[str, Any]

APPLY = "application/apply-patch+yaml"
_PATCHES = (
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    APPLY,
)
_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"  # no vowels: no words


class Writes:
    """The handlers of POST, PUT and PATCH."""

    def __init__(self, namespaces: Namespaces, definitions: Definitions) -> None:
        self._namespaces = namespaces
        self._definitions = definitions

    def create(self, request: Request, served: Served) -> Reply:
        """POST to a collection."""
        write = _write(request)
        written = writing.create(served.kind, request.body, request.media_type, write)
        return self._store_new(request, served, written)

    def update(self, request: Request, served: Served) -> Reply:
        """PUT of an object or of its subresource."""
        live = self._live(request, served)
        before = served.obj(live)
        written = writing.replace(served.kind, before, request.body, request.media_type, _write(request))
        return self._store(request, served, live, written, before)

    def patch(self, request: Request, served: Served) -> Reply:
        """PATCH of an object or of its subresource."""
        info = request.info
        if request.media_type not in _PATCHES:
            raise status.Refused(415, "UnsupportedMediaType", "415: Unsupported Media Type", {})
        live = served.bucket.get(info.namespace if served.kind.namespaced else "", info.name)
        if live is None and (request.media_type != APPLY or info.subresource):
            raise status.not_found(info.group, info.resource, info.name)
        before = served.obj(live) if live else None
        written = writing.patch(served.kind, before, request.body, request.media_type, _write(request))
        if live is None:
            return self._store_new(request, served, written)
        return self._store(request, served, live, written, before)

    def _live(self, request: Request, served: Served) -> Stored:
        info = request.info
        live = served.bucket.get(info.namespace if served.kind.namespaced else "", info.name)
        if live is None:
            raise status.not_found(info.group, info.resource, info.name)
        return live

    def _store_new(self, request: Request, served: Served, written: writing.Written) -> Reply:
        info, metadata = request.info, written.obj["metadata"]
        namespace, name = metadata.get("namespace", ""), metadata["name"]
        if namespace:
            self._namespaces.admit(info.group, info.resource, namespace, name)
        if served.kind.custom:
            self._definitions.admit(info.group, info.resource, name)
        if served.bucket.get(namespace, name):
            raise status.already_exists(info.group, info.resource, name)
        if request.dry_run:
            return _reply(request, served, served.preview(written.obj, 0), written, 201)
        return _reply(request, served, served.put(written.obj), written, 201)

    def _store(
        self,
        request: Request,
        served: Served,
        live: Stored,
        written: writing.Written,
        before: Obj | None,
    ) -> Reply:
        if written.obj is before:
            return _reply(request, served, live, written, 200)
        done = deletes.finished(served, written.obj)
        if done or request.dry_run:
            if not request.dry_run:
                served.bucket.remove(live)  # watchers see it as it was: with its last finalizer
            return _reply(request, served, served.preview(written.obj, live.rv), written, 200)
        return _reply(request, served, served.put(written.obj), written, 200)


def _write(request: Request) -> writing.Write:
    info, query = request.info, request.query
    return writing.Write(
        manager=request.manager,
        now=now(),
        uid=str(uuid.uuid4()),
        token=token,
        namespace=info.namespace,
        name=info.name,
        subresource=info.subresource,
        validation=writing.Validation(query.get("fieldValidation") or "Warn"),
        force=query.get("force") == "true",
    )


def now() -> str:
    """Return the time as objects carry it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def token() -> str:
    """Return five characters for a generated name."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(5))


def _reply(request: Request, served: Served, stored: Stored, written: writing.Written, code: int) -> Reply:
    body = encoding.one(served, stored, request.accepted.form)
    return Reply(code, body, warnings=written.warnings)
