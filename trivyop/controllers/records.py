"""Records: objects that keep the state of a scan, read and written; those of images and those of nodes.

Their status is written by nobody else, so what we wrote last counts, not what the informer observed last.

Promises: what is read here is never older than what was written here.
Not here: what a status says, and when one is written.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from trivyop.controllers.lister import Lister
from trivyop.controllers.overlay import Overlay
from trivyop.kube.client import Api
from trivyop.kube.objects import ObjectMeta
from trivyop.kube.resources import ObjectKey, Resource

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Record(Protocol[T_co]):
    """An object with a status."""

    @property
    def metadata(self) -> ObjectMeta: ...

    @property
    def status(self) -> T_co: ...


R = TypeVar("R", bound=Record[Any])


class Records(Generic[R, T]):
    """The objects of one kind in one namespace, "" for a cluster's, by name."""

    def __init__(
        self,
        api: Api,
        resource: Resource,
        struct: type[R],
        lister: Lister[R],
        *,
        namespace: str = "",
        to_document: Callable[[T], dict[str, Any]],
        lost: Callable[[str], None],
    ) -> None:
        """`lost` is called with the name of one that was gone before the informer observed what we wrote."""
        self._api = api
        self._resource = resource
        self._struct = struct
        self._lister = lister
        self._namespace = namespace
        self._to_document = to_document
        self._statuses = Overlay[T, R](lister, lost=lambda key, _: lost(key.name), catches_up=_is_the_written)
        self._created = Overlay[R, R](lister, lost=lambda key, _: lost(key.name))

    def key(self, name: str) -> ObjectKey:
        return ObjectKey(self._namespace, name)

    def get(self, name: str) -> R | None:
        """The object; its status may be older than what `status` answers."""
        key = self.key(name)
        return self._lister.get(key) or self._created.get(key)

    def status(self, name: str) -> T | None:
        """The status as written last; None without an object."""
        written = self._statuses.get(self.key(name))
        record = None if written else self.get(name)
        return written or (record.status if record else None)

    async def write(self, name: str, part: dict[str, Any], **metadata: Any) -> R:
        """Create the object, or bring a part of it other than its status up to date."""
        answer = await self._api.apply(self._resource, self._document(name, part, **metadata))
        record = msgspec.convert(answer, self._struct)
        if self._lister.get(self.key(name)) is None:
            self._created.put(self.key(name), record)
        return record

    async def save(self, name: str, status: T) -> None:
        """Write the status, if it says anything new."""
        if status == self.status(name):
            return
        document = self._document(name, {"status": self._to_document(status)})
        await self._api.apply(self._resource, document, subresource="status")
        observed = self._lister.get(self.key(name))
        if observed is None or observed.status != status:  # the informer may have been faster than the answer
            self._statuses.put(self.key(name), status)

    async def delete(self, record: R) -> None:
        """Delete the object; what belongs to it goes with it."""
        key = self.key(record.metadata.name)
        await self._api.delete(self._resource, key, uid=record.metadata.uid)
        self._statuses.pop(key)
        self._created.pop(key)

    def _document(self, name: str, part: dict[str, Any], **metadata: Any) -> dict[str, Any]:
        namespace = {"namespace": self._namespace} if self._namespace else {}
        return {
            "apiVersion": self._resource.api_version,
            "kind": self._resource.kind,
            "metadata": {"name": name, **namespace, **metadata},
            **part,
        }


def _is_the_written(written: object, old: Record[Any] | None, new: Record[Any] | None) -> bool:
    replaced = old is not None and (new is None or new.metadata.uid != old.metadata.uid)
    return replaced or (new is not None and new.status == written)
