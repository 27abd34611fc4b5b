"""Strays: reports of audits that this operator wrote once, and that nobody here looks after any more.

With a list of target namespaces, informers watch these and no others, so that permissions in these are
enough; what was left elsewhere by an earlier list is found by looking once, at the start. So is what audits
left that are switched off now.

Promises: only reports that say that this operator wrote them are deleted, since others may look after other
namespaces, and of NodeScans those of the same nodes; without the permission to look everywhere nothing is.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

import structlog

from trivyop.audit.nodes.nodescan import NODESCANS
from trivyop.control.clock import Clock
from trivyop.controllers.informers import Informers
from trivyop.errors import TerminalError, TransientError
from trivyop.kube.client import Api
from trivyop.kube.objects import Object, ObjectMeta
from trivyop.kube.resources import CLUSTERINFRAASSESSMENTREPORTS, ObjectKey, Resource
from trivyop.report import keys
from trivyop.report.kinds import kind_of, reports_of_audits
from trivyop.settings import Settings
from trivyop.workload.selection import Namespaces

log = structlog.get_logger(__name__)

_RETRY_SECONDS = 30.0


async def delete_strays(api: Api, namespaces: Namespaces, operator: str, clock: Clock) -> None:
    """Delete the reports that the operator in namespace `operator` wrote outside of `namespaces`."""
    if "" in namespaces.watched:
        return  # the informers have them all

    async def delete(resource: Resource) -> None:
        for meta in await _written_by(api, resource, "", operator):
            if not namespaces.includes(meta.namespace):
                await _delete(api, resource, meta, why="namespace is not selected")

    for resource in reports_of_audits():
        if resource.namespaced:
            await _at_last(partial(delete, resource), clock)


async def delete_switched_off(api: Api, informers: Informers, settings: Settings, clock: Clock) -> None:
    """Delete the reports that this operator wrote of kinds that settings switch off.

    The informers must be synced.
    """
    operator = settings.operator.namespace

    async def delete(resource: Resource) -> None:
        lister = informers.reports[resource]
        for scope in lister.scopes if len(lister) else ():
            for meta in await _written_by(api, resource, scope, operator):
                if resource is CLUSTERINFRAASSESSMENTREPORTS and (report := lister.get(meta.key)) is not None:
                    await api.delete(NODESCANS, ObjectKey("", report.owner.rpartition("/")[2]))
                await _delete(api, resource, meta, why="audits are switched off")

    for resource in reports_of_audits():
        if not kind_of(resource).enabled(settings):
            await _at_last(partial(delete, resource), clock)


async def _at_last(delete: Callable[[], Awaitable[None]], clock: Clock) -> None:
    """Delete, again and again until it works, or cannot."""
    while True:
        try:
            await delete()
        except TransientError as error:
            log.info("reconcile_deferred", error=str(error), seconds=_RETRY_SECONDS)
            await clock.sleep(_RETRY_SECONDS)
        except TerminalError:
            return  # not ours to see
        else:
            return


async def _written_by(api: Api, resource: Resource, namespace: str, operator: str) -> list[ObjectMeta]:
    ours = f"{keys.MANAGED_BY}={keys.MANAGED_BY_VALUE}"
    listing = await api.list(
        resource, type=Object, namespace=namespace, metadata_only=True, label_selector=ours
    )
    metas = (report.metadata for report in listing.items)
    return [meta for meta in metas if (meta.annotations or {}).get(keys.OPERATOR) == operator]


async def _delete(api: Api, resource: Resource, meta: ObjectMeta, *, why: str) -> None:
    log.info("report_superfluous", report=str(meta.key), why=why)
    await api.delete(resource, meta.key, uid=meta.uid)
