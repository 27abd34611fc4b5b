"""Records of nodes: the NodeScan objects, read and written.

Their status is written by nobody else, so what we wrote last counts, not what the informer has told so far.

Promises: what is read here is never older than what was written here; an object belongs to its node, and goes
with it.
Not here: what a status says (`audit.nodes.nodescan`), and when one is written (`reconciler.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from trivyop.audit.nodes.nodescan import NODESCANS, NodeScan, NodeScanStatus, to_document
from trivyop.controllers.ahead import Ahead
from trivyop.controllers.informers import Informers
from trivyop.kube.client import Api
from trivyop.kube.resources import NODES, ObjectKey
from trivyop.workload.nodes import ClusterNode


class NodeRecords:
    """The NodeScans, by the name of the node."""

    def __init__(self, api: Api, informers: Informers, lost: Callable[[str], None]) -> None:
        """`lost` is told of one that was gone before the informer told of what we wrote."""
        self._api = api
        self._informers = informers
        self._statuses = Ahead[NodeScanStatus, NodeScan](
            informers.node_scans, lost=lambda key, _: lost(key.name), catches_up=_is_the_written
        )
        self._created = Ahead[NodeScan, NodeScan](informers.node_scans, lost=lambda key, _: lost(key.name))

    def get(self, name: str) -> NodeScan | None:
        """The object; its status may be older than what `status` answers."""
        key = ObjectKey("", name)
        return self._informers.node_scans.get(key) or self._created.get(key)

    def status(self, name: str) -> NodeScanStatus:
        """The status as written last; an empty one without an object."""
        known = self._statuses.get(ObjectKey("", name))
        scan = None if known else self.get(name)
        return known or (scan.status if scan else NodeScanStatus())

    async def create(self, node: ClusterNode) -> NodeScan:
        """Create the object of a node."""
        name = node.metadata.name
        owner = {"apiVersion": NODES.api_version, "kind": NODES.kind, "name": name, "uid": node.metadata.uid}
        body = _document(name)
        body["metadata"] |= {"ownerReferences": [{**owner, "blockOwnerDeletion": False, "controller": True}]}
        scan = msgspec.convert(await self._api.apply(NODESCANS, body), NodeScan)
        if self._informers.node_scans.get(scan.key) is None:
            self._created.put(scan.key, scan)
        return scan

    async def save(self, name: str, status: NodeScanStatus) -> None:
        """Write the status, if it says anything new."""
        if status == self.status(name):
            return
        body = {**_document(name), "status": to_document(status)}
        await self._api.apply(NODESCANS, body, subresource="status")
        key = ObjectKey("", name)
        told = self._informers.node_scans.get(key)
        if told is None or told.status != status:  # the informer may have been faster than the answer
            self._statuses.put(key, status)

    async def delete(self, scan: NodeScan) -> None:
        """Delete the object; its Job goes with it."""
        await self._api.delete(NODESCANS, scan.key, uid=scan.metadata.uid)
        self._statuses.pop(scan.key)
        self._created.pop(scan.key)


def _document(name: str) -> dict[str, Any]:
    return {"apiVersion": NODESCANS.api_version, "kind": NODESCANS.kind, "metadata": {"name": name}}


def _is_the_written(written: NodeScanStatus, old: NodeScan | None, new: NodeScan | None) -> bool:
    replaced = old is not None and (new is None or new.metadata.uid != old.metadata.uid)
    return replaced or (new is not None and new.status == written)
