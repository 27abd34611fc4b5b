"""Deletes: at once, or in two phases where finalizers, grace periods or dependents ask for it.

Promises: an object with finalizers stays, marked, until the last one is removed; a Pod on a node stays
until its grace period is cut to 0 (by the kubelet); a Namespace and a CustomResourceDefinition stay until
what is in them is gone.
Not here: removing dependents and emptying namespaces (controllers do).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from trivyop.kube.times import format_time
from trivyop.sandbox.apiserver import encoding, status
from trivyop.sandbox.apiserver.objects import crd
from trivyop.sandbox.apiserver.reads import Selection
from trivyop.sandbox.apiserver.request import Reply, Request, check_dry_run

if TYPE_CHECKING:
    from trivyop.sandbox.apiserver.kinds import Served
    from trivyop.sandbox.apiserver.storage import Stored

Obj = dict[str, Any]

_POD_GRACE_SECONDS = 30
_PROTECTED = ("default", "kube-system", "kube-public")
_ANSWERED_WITH_OBJECT = (
    "persistentvolumeclaims",
    "persistentvolumes",
    "pods",
    "podtemplates",
    "resourcequotas",
    "serviceaccounts",
    "services",
)
_JOB_WARNING = (
    "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove"
    " them or set propagationPolicy=Orphan to suppress this warning"
)
_ORPHAN, _FOREGROUND = "orphan", "foregroundDeletion"
CRD_CLEANUP = "customresourcecleanup.apiextensions.k8s.io"

_POLICIES = ("Foreground", "Background", "Orphan")


class Deleted(NamedTuple):
    """What became of an object."""

    state: Stored
    gone: bool


def delete(request: Request, served: Served) -> Reply:
    """DELETE of one object."""
    info = request.info
    options = read_options(request)
    stored = served.named(info.namespace, info.name)
    if _is(served, "namespaces") and info.name in _PROTECTED:
        raise status.forbidden(info.group, info.resource, info.name, "this namespace may not be deleted")
    _check_preconditions(served, stored, options)
    deleted = delete_one(served, stored, options)
    if deleted.gone and not (info.group == "" and info.resource in _ANSWERED_WITH_OBJECT):
        return Reply.json(status.deleted(info.name, info.group, info.resource, stored.uid))
    warnings = (_JOB_WARNING,) if _is_job(served) and not _says_what_of_dependents(options) else ()
    return Reply(200, encoding.one(served, deleted.state, request.accepted.form), warnings=warnings)


def delete_collection(request: Request, served: Served, current_rv: int) -> Reply:
    """DELETE of a collection; answers with the list of what was there."""
    selection = Selection.of(request, served)
    options = read_options(request)
    found = [stored for stored in served.bucket.list(selection.namespace) if stored in selection]
    for stored in found:
        delete_one(served, stored, options)
    metadata = encoding.list_metadata(served, current_rv, request.accepted.form)
    return Reply(200, encoding.many(served, found, metadata, request.accepted.form))


def read_options(request: Request) -> Obj:
    """Read DeleteOptions from the query and the body, which wins; raises the 4xx of bad ones."""
    query, options = request.query, dict[str, Any]()
    if policy := query.get("propagationPolicy"):
        options["propagationPolicy"] = policy
    if orphan := query.get("orphanDependents"):
        options["orphanDependents"] = orphan in ("true", "1")
    if grace := query.get("gracePeriodSeconds"):
        try:
            options["gracePeriodSeconds"] = int(grace)
        except ValueError:
            raise status.bad_request(f'strconv.ParseInt: parsing "{grace}": invalid syntax') from None
    if dry_run := query.get("dryRun"):
        options["dryRun"] = [dry_run]
    if request.body:
        options |= request.decoded()
    check_dry_run(options.get("dryRun") or (), "DeleteOptions")
    policy = options.get("propagationPolicy")
    if policy is not None and options.get("orphanDependents") is not None:
        why = "orphanDependents and deletionPropagation cannot be both set"
        raise _bad_policy("Invalid", f'Invalid value: "{policy}": {why}')
    if policy is not None and policy not in _POLICIES:
        supported = '"Foreground", "Background", "Orphan", "nil"'
        raise _bad_policy("NotSupported", f'Unsupported value: "{policy}": supported values: {supported}')
    return options


def _bad_policy(reason: str, message: str) -> status.Refused:
    error = status.FieldError(f"FieldValue{reason}", "propagationPolicy", message)
    return status.invalid("DeleteOptions", "meta.k8s.io", "", [error])


def _check_preconditions(served: Served, stored: Stored, options: Obj) -> None:
    wanted: Mapping[str, str] = options.get("preconditions") or {}
    kind = served.kind
    if (uid := wanted.get("uid")) and uid != stored.uid:
        why = (
            f"the UID in the precondition ({uid}) does not match the UID in record ({stored.uid})."
            " The object might have been deleted and then recreated"
        )
        raise status.conflict(kind.group, kind.kind, stored.name, why)
    if (rv := wanted.get("resourceVersion")) and rv != str(stored.rv):
        why = (
            f"the ResourceVersion in the precondition ({rv}) does not match the ResourceVersion in record"
            f" ({stored.rv}). The object might have been modified"
        )
        raise status.conflict(kind.group, kind.kind, stored.name, why)


def delete_one(served: Served, stored: Stored, options: Obj) -> Deleted:
    """Delete, or mark as being deleted."""
    dry_run = bool(options.get("dryRun"))
    obj = stored.obj()
    if _is_definition(served) and not obj["metadata"].get("deletionTimestamp"):
        obj = crd.terminating(obj, _time())
    metadata: Obj = obj["metadata"]
    finalizers = _finalizers(served, metadata.get("finalizers", []), options)
    graceful = _is(served, "pods")
    grace = _grace(obj, options) if graceful else 0
    waits = bool(finalizers or grace or _has_contents(served, obj))
    if not waits and not graceful:
        return Deleted(stored if dry_run else served.bucket.remove(stored), gone=True)

    before = orjson.dumps(obj)
    metadata["finalizers"] = finalizers
    if not finalizers:
        del metadata["finalizers"]
    _mark(served, obj, grace)
    if orjson.dumps(obj) == before:
        state = stored
    elif dry_run:
        state = served.bucket.preview(obj, stored.rv)
    else:
        state = served.bucket.put(obj)
    if not waits and not dry_run:
        served.bucket.remove(state)
    return Deleted(state, gone=not waits)


def finished(served: Served, obj: Obj) -> bool:
    """Return whether an object that is being deleted has nothing left to wait for."""
    metadata = obj["metadata"]
    if not metadata.get("deletionTimestamp") or metadata.get("finalizers"):
        return False
    return not metadata.get("deletionGracePeriodSeconds") and not _has_contents(served, obj)


def _is(served: Served, plural: str) -> bool:
    return served.kind.group == "" and served.kind.plural == plural


def _is_job(served: Served) -> bool:
    return (served.kind.group, served.kind.plural) == ("batch", "jobs")


def _says_what_of_dependents(options: Obj) -> bool:
    return options.get("propagationPolicy") is not None or options.get("orphanDependents") is not None


def _is_definition(served: Served) -> bool:
    return served.kind.plural == "customresourcedefinitions" and not served.kind.custom


def _finalizers(served: Served, present: list[str], options: Obj) -> list[str]:
    """Return the finalizers after the wish for what shall become of dependents."""
    if _is_definition(served):
        return list(dict.fromkeys((*present, CRD_CLEANUP)))
    policy = options.get("propagationPolicy")
    if (orphan := options.get("orphanDependents")) is not None:
        policy = "Orphan" if orphan else "Background"
    if policy is None and _is_job(served):
        policy = "Orphan"
    if policy is None:
        return list(present)
    kept = [finalizer for finalizer in present if finalizer not in (_ORPHAN, _FOREGROUND)]
    match policy:
        case "Orphan":
            return [*kept, _ORPHAN]
        case "Foreground":
            return [*kept, _FOREGROUND]
        case _:
            return kept


def _grace(obj: Obj, options: Obj) -> int:
    """Return how many seconds a Pod has left to end."""
    spec, metadata = obj.get("spec", {}), obj["metadata"]
    if not spec.get("nodeName") or obj.get("status", {}).get("phase") in ("Succeeded", "Failed"):
        return 0
    grace = options.get("gracePeriodSeconds")
    if grace is None:
        grace = spec.get("terminationGracePeriodSeconds", _POD_GRACE_SECONDS)
    if (running := metadata.get("deletionGracePeriodSeconds")) is not None:
        grace = min(grace, running)
    return 1 if grace < 0 else grace  # as the real server reads a negative wish


def _has_contents(served: Served, obj: Obj) -> bool:
    return _is(served, "namespaces") and bool(obj.get("spec", {}).get("finalizers"))


def _mark(served: Served, obj: Obj, grace: int) -> None:
    metadata: Obj = obj["metadata"]
    definition, namespace = _is_definition(served), _is(served, "namespaces")
    fresh = not metadata.get("deletionTimestamp")
    if fresh or metadata.get("deletionGracePeriodSeconds", 0) != grace:
        metadata["deletionTimestamp"] = _time(in_seconds=grace)
    if fresh and metadata.get("generation") and not definition:
        metadata["generation"] += 1
    if namespace:
        obj.setdefault("status", {})["phase"] = "Terminating"
    elif not definition:
        metadata["deletionGracePeriodSeconds"] = grace


def _time(in_seconds: int = 0) -> str:
    return format_time(datetime.now(UTC) + timedelta(seconds=in_seconds))
