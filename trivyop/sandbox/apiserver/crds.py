"""Definitions: custom resources come and go with their CustomResourceDefinitions.

A definition that was stored is established soon after, as the real server's controllers do it; from then on
its kinds are served. Deleting it deletes its objects, and the definition goes when the last one went.

Promises: objects in storage are those of definitions in storage.
Not here: whether a definition is sound (``objects.crd``).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from trivyop.sandbox.apiserver import deletes
from trivyop.sandbox.apiserver.interim import crd
from trivyop.sandbox.apiserver.writes import now

if TYPE_CHECKING:
    from trivyop.sandbox.apiserver.kinds import Kinds
    from trivyop.sandbox.apiserver.storage import Change

Obj = dict[str, Any]
GROUP = "apiextensions.k8s.io"


class Definitions:
    """Reacts to changes of CustomResourceDefinitions."""

    def __init__(self, kinds: Kinds) -> None:
        self._kinds = kinds
        self._served = kinds.get(GROUP, "v1", "customresourcedefinitions")

    def start(self) -> None:
        """Watch the definitions."""
        self._served.bucket.watchers.add(self._changed)

    def _changed(self, change: Change) -> None:
        state = change.new or change.gone
        if state is not None:  # a write within a write would reach watchers before the one it follows from
            asyncio.get_running_loop().call_soon(self.settle, state.name)

    def settle(self, name: str) -> None:
        """Bring one definition's status, and what is served for it, up to date."""
        plural, _, group = name.partition(".")
        stored = self._served.bucket.get("", name)
        if stored is None:
            self._kinds.replace_custom(group, plural, [])
            return
        definition = self._served.obj(stored)
        if definition["metadata"].get("deletionTimestamp"):
            self._terminate(definition)
            return
        settled = crd.established(definition, now())
        if settled != definition:
            self._served.put(settled)
        self._kinds.replace_custom(group, plural, crd.kinds_of(settled))

    def _terminate(self, definition: Obj) -> None:
        spec, metadata = definition["spec"], definition["metadata"]
        version = next(v["name"] for v in spec["versions"] if v["served"])
        served = self._kinds.find(spec["group"], version, spec["names"]["plural"])
        left = 0
        if served is not None:
            for stored in list(served.bucket):
                _, gone = deletes.delete_one(served, stored, {}, dry_run=False)
                left += not gone
        finalizers = metadata.get("finalizers", [])
        if not left and deletes.CRD_CLEANUP in finalizers:
            metadata["finalizers"] = [f for f in finalizers if f != deletes.CRD_CLEANUP]
            live = self._served.bucket.get("", metadata["name"])
            if live and deletes.finished(self._served, definition):
                self._served.bucket.remove(live, definition)
            else:
                self._served.put(definition)
