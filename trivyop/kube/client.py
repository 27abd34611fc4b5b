"""API client: the verbs of the Kubernetes API, on bytes and slim structs.

Writes take plain mappings and answer with dicts; reads are those of ``kube.reader``. What does not exist is
``None`` or ``False`` where a caller can expect it, and an error where it cannot. Refusals and failures come
as the errors of ``trivyop.errors``; nothing is retried here.

Promises: every call has a timeout. ``write_gate`` is asked right before each write; it stops it by raising,
or says how long it may take.
Not here: HTTP (``kube.transport``), keeping a list up to date (``kube.informer``).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, Self

import orjson

from trivyop.control.clock import Clock, SystemClock, deadline
from trivyop.errors import NotFoundError, TooLargeError, TransientError
from trivyop.kube.applying import without_empty_maps
from trivyop.kube.config import ClusterConfig
from trivyop.kube.objects import key_of
from trivyop.kube.permissions import Permissions
from trivyop.kube.reader import JSON, PARTIAL, Reader, document
from trivyop.kube.resources import ObjectKey, Resource
from trivyop.kube.transport import Call, RequestObserver, Transport

FIELD_MANAGER = "trivyop"
_APPLY = "application/apply-patch+yaml"  # JSON is YAML

_MAX_BODY_BYTES = 3 * 1024 * 1024  # API servers hang up on more, which then looks like a broken network


WriteGate = Callable[[], float]
"""Says how many seconds a write may take; raises to stop it."""


class PatchKind(StrEnum):
    """How a patch is meant; strategic ones work on built-in kinds only."""

    MERGE = "application/merge-patch+json"
    JSON = "application/json-patch+json"
    STRATEGIC = "application/strategic-merge-patch+json"


class Api(Reader):
    """One API server; an async context manager."""

    def __init__(
        self,
        config: ClusterConfig,
        *,
        user_agent: str = "trivyop",
        metrics: RequestObserver | None = None,
        clock: Clock | None = None,
        write_gate: WriteGate | None = None,
        max_requests: int = 64,
        permissions: Permissions | None = None,
    ) -> None:
        clock = clock or SystemClock()
        self.permissions = permissions or Permissions(clock)
        self._write_gate = write_gate
        transport = Transport(
            config,
            user_agent=user_agent,
            clock=clock,
            permissions=self.permissions,
            metrics=metrics,
            max_requests=max_requests,
        )
        super().__init__(transport, clock)

    def gated(self, gate: WriteGate) -> Self:
        """The same client for somebody whose writes have to pass ``gate``; valid as long as this one."""
        view = copy.copy(self)
        view._write_gate = gate  # noqa: SLF001 - one of our own kind
        return view

    def check_gate(self) -> None:
        """Raise what a write would now, for those whose effects elsewhere depend on being written down."""
        if self._write_gate is not None:
            self._write_gate()

    async def __aenter__(self) -> Self:
        await self._transport.__aenter__()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._transport.__aexit__(*exc_info)

    async def create(
        self,
        resource: Resource,
        body: Mapping[str, Any],
        *,
        namespace: str = "",
        name: str = "",
        subresource: str = "",
        field_manager: str | None = None,
        metadata_only: bool = False,
    ) -> dict[str, Any]:
        """Create an object, in ``namespace`` or that of its metadata; ``AlreadyExistsError`` if its name is
        taken.

        ``metadata_only`` is about the answer, as with ``apply``.
        With ``name`` and ``subresource``, create that: a ``token`` of a service account, a pod's ``binding``.
        """
        path = resource.path(namespace or key_of(body).namespace, name, subresource)
        answer = await self._write(
            "create",
            resource,
            "POST",
            path,
            body,
            subresource=subresource,
            field_manager=field_manager,
            metadata_only=metadata_only,
        )
        return document(answer)

    async def replace(
        self,
        resource: Resource,
        key: ObjectKey,
        body: Mapping[str, Any],
        *,
        subresource: str = "",
        field_manager: str | None = None,
        metadata_only: bool = False,
    ) -> dict[str, Any]:
        """Put ``body`` in the place of the object; ``ConflictError`` if it changed since it was read."""
        path = resource.path(*key, subresource)
        answer = await self._write(
            "update",
            resource,
            "PUT",
            path,
            body,
            subresource=subresource,
            field_manager=field_manager,
            metadata_only=metadata_only,
        )
        return document(answer)

    async def apply(
        self,
        resource: Resource,
        body: Mapping[str, Any],
        *,
        field_manager: str = FIELD_MANAGER,
        force: bool = True,
        subresource: str = "",
        metadata_only: bool = False,
    ) -> dict[str, Any]:
        """Make the object have what ``body`` says, and create it if need be (server-side apply).

        ``metadata_only`` is about the answer: of a large object, the rest is not worth reading back.

        ``body`` carries ``apiVersion``, ``kind`` and its own name. Fields that an earlier apply of the same
        manager set, and this one does not, go; fields that are empty maps are not sent. Without ``force``,
        another manager's field is a ``ConflictError``.
        """
        answer = await self._write(
            "apply",
            resource,
            "PATCH",
            resource.path(*key_of(body), subresource),
            without_empty_maps(body),
            subresource=subresource,
            content_type=_APPLY,
            field_manager=field_manager,
            force=force,
            metadata_only=metadata_only,
        )
        return document(answer)

    async def patch(
        self,
        resource: Resource,
        key: ObjectKey,
        patch: object,
        *,
        kind: PatchKind = PatchKind.MERGE,
        subresource: str = "",
        field_manager: str | None = None,
    ) -> dict[str, Any] | None:
        """Change a part of an object; None if it does not exist."""
        try:
            answer = await self._write(
                "patch",
                resource,
                "PATCH",
                resource.path(*key, subresource),
                patch,
                subresource=subresource,
                content_type=kind.value,
                field_manager=field_manager,
            )
            return document(answer)
        except NotFoundError:
            return None

    async def delete(
        self,
        resource: Resource,
        key: ObjectKey,
        *,
        uid: str = "",
        resource_version: str = "",
        propagation: str = "Background",
        grace_seconds: int | None = None,
    ) -> bool:
        """Delete an object; False if it was not there.

        With ``uid`` or ``resource_version`` only that very object: another of its name is a
        ``ConflictError``.
        """
        options: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": propagation,
        }
        preconditions = {"uid": uid, "resourceVersion": resource_version}
        if any(preconditions.values()):
            options["preconditions"] = {name: value for name, value in preconditions.items() if value}
        if grace_seconds is not None:
            options["gracePeriodSeconds"] = grace_seconds
        try:
            await self._write("delete", resource, "DELETE", resource.path(*key), options)
        except NotFoundError:
            return False
        return True

    async def _write(
        self,
        verb: str,
        resource: Resource,
        method: str,
        path: str,
        body: object,
        *,
        subresource: str = "",
        content_type: str = JSON,
        field_manager: str | None = None,
        force: bool | None = None,
        metadata_only: bool = False,
    ) -> bytes:
        name = f"{resource.name}/{subresource}" if subresource else resource.name
        data = orjson.dumps(body)
        params: dict[str, str] = {"fieldManager": field_manager} if field_manager else {}
        if force is not None:
            params["force"] = "true" if force else "false"
        call = Call(
            verb,
            name,
            method,
            path,
            params=params,
            accept=PARTIAL.format("") if metadata_only else JSON,
            body=data,
            content_type=content_type,
        )
        if len(data) > _MAX_BODY_BYTES:
            raise TooLargeError(f"{call}: not sent, {len(data)} bytes are more than API servers take")
        if self._write_gate is None:
            return await self._transport.request(call)
        try:
            async with deadline(self.clock, self._write_gate()):
                return await self._transport.request(call)
        except TimeoutError as error:
            raise TransientError(f"{call}: no answer in the time that was left for writes") from error
