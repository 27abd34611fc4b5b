"""Who asked for a report is served, or goes on asking."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import cast

import pytest

from trivyop.controllers.images.delivery import Delivery
from trivyop.controllers.images.pending import PendingRequests
from trivyop.controllers.images.targets import Target, Targets
from trivyop.errors import TransientError
from trivyop.kube.resources import ObjectKey
from trivyop.workload.images import ImageKey
from trivyop.workload.owners import WorkloadKind, WorkloadRef

SCAN = "sha256-1"
IMAGE = ImageKey("sha256:1", None)
WEB, API = (WorkloadRef(WorkloadKind.POD, ObjectKey("shop", name)) for name in ("web", "api"))


class World:
    """Workloads of one container each, which stands for its own target; those in `lacking` lack a report."""

    def __init__(self, *lacking: WorkloadRef) -> None:
        self.lacking = set(lacking)
        self.pending = PendingRequests(cast("Targets", self), cast("Delivery", self))

    def of_workloads(self, scan: str, refs: Iterable[WorkloadRef]) -> Iterator[Target]:
        return iter(cast("Iterable[Target]", refs))

    def is_missing(self, target: Target, image: ImageKey, settings_hash: str) -> bool:
        return target in self.lacking

    def served(self) -> list[WorkloadRef]:
        """Serve whoever asks; returns them."""
        with self.pending.serving(SCAN) as targets:
            return cast("list[WorkloadRef]", list(targets))


async def test_nobody_lacks_anything_who_did_not_ask() -> None:
    assert not await World(WEB).pending.any_lacks(SCAN, IMAGE, "")


async def test_who_lacks_something_goes_on_asking() -> None:
    world = World(WEB)
    world.pending.add(SCAN, WEB)

    assert await world.pending.any_lacks(SCAN, IMAGE, "")
    assert world.served() == [WEB]


async def test_who_lacks_nothing_stops_asking() -> None:
    world = World(WEB)
    world.pending.add(SCAN, API)
    world.pending.add(SCAN, WEB)

    assert await world.pending.any_lacks(SCAN, IMAGE, "")
    assert world.served() == [WEB]


async def test_who_was_served_stops_asking() -> None:
    world = World(WEB)
    world.pending.add(SCAN, WEB)

    assert world.served() == [WEB]
    assert not await world.pending.any_lacks(SCAN, IMAGE, "")


async def test_who_was_served_in_vain_goes_on_asking() -> None:
    world = World(WEB)
    world.pending.add(SCAN, WEB)

    with pytest.raises(TransientError), world.pending.serving(SCAN):
        raise TransientError("the server is down")

    assert await world.pending.any_lacks(SCAN, IMAGE, "")


async def test_who_asks_while_others_are_served_is_served_next() -> None:
    """Its report was perhaps not among those that are just being written."""
    world = World(WEB, API)
    world.pending.add(SCAN, WEB)

    with world.pending.serving(SCAN):
        world.pending.add(SCAN, API)

    assert world.served() == [API]


async def test_scan_that_is_forgotten_has_nobody_asking() -> None:
    world = World(WEB)
    world.pending.add(SCAN, WEB)

    world.pending.forget(SCAN)

    assert not await world.pending.any_lacks(SCAN, IMAGE, "")
