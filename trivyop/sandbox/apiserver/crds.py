"""Definitions: custom resources come and go with their CustomResourceDefinitions.

A definition that was stored is established soon after, as the real server's controllers do it; from then on
its kinds are served. When it is changed, the watches of its kinds end. Deleting it deletes its objects, and
the definition goes when the last one went.

Promises: objects in storage are those of definitions in storage.
Not here: whether a definition is sound (``objects.crd``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from trivyop.sandbox.apiserver import deletes, status
from trivyop.sandbox.apiserver.objects import crd
from trivyop.sandbox.apiserver.objects.plain import list_at
from trivyop.sandbox.apiserver.stamps import now

if TYPE_CHECKING:
    from trivyop.sandbox.apiserver.kinds import Kinds
    from trivyop.sandbox.apiserver.storage import Change

Obj = dict[str, Any]
_IN_PROGRESS = {"reason": "InstanceDeletionInProgress", "message": "CustomResource deletion is in progress"}
GROUP = "apiextensions.k8s.io"


class Definitions:
    """Reacts to changes of CustomResourceDefinitions."""

    def __init__(self, kinds: Kinds, redefined: Callable[[str, str], None] | None = None) -> None:
        """`redefined` is called with the group and plural of a kind whose definition changed."""
        self._kinds = kinds
        self._redefined = redefined
        self._served = kinds.get(GROUP, "v1", "customresourcedefinitions")
        self._terminating: set[str] = set()

    def start(self) -> None:
        """Watch the definitions."""
        self._served.bucket.watchers.add(self._changed)

    def admit(self, group: str, plural: str, name: str) -> None:
        """Refuse a new object of a kind whose definition is being deleted."""
        if f"{plural}.{group}" in self._terminating:
            why = "create not allowed while custom resource definition is terminating"
            raise status.forbidden(group, plural, name, why)

    def settle_all(self) -> None:
        """Serve what is defined now, after storage was replaced as a whole."""
        self._terminating.clear()
        defined = {stored.name for stored in self._served.bucket}
        for served in self._kinds:
            kind = served.kind
            if kind.custom and f"{kind.plural}.{kind.group}" not in defined:
                self._kinds.replace_custom(kind.group, kind.plural, [])
        for name in defined:
            self.settle(name)

    def _changed(self, change: Change) -> None:
        state = change.new or change.gone
        if change.old is not None and change.new is not None:
            self._end_watches(self._served.obj(change.old), self._served.obj(change.new))
        if state is not None:  # a write within a write would reach watchers before the one it follows from
            asyncio.get_running_loop().call_soon(self.settle, state.name)

    def _end_watches(self, old: Obj, new: Obj) -> None:
        """End the watches of a kind that is served anew, if its definition was changed."""
        if old["spec"] == new["spec"] or not _is_established(old):
            return
        group, plural = new["spec"]["group"], new["spec"]["names"]["plural"]
        for served in self._kinds:
            if (served.kind.group, served.kind.plural) == (group, plural):
                served.bucket.close_watches()
        if self._redefined is not None:
            self._redefined(group, plural)

    def settle(self, name: str) -> None:
        """Bring one definition's status, and what is served for it, up to date."""
        plural, _, group = name.partition(".")
        stored = self._served.bucket.get("", name)
        if stored is None:
            self._terminating.discard(name)
            self._kinds.replace_custom(group, plural, [])
            self._settle_refused(group)
            return
        definition = self._served.obj(stored)
        if definition["metadata"].get("deletionTimestamp"):
            self._terminating.add(name)
            self._terminate(definition)
            return
        settled = crd.established(definition, now(), self._others(group, name))
        if settled != definition:
            self._served.put(settled)
        if _is_established(settled):
            self._kinds.replace_custom(group, plural, crd.kinds_of(settled))

    def _others(self, group: str, name: str) -> list[Obj]:
        """Return the definitions whose names this one may not use."""
        names = [stored for stored in self._served.bucket if stored.name.partition(".")[2] == group]
        return [stored.obj() for stored in names if stored.name != name]

    def _settle_refused(self, group: str) -> None:
        """Look again at definitions whose names were taken; they may be free now."""
        for stored in list(self._served.bucket):
            if stored.name.partition(".")[2] == group and not _is_established(stored.obj()):
                self.settle(stored.name)

    def _terminate(self, definition: Obj) -> None:
        """Delete the objects; when none is left, the definition may go."""
        spec, metadata = definition["spec"], definition["metadata"]
        bucket_of = (spec["group"], spec["names"]["plural"])
        served = next((s for s in self._kinds if (s.kind.group, s.kind.plural) == bucket_of), None)
        if served is not None:
            for stored in list(served.bucket):
                if b'"deletionTimestamp"' not in stored.body:
                    deletes.delete_one(served, stored, {})
            if len(served.bucket):
                served.bucket.watchers.add(self._last_one)
                self._say_in_progress(definition)
                return
            served.bucket.watchers.discard(self._last_one)
        finalizers = [f for f in metadata.get("finalizers", []) if f != deletes.CRD_CLEANUP]
        live = self._served.bucket.get("", metadata["name"])
        if live is None:
            return
        if not finalizers:
            self._served.bucket.remove(live)
        elif finalizers != metadata.get("finalizers"):
            self._served.put(definition | {"metadata": metadata | {"finalizers": finalizers}})

    def _say_in_progress(self, definition: Obj) -> None:
        conditions: list[Obj] = definition["status"]["conditions"]
        for condition in conditions:
            if condition["type"] == "Terminating" and condition["reason"] != _IN_PROGRESS["reason"]:
                condition.update(_IN_PROGRESS)
                self._served.put(definition)

    def _last_one(self, change: Change) -> None:
        if change.new is None:
            for name in self._terminating:
                asyncio.get_running_loop().call_soon(self.settle, name)


def _is_established(definition: Obj) -> bool:
    conditions: list[Obj] = list_at(definition, "status", "conditions")
    return any(c["type"] == "Established" and c["status"] == "True" for c in conditions)
