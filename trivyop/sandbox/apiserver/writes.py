"""Writes: create, update and patch, from the request to the bucket.

``objects.writing`` makes of the request what shall be stored; here it is held against what is stored.

Promises: reading the live object and storing the new one is one step, so nothing comes between.
Not here: deletion, but for the update that removes the last finalizer.
"""

from __future__ import annotations

import secrets
import uuid
from typing import TYPE_CHECKING, Any

from trivyop.sandbox.apiserver import deletes, encoding, status
from trivyop.sandbox.apiserver.negotiation import JSON, YAML
from trivyop.sandbox.apiserver.objects import scale, writing
from trivyop.sandbox.apiserver.request import Reply, Request, options_kind, unsupported_body
from trivyop.sandbox.apiserver.stamps import now

if TYPE_CHECKING:
    from trivyop.sandbox.apiserver.admission import Admission
    from trivyop.sandbox.apiserver.kinds import Served
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
_MANAGER_LENGTH = 128
_MADE_BY_UPDATE = ("endpoints", "events", "leases", "limitranges", "services")


class Writes:
    """The handlers of POST, PUT and PATCH."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission

    def create(self, request: Request, served: Served) -> Reply:
        """POST to a collection."""
        _check_media_type(request)
        return self._store_new(request, served, _created(request, served))

    def update(self, request: Request, served: Served) -> Reply:
        """PUT of an object or of its subresource."""
        _check_media_type(request)
        live = served.bucket.get(request.info.namespace if served.kind.namespaced else "", request.info.name)
        if live is None:
            return self._update_absent(request, served)
        before = served.obj(live)
        written = writing.replace(served.kind, before, request.body, request.media_type, _write(request))
        return self._store(request, served, live, before, written)

    def _update_absent(self, request: Request, served: Served) -> Reply:
        info = request.info
        written = _created(request, served)  # a body that does not fit is found before the object is missed
        if served.kind.custom or info.subresource or info.resource not in _MADE_BY_UPDATE:
            raise status.not_found(info.group, info.resource, info.name)
        return self._store_new(request, served, written)

    def patch(self, request: Request, served: Served) -> Reply:
        """PATCH of an object or of its subresource."""
        info = request.info
        if request.media_type not in _PATCHES:
            raise status.Refused(415, "UnsupportedMediaType", "415: Unsupported Media Type", {})
        _check_patch_options(request)
        live = served.bucket.get(info.namespace if served.kind.namespaced else "", info.name)
        if live is None and (request.media_type != APPLY or info.subresource):
            raise status.not_found(info.group, info.resource, info.name)
        before = served.obj(live) if live else None
        written = writing.patch(served.kind, before, request.body, request.media_type, _write(request))
        if live is None or before is None:
            return self._store_new(request, served, written)
        return self._store(request, served, live, before, written)

    def _store_new(self, request: Request, served: Served, written: writing.Written) -> Reply:
        info, metadata = request.info, written.obj["metadata"]
        self._admission.admit(served, written.obj)
        if served.bucket.get(metadata.get("namespace", ""), metadata["name"]):
            raise status.already_exists(info.group, info.resource, metadata["name"])
        stored = served.preview(written.obj, 0) if request.dry_run else served.put(written.obj)
        return _reply(request, served, stored, written, 201)

    def _store(
        self, request: Request, served: Served, live: Stored, before: Obj, written: writing.Written
    ) -> Reply:
        if written.obj is before:
            return _reply(request, served, live, written, 200)
        done = deletes.finished(served, written.obj)
        if done or request.dry_run:
            if not request.dry_run:
                served.bucket.remove(live)  # watchers see it as it was: with its last finalizer
            return _reply(request, served, served.preview(written.obj, live.rv), written, 200)
        return _reply(request, served, served.put(written.obj), written, 200)


def _created(request: Request, served: Served) -> writing.Written:
    return writing.create(served.kind, request.body, request.media_type, _write(request))


def _check_media_type(request: Request) -> None:
    if request.media_type not in ("", "*/*", JSON, YAML):
        raise unsupported_body()


def _write(request: Request) -> writing.Write:
    info, query = request.info, request.query
    if len(query.get("fieldManager", "")) > _MANAGER_LENGTH:
        message = f"Too long: may not be more than {_MANAGER_LENGTH} bytes"
        raise _bad_option("FieldValueTooLong", "fieldManager", message, info.verb)
    return writing.Write(
        manager=request.manager,
        now=now(),
        uid=str(uuid.uuid4()),
        token=token,
        namespace=info.namespace,
        name=info.name,
        subresource=info.subresource,
        validation=_validation(query.get("fieldValidation", ""), info.verb),
        force=query.get("force") in ("true", "1"),
    )


def _check_patch_options(request: Request) -> None:
    query = request.query
    if request.media_type == APPLY and not query.get("fieldManager"):
        message = "Required value: is required for apply patch"
        raise _bad_option("FieldValueRequired", "fieldManager", message, "patch")
    if request.media_type != APPLY and "force" in query:
        message = "Forbidden: may not be specified for non-apply patch"
        raise _bad_option("FieldValueForbidden", "force", message, "patch")


def _validation(text: str, verb: str) -> writing.Validation:
    try:
        return writing.Validation(text or "Warn")
    except ValueError:
        message = f'Unsupported value: "{text}": supported values: "", "Ignore", "Strict", "Warn"'
        raise _bad_option("FieldValueNotSupported", "fieldValidation", message, verb) from None


def _bad_option(reason: str, field: str, message: str, verb: str) -> status.Refused:
    error = status.FieldError(reason, field, message)
    return status.invalid(options_kind(verb), "meta.k8s.io", "", [error])


def token() -> str:
    """Return five characters for a generated name."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(5))


def _reply(request: Request, served: Served, stored: Stored, written: writing.Written, code: int) -> Reply:
    if request.info.subresource == "scale":
        return Reply.json(scale.scale_of(served.kind, served.obj(stored)), code)
    body = encoding.one(served, stored, request.accepted.form)
    return Reply(code, body, warnings=written.warnings)
