"""Snapshot: what runs, read once instead of being watched; for commands that look and leave."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import structlog

from trivyop.controllers.informers import WORKLOAD_STRUCTS
from trivyop.errors import TerminalError
from trivyop.kube.client import Api
from trivyop.kube.resources import NODES, Resource
from trivyop.kube.store import Store
from trivyop.workload.objects import Node
from trivyop.workload.owners import BY_CONTROLLER, WorkloadKind, WorkloadRef, controller_uids
from trivyop.workload.resolve import Listers

log = structlog.get_logger(__name__)


class Snapshot:
    """The workloads, pods and nodes of one moment."""

    def __init__(self, stores: Mapping[WorkloadKind, Store[Any]], nodes: Store[Node]) -> None:
        self._stores = stores
        self._nodes = nodes
        self.listers = Listers(
            pods=stores[WorkloadKind.POD],
            replica_sets=stores[WorkloadKind.REPLICA_SET],
            replication_controllers=stores[WorkloadKind.REPLICATION_CONTROLLER],
            stateful_sets=stores[WorkloadKind.STATEFUL_SET],
            daemon_sets=stores[WorkloadKind.DAEMON_SET],
            jobs=stores[WorkloadKind.JOB],
            cron_jobs=stores[WorkloadKind.CRON_JOB],
            nodes=nodes,
        )

    @classmethod
    async def read(cls, api: Api, namespace: str = "") -> Snapshot:
        """Read what runs in `namespace`, "" for all; a kind that may not be read counts as empty."""
        stores: dict[WorkloadKind, Store[Any]] = {}
        for kind, struct in WORKLOAD_STRUCTS.items():
            stores[kind] = Store({BY_CONTROLLER: controller_uids})
            await _fill(stores[kind], api, kind.resource, struct, namespace)
        nodes = Store[Node]()
        await _fill(nodes, api, NODES, Node, "")
        return cls(stores, nodes)

    def workloads(self) -> Iterable[WorkloadRef]:
        """Everything that might be a workload."""
        for kind, store in self._stores.items():
            for key in store:
                yield WorkloadRef(kind, key)

    def sole_platform(self) -> str | None:
        """The platform of the nodes, if they all have the same."""
        platforms = {node.platform for node in self._nodes.values() if node.platform}
        return platforms.pop() if len(platforms) == 1 else None


async def _fill(store: Store[Any], api: Api, resource: Resource, struct: type[Any], namespace: str) -> None:
    try:
        listing = await api.list(resource, type=struct, namespace=namespace)
    except TerminalError as error:
        log.warning("kind_not_readable", kind=resource.name, problem=str(error))
        return
    for item in listing.items:
        store.set(item.metadata.key, item)
