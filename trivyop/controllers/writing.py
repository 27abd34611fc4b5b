"""Writing: how a built report is brought to the server, by its size.

Small reports are applied, which keeps what others set and costs one request. For a large one an apply costs
the API server twice what a plain write does, because it compares field by field what everybody holds: 1.1 to
1.6 s of its CPU for 861 kB, where a PUT costs 0.74 s and a POST 0.56 s (Kubernetes 1.36). So large ones
are created, and later replaced with the resource version that was read; labels, annotations, finalizers and
owners of others are sent along. Where others hold more than that, a large report is applied, too.

Promises: no field of an earlier report stays behind, whichever way either was written.
Not here: what is worth writing, and what becomes of refusals (``reports.py``).
"""

from __future__ import annotations

from typing import Any, Final

import structlog

from trivyop.errors import AlreadyExistsError, ConflictError, NotFoundError
from trivyop.kube.applying import without_empty_maps
from trivyop.kube.client import FIELD_MANAGER, Api
from trivyop.kube.ownership import as_applied, is_updated_by, take_over, with_others_metadata
from trivyop.kube.resources import ObjectKey, Resource

log = structlog.get_logger(__name__)

LARGE_BYTES: Final = (
    100_000  # where the read that a replace takes (1 ms) is nothing beside what it saves (50 ms)
)
_ATTEMPTS: Final = 3  # somebody may write at the same time; more is for the worker loop


async def write_report(
    api: Api, resource: Resource, report: dict[str, Any], *, size: int, there: bool, foreign: bool
) -> dict[str, Any]:
    """Write a report of ``size`` bytes; the answer has its metadata.

    ``there``: one of its name exists, as far as we know. ``foreign``: another program wrote that one.
    """
    meta = report["metadata"]
    key = ObjectKey(meta.get("namespace", ""), meta["name"])
    if foreign:
        await _adopt(api, resource, key)
    elif size >= LARGE_BYTES:
        answer = await _replace(api, resource, key, report, there=there)
        if answer is not None:
            return answer
    answer = await api.apply(resource, report, metadata_only=True)
    if is_updated_by(answer["metadata"].get("managedFields") or (), FIELD_MANAGER):  # it was replaced once
        await _disown_updates(api, resource, key, answer["metadata"])
        answer = await api.apply(resource, report, metadata_only=True)
    return answer


async def _replace(
    api: Api, resource: Resource, key: ObjectKey, report: dict[str, Any], *, there: bool
) -> dict[str, Any] | None:
    """Create or replace it; None if only an apply would keep what others set."""
    report = without_empty_maps(report)  # as an apply leaves them out
    for _ in range(_ATTEMPTS):
        if not there:
            try:
                return await api.create(resource, report, field_manager=FIELD_MANAGER, metadata_only=True)
            except AlreadyExistsError:
                there = True
        present = await api.get(resource, key, dict[str, Any], metadata_only=True)
        if present is None:
            there = False
            continue
        meta = with_others_metadata(report["metadata"], present["metadata"], FIELD_MANAGER)
        if meta is None:
            return None
        body = {**report, "metadata": meta}
        try:
            return await api.replace(resource, key, body, field_manager=FIELD_MANAGER, metadata_only=True)
        except NotFoundError:
            there = False
        except ConflictError:
            continue
    raise ConflictError(f"{resource.kind} {key} changes as fast as it is read")


async def _adopt(api: Api, resource: Resource, key: ObjectKey) -> None:
    """Own the fields of a report that another program wrote, so that applying ours leaves none behind."""
    there = await api.get(resource, key, dict[str, Any], metadata_only=True)
    if there is None:
        return
    log.info("report_adopted", kind=resource.kind, report=str(key))
    meta = there["metadata"]
    await _set_managed_fields(
        api, resource, key, meta, take_over(meta.get("managedFields") or (), FIELD_MANAGER, "report")
    )


async def _disown_updates(api: Api, resource: Resource, key: ObjectKey, meta: dict[str, Any]) -> None:
    await _set_managed_fields(api, resource, key, meta, as_applied(meta["managedFields"], FIELD_MANAGER))


async def _set_managed_fields(
    api: Api, resource: Resource, key: ObjectKey, meta: dict[str, Any], entries: list[Any]
) -> None:
    patch = {"metadata": {"managedFields": entries, "resourceVersion": meta["resourceVersion"]}}
    await api.patch(resource, key, patch)
