"""Deletes: at once, or in two phases where finalizers, grace periods or dependents ask for it.

Promises: an object with finalizers stays, marked, until the last one is removed; a Pod on a node stays
until its grace period is cut to 0 (by the kubelet); a Namespace and a CustomResourceDefinition stay until
what is in them is gone.
Not here: removing dependents (a controller does), emptying namespaces (likewise).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import orjson

from trivyop.sandbox.apiserver import encoding, status
from trivyop.sandbox.apiserver.reads import Selection
from trivyop.sandbox.apiserver.request import Reply, Request

if TYPE_CHECKING:
    from trivyop.sandbox.apiserver.kinds import Served
    from trivyop.sandbox.apiserver.storage import Stored

Obj = dict[str, Any]

_POD_GRACE_SECONDS = 30
_PROTECTED = ("default", "kube-system", "kube-public", "kube-node-lease")
ORPHAN, FOREGROUND = "orphan", "foregroundDeletion"
CRD_CLEANUP = "customresourcecleanup.apiextensions.k8s.io"


def delete(request: Request, served: Served) -> Reply:
    """DELETE of one object."""
    info, kind = request.info, served.kind
    stored = served.bucket.get(info.namespace if kind.namespaced else "", info.name)
    if stored is None:
        raise status.not_found(info.group, info.resource, info.name)
    if info.resource == "namespaces" and not info.group and info.name in _PROTECTED:
        raise status.forbidden(info.group, info.resource, info.name, "this namespace may not be deleted")
    options = read_options(request)
    _check_preconditions(served, stored, options)
    after, gone = delete_one(served, stored, options, dry_run=request.dry_run or _dry(options))
    if gone and not _returns_object(served):
        return Reply.json(status.deleted(info.name, info.group, info.resource, stored.uid))
    return Reply(200, encoding.one(served, after, request.accepted.form))


def delete_collection(request: Request, served: Served, current_rv: int) -> Reply:
    """DELETE of a collection; answers with the list of what was there."""
    if "deletecollection" not in served.kind.verbs:
        raise status.method_not_allowed()
    selection = Selection.of(request, served)
    options = read_options(request)
    found = [s for s in served.bucket.list(selection.namespace) if s in selection]
    dry_run = request.dry_run or _dry(options)
    deleted = [delete_one(served, stored, options, dry_run=dry_run)[0] for stored in found]
    shown = [
        before if after.rv > before.rv and not after.obj()["metadata"].get("deletionTimestamp") else after
        for before, after in zip(found, deleted, strict=True)
    ]
    metadata = {"resourceVersion": str(current_rv)}
    return Reply(200, encoding.many(served, shown, metadata, request.accepted.form))


def read_options(request: Request) -> Obj:
    """Read DeleteOptions from the body and the query."""
    options: Obj = {}
    if request.body:
        try:
            options = orjson.loads(request.body)
        except orjson.JSONDecodeError:
            options = {}
    for name in ("propagationPolicy",):
        if value := request.query.get(name):
            options[name] = value
    if grace := request.query.get("gracePeriodSeconds"):
        options["gracePeriodSeconds"] = int(grace)
    if orphan := request.query.get("orphanDependents"):
        options["orphanDependents"] = orphan == "true"
    return options


def _dry(options: Obj) -> bool:
    return "All" in (options.get("dryRun") or ())


def _returns_object(served: Served) -> bool:
    return (served.kind.group, served.kind.plural) == ("", "pods")


def _check_preconditions(served: Served, stored: Stored, options: Obj) -> None:
    wanted: Mapping[str, str] = options.get("preconditions") or {}
    group, plural = served.kind.group, served.kind.plural
    if (uid := wanted.get("uid")) and uid != stored.uid:
        why = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {stored.uid}"
        raise status.conflict(group, plural, stored.name, why)
    if (rv := wanted.get("resourceVersion")) and rv != str(stored.rv):
        why = (
            "Precondition failed: ResourceVersion in precondition: "
            f"{rv}, ResourceVersion in object meta: {stored.rv}"
        )
        raise status.conflict(group, plural, stored.name, why)


def delete_one(served: Served, stored: Stored, options: Obj, *, dry_run: bool) -> tuple[Stored, bool]:
    """Delete, or mark as being deleted; returns the state after and whether it is gone."""
    obj = served.obj(stored)
    metadata: Obj = obj["metadata"]
    finalizers = _finalizers(metadata.get("finalizers", []), options)
    grace = _grace(served, obj, options)
    waits = bool(finalizers or grace or _waits_for_contents(served, obj))
    if not waits:
        return (stored if dry_run else served.bucket.remove(stored)), True

    before = orjson.dumps(obj)
    if finalizers:
        metadata["finalizers"] = finalizers
    else:
        metadata.pop("finalizers", None)
    _mark(served, obj, grace)
    if orjson.dumps(obj) == before:
        return stored, False
    return (served.preview(obj) if dry_run else served.put(obj)), False


def finished(served: Served, obj: Obj) -> bool:
    """Return whether an object that is being deleted has nothing left to wait for."""
    metadata = obj["metadata"]
    if not metadata.get("deletionTimestamp") or metadata.get("finalizers"):
        return False
    if (served.kind.group, served.kind.plural) == ("", "namespaces"):
        return not obj.get("spec", {}).get("finalizers")
    return not metadata.get("deletionGracePeriodSeconds")


def _finalizers(present: list[str], options: Obj) -> list[str]:
    """Return the finalizers after the wish for what shall become of dependents."""
    policy = options.get("propagationPolicy")
    if options.get("orphanDependents") is not None:
        policy = "Orphan" if options["orphanDependents"] else "Background"
    if policy is None:
        return list(present)
    kept = [f for f in present if f not in (ORPHAN, FOREGROUND)]
    match policy:
        case "Orphan":
            return [*kept, ORPHAN]
        case "Foreground":
            return [*kept, FOREGROUND]
        case _:
            return kept


def _grace(served: Served, obj: Obj, options: Obj) -> int:
    if (served.kind.group, served.kind.plural) != ("", "pods"):
        return 0
    spec, metadata = obj.get("spec", {}), obj["metadata"]
    if not spec.get("nodeName") or obj.get("status", {}).get("phase") in ("Succeeded", "Failed"):
        return 0
    grace = options.get("gracePeriodSeconds")
    if grace is None:
        grace = spec.get("terminationGracePeriodSeconds", _POD_GRACE_SECONDS)
    if (running := metadata.get("deletionGracePeriodSeconds")) is not None:
        grace = min(grace, running)
    return max(0, grace)


def _waits_for_contents(served: Served, obj: Obj) -> bool:
    return (served.kind.group, served.kind.plural) == ("", "namespaces") and bool(
        obj.get("spec", {}).get("finalizers")
    )


def _mark(served: Served, obj: Obj, grace: int) -> None:
    metadata: Obj = obj["metadata"]
    if not metadata.get("deletionTimestamp"):
        due = datetime.now(UTC) + timedelta(seconds=grace)
        metadata["deletionTimestamp"] = due.strftime("%Y-%m-%dT%H:%M:%SZ")
        if served.kind.rules.generation or served.kind.custom:
            metadata["generation"] = metadata.get("generation", 0) + 1
    if (served.kind.group, served.kind.plural) == ("", "namespaces"):
        obj.setdefault("status", {})["phase"] = "Terminating"
    elif metadata.get("deletionGracePeriodSeconds") != grace:
        metadata["deletionGracePeriodSeconds"] = grace
