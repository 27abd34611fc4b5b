"""Strays: reports of audits in namespaces that this operator looked at once, and does not any more.

With a list of target namespaces, mirrors cover these and no others, so that permissions in these are enough;
what was left elsewhere by an earlier list is found by looking once, at the start.

Promises: only reports that say that this operator wrote them are deleted, since others may look after other
namespaces; without the permission to look everywhere nothing is.
"""

from __future__ import annotations

import structlog

from trivyop.control.clock import Clock
from trivyop.controllers.view import AUDIT_REPORT_KINDS
from trivyop.errors import TerminalError, TransientError
from trivyop.kube.client import Api
from trivyop.kube.objects import Object
from trivyop.kube.resources import Resource
from trivyop.report import keys
from trivyop.workload.selection import Namespaces

log = structlog.get_logger(__name__)

_RETRY_SECONDS = 30.0


async def delete_strays(api: Api, namespaces: Namespaces, operator: str, clock: Clock) -> None:
    """Delete the reports that the operator in namespace `operator` wrote outside of `namespaces`."""
    if "" in namespaces.watched:
        return  # mirrors have them all
    for resource in AUDIT_REPORT_KINDS:
        while resource.namespaced:
            try:
                await _delete_of_kind(api, resource, namespaces, operator)
            except TransientError as error:
                log.info("reconcile_deferred", error=str(error), seconds=_RETRY_SECONDS)
                await clock.sleep(_RETRY_SECONDS)
            except TerminalError:
                break  # not ours to see
            else:
                break


async def _delete_of_kind(api: Api, resource: Resource, namespaces: Namespaces, operator: str) -> None:
    ours = f"{keys.MANAGED_BY}={keys.MANAGED_BY_VALUE}"
    listing = await api.list(resource, type=Object, metadata_only=True, label_selector=ours)
    for report in listing.items:
        meta = report.metadata
        wrote_it = (meta.annotations or {}).get(keys.OPERATOR) == operator
        if wrote_it and not namespaces.includes(meta.namespace):
            log.info("report_superfluous", report=str(meta.key), why="namespace is not selected")
            await api.delete(resource, meta.key, uid=meta.uid)
