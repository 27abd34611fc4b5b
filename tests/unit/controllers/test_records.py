"""What we wrote last counts until the informer has observed it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from msgspec.structs import replace

from trivyop.audit.nodes import nodescan
from trivyop.audit.nodes.nodescan import NODESCANS, NodeScan, NodeScanStatus, Phase
from trivyop.controllers.lister import Lister
from trivyop.controllers.records import Records
from trivyop.kube.client import Api
from trivyop.kube.objects import ObjectMeta
from trivyop.kube.resources import ObjectKey, Resource

NAME = "n1"
KEY = ObjectKey("", NAME)
QUEUED, RUNNING = NodeScanStatus(phase=Phase.QUEUED), NodeScanStatus(phase=Phase.RUNNING)
OBJECT = NodeScan(metadata=ObjectMeta(name=NAME, uid="uid-1"))


class World:
    """A server, and a lister that observes what it is shown."""

    def __init__(self) -> None:
        self.written: list[dict[str, Any]] = []
        self.lost: list[str] = []
        self._observed: NodeScan | None = None
        self._lists = 0
        self._handlers: list[Callable[[ObjectKey, NodeScan | None, NodeScan | None], None]] = []
        self._list_handlers: list[Callable[[], None]] = []
        self.records = Records[NodeScan, NodeScanStatus](
            cast("Api", self),
            NODESCANS,
            NodeScan,
            cast("Lister[NodeScan]", self),
            to_document=nodescan.to_document,
            lost=self.lost.append,
        )

    async def apply(
        self, resource: Resource, document: dict[str, Any], *, subresource: str = ""
    ) -> dict[str, Any]:
        self.written.append(document)
        return {**document, "metadata": {**document["metadata"], "uid": "uid-1"}}

    async def delete(self, resource: Resource, key: ObjectKey, *, uid: str) -> bool:
        return True

    def get(self, key: ObjectKey) -> NodeScan | None:
        return self._observed

    def add_handler(self, handler: Callable[[ObjectKey, NodeScan | None, NodeScan | None], None]) -> None:
        self._handlers.append(handler)

    def add_list_handler(self, handler: Callable[[], None]) -> None:
        self._list_handlers.append(handler)

    def lists_begun(self, key: ObjectKey) -> int:
        return self._lists

    def last_list(self, key: ObjectKey) -> int:
        return self._lists

    def observe(self, new: NodeScan | None) -> None:
        old, self._observed = self._observed, new
        for handler in self._handlers:
            handler(KEY, old, new)

    def list_without_it(self) -> None:
        self._lists += 1
        self._observed = None
        for handler in self._list_handlers:
            handler()


async def test_status_is_what_was_written_until_that_is_observed() -> None:
    world = World()
    world.observe(OBJECT)

    await world.records.save(NAME, RUNNING)
    world.observe(replace(OBJECT, status=QUEUED))  # an older write, on its way meanwhile
    assert world.records.status(NAME) == RUNNING

    world.observe(replace(OBJECT, status=RUNNING))
    world.observe(replace(OBJECT, status=QUEUED))
    assert world.records.status(NAME) == QUEUED


async def test_status_that_says_nothing_new_is_not_written() -> None:
    world = World()
    world.observe(replace(OBJECT, status=RUNNING))
    await world.records.save(NAME, RUNNING)
    assert world.written == []


async def test_object_is_there_from_the_answer_on() -> None:
    world = World()
    made = await world.records.write(NAME, {}, ownerReferences=[])
    assert world.records.get(NAME) == made
    assert world.records.status(NAME) == NodeScanStatus()


async def test_object_that_is_gone_before_it_was_observed_is_lost() -> None:
    world = World()
    await world.records.write(NAME, {})
    world.list_without_it()
    assert (world.records.get(NAME), world.lost) == (None, [NAME])


async def test_nothing_is_left_of_what_we_delete() -> None:
    world = World()
    made = await world.records.write(NAME, {})
    await world.records.save(NAME, RUNNING)
    await world.records.delete(made)
    assert (world.records.get(NAME), world.records.status(NAME)) == (None, None)
