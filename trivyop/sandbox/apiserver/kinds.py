"""Kinds that are served right now: the built-in ones, and those of established CustomResourceDefinitions.

Promises: two versions of a kind, and the two groups that have Events, share one bucket.
Not here: what a kind's objects look like (``objects``), and when a definition is established (``crds``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from trivyop.sandbox.apiserver import events, fields, status
from trivyop.sandbox.apiserver.objects.builtin import KINDS
from trivyop.sandbox.apiserver.objects.refusals import Refused

if TYPE_CHECKING:
    from trivyop.sandbox.apiserver.objects.kinds import Kind
    from trivyop.sandbox.apiserver.storage import Bucket, Storage, Stored

Obj = dict[str, Any]
Convert = Callable[[Obj], Obj]


@dataclass(slots=True, eq=False)
class Served:
    """One kind in one version, and the bucket its objects are in."""

    kind: Kind
    bucket: Bucket
    from_storage: Convert | None = None  # None: as stored, but for the apiVersion
    to_storage: Convert | None = None
    prefix: bytes = field(init=False)
    list_prefix: bytes = field(init=False)

    def __post_init__(self) -> None:
        version = self.kind.api_version
        list_kind = self.kind.list_kind or f"{self.kind.kind}List"
        self.prefix = orjson.dumps({"kind": self.kind.kind, "apiVersion": version})[:-1] + b","
        self.list_prefix = orjson.dumps({"kind": list_kind, "apiVersion": version})[:-1] + b","

    def body(self, stored: Stored) -> bytes:
        """Encode an object of this version without kind and apiVersion."""
        return orjson.dumps(self.from_storage(stored.obj())) if self.from_storage else stored.body

    def obj(self, stored: Stored) -> Obj:
        """Decode an object of this version; the caller may change it."""
        body = self.from_storage(stored.obj()) if self.from_storage else stored.obj()
        return {"kind": self.kind.kind, "apiVersion": self.kind.api_version, **body}

    def put(self, obj: Obj) -> Stored:
        """Store an object of this version; raises the 500 of one that is too large."""
        try:
            return self.bucket.put(self.to_storage(obj) if self.to_storage else obj)
        except ValueError as error:
            raise Refused(500, "", str(error)) from None

    def preview(self, obj: Obj, rv: int) -> Stored:
        """Encode an object of this version as if it was stored; ``rv`` 0 means that it never was."""
        return self.bucket.preview(self.to_storage(obj) if self.to_storage else obj, rv)

    def named(self, namespace: str, name: str) -> Stored:
        """Return one object; raises the 404 if it is not there."""
        stored = self.bucket.get(namespace if self.kind.namespaced else "", name)
        if stored is None:
            raise status.not_found(self.kind.group, self.kind.plural, name)
        return stored

    @property
    def field_names(self) -> frozenset[str]:
        """The fields that lists can be selected by."""
        kind = self.kind
        return fields.supported(
            kind.group, kind.plural, namespaced=kind.namespaced, selectable=kind.selectable
        )


class Kinds:
    """The registry; asked on every request, changed when definitions come and go."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._served: dict[tuple[str, str, str], Served] = {}
        self.version = 0  # counts changes of what is served
        for kind in KINDS.values():
            self.add(kind)

    def __iter__(self) -> Iterator[Served]:
        return iter(tuple(self._served.values()))

    def find(self, group: str, version: str, plural: str) -> Served | None:
        """Return a kind by what stands in its path."""
        return self._served.get((group, version, plural))

    def get(self, group: str, version: str, plural: str) -> Served:
        """Return a kind that is known to be there."""
        return self._served[group, version, plural]

    def groups(self) -> dict[str, list[str]]:
        """Return the versions served in each group."""
        found: dict[str, list[str]] = {}
        for group, version, _ in self._served:
            versions = found.setdefault(group, [])
            if version not in versions:
                versions.append(version)
        return found

    def add(self, kind: Kind) -> Served:
        """Serve a kind, in place of an older definition of the same name."""
        if (kind.group, kind.plural) == ("events.k8s.io", "events"):
            bucket = self._bucket("", "events")
            served = Served(kind, bucket, from_storage=events.from_core, to_storage=events.to_core)
        else:
            served = Served(kind, self._bucket(kind.group, kind.plural))
        self._served[kind.group, kind.version, kind.plural] = served
        self.version += 1
        return served

    def replace_custom(self, group: str, plural: str, kinds: Sequence[Kind]) -> None:
        """Serve these versions of a custom resource and no others."""
        served = {(kind.group, kind.version, kind.plural) for kind in kinds}
        for name, old in tuple(self._served.items()):
            if old.kind.custom and (name[0], name[2]) == (group, plural) and name not in served:
                del self._served[name]
                self.version += 1
                if not kinds:
                    old.bucket.close_watches()
        for kind in kinds:
            self.add(kind)
        selectable = {path for kind in kinds for path in kind.selectable}
        self._bucket(group, plural).select_by(fields.fields_of(group, plural, sorted(selectable)))

    def _bucket(self, group: str, plural: str) -> Bucket:
        return self._storage.bucket(group, plural, fields.fields_of(group, plural))
