"""What counts as written: our own writes, until the informer has told of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest
from msgspec.structs import replace
from prometheus_client import CollectorRegistry

from tests.clock import FakeClock
from tests.kinds import REPORT_KINDS
from trivyop.controllers.informers import BY_DIGEST, Informers
from trivyop.controllers.lister import Handler, Lister
from trivyop.controllers.metrics import ReportMetrics
from trivyop.controllers.reports import Reports
from trivyop.errors import TransientError
from trivyop.kube.client import Api
from trivyop.kube.informer import Informer
from trivyop.kube.objects import Object, ObjectMeta
from trivyop.kube.resources import (
    CLUSTERCOMPLIANCEREPORTS,
    CLUSTERSBOMREPORTS,
    CLUSTERVULNERABILITYREPORTS,
    VULNERABILITYREPORTS,
    ObjectKey,
    Resource,
)
from trivyop.kube.store import Store
from trivyop.report import keys
from trivyop.report.stored import StoredReport
from trivyop.workload.images import ImageKey

KEY = ObjectKey("shop", "pod-web-web")
KINDS = (*REPORT_KINDS, CLUSTERSBOMREPORTS, CLUSTERVULNERABILITYREPORTS, CLUSTERCOMPLIANCEREPORTS)


class Told:
    """Stands in for an informer: its store changes when a test says so."""

    def __init__(self) -> None:
        self.store = Store[StoredReport]({BY_DIGEST: lambda report: (report.digest,)})
        self.handlers: list[Handler[StoredReport]] = []
        self.list_handlers: list[Callable[[], None]] = []
        self.lists_begun = 0
        self.last_list = 0

    def add_list_handler(self, handler: Callable[[], None]) -> None:
        self.list_handlers.append(handler)

    def add_handler(self, handler: Handler[StoredReport], *, replay: bool = True) -> None:
        self.handlers.append(handler)

    def tell(self, report: StoredReport) -> None:
        old = self.store.set(report.key, report)
        for handler in self.handlers:
            handler(report.key, old, report)

    def tell_deleted(self, key: ObjectKey) -> None:
        old = self.store.remove(key)
        for handler in self.handlers:
            handler(key, old, None)

    def begin_list(self) -> None:
        self.lists_begun += 1

    def complete_list(self, *changed: StoredReport) -> None:
        """The list that was begun last is in; it differs from the store in these."""
        for report in changed:
            self.tell(report)
        self.last_list = self.lists_begun
        for handler in self.list_handlers:
            handler()


class Server:
    """Takes whatever is applied; an object keeps its uid until it is deleted."""

    def __init__(self) -> None:
        self.uid = "first"
        self.down = False
        self.on_apply: Callable[[], None] = lambda: None  # runs before the answer

    async def apply(self, resource: Resource, body: dict[str, Any], *, metadata_only: bool) -> dict[str, Any]:
        self.on_apply()
        return {"metadata": {**body["metadata"], "uid": self.uid}}

    async def delete(self, resource: Resource, key: ObjectKey, *, uid: str) -> bool:
        if self.down:
            raise TransientError("the server is down")
        return uid == self.uid


class World:
    """Reports, with all but the server and the informers real."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.server = Server()
        self.told = {kind: Told() for kind in KINDS}
        listers = {
            kind: Lister(kind, {"": cast("Informer[StoredReport]", told)}) for kind, told in self.told.items()
        }
        informers = Informers.__new__(Informers)
        informers._report_labels = ("team",)  # kept of reports that are written as of those that are told
        self.informers = informers
        informers.reports = listers
        self.reports = Reports(
            cast("Api", self.server),
            informers,
            budget_bytes=10**6,
            clock=self.clock,
            metrics=ReportMetrics(CollectorRegistry()),
        )

    async def write(self, content: str) -> StoredReport:
        """Write the report; returns it as the informer will tell of it."""
        report = {
            "metadata": {
                "namespace": KEY.namespace,
                "name": KEY.name,
                "annotations": {keys.CONTENT_HASH: content, keys.IMAGE_DIGEST: content},
            }
        }
        await self.reports.write_object(VULNERABILITYREPORTS, report)
        meta = ObjectMeta(
            name=KEY.name,
            namespace=KEY.namespace,
            uid=self.server.uid,
            annotations={keys.CONTENT_HASH: content, keys.IMAGE_DIGEST: content},
        )
        return self.informers.stored(Object(metadata=meta))

    def digest(self) -> str | None:
        """The digest that the report counts as being of."""
        report = self.reports.get(VULNERABILITYREPORTS, KEY)
        return report.digest if report else None

    @property
    def informer(self) -> Told:
        return self.told[VULNERABILITYREPORTS]


@pytest.fixture
def world() -> World:
    return World()


async def test_written_report_counts_before_the_informer_tells_of_it(world: World) -> None:
    await world.write("a")

    assert world.digest() == "a"


async def test_news_of_an_earlier_write_does_not_undo_a_later_one(world: World) -> None:
    """Else the report would seem to be of the old image, and be scanned for again."""
    first = await world.write("a")
    await world.write("b")

    world.informer.tell(first)

    assert world.digest() == "b"


async def test_news_of_an_earlier_deletion_does_not_undo_a_write(world: World) -> None:
    world.informer.tell(await world.write("a"))
    world.server.uid = "second"
    await world.write("b")

    world.informer.tell_deleted(KEY)

    assert world.digest() == "b"


async def test_report_that_somebody_deletes_is_gone(world: World) -> None:
    world.informer.tell(await world.write("a"))
    world.informer.tell_deleted(KEY)

    assert world.digest() is None


async def test_report_that_somebody_changes_after_us_is_as_they_left_it(world: World) -> None:
    """Also if the informer skipped the state that we wrote, which it does where it lists."""
    first = await world.write("a")
    second = await world.write("b")
    world.informer.tell(first)

    world.informer.begin_list()
    world.informer.complete_list(replace(second, digest="theirs"))

    assert world.digest() == "theirs"


async def test_what_was_written_need_not_be_remembered_once_it_is_told(world: World) -> None:
    """Else it would hide what others make of the report, and be kept for good."""
    written = await world.write("a")
    world.informer.tell(written)
    world.informer.tell(replace(written, digest="theirs"))

    assert world.digest() == "theirs"


async def test_report_that_a_list_comes_without_was_lost(world: World) -> None:
    """It came and went while the informer was cut off: no event will ever tell."""
    lost: list[ObjectKey] = []
    world.reports.add_lost_handler(lambda _kind, key, _report: lost.append(key))
    await world.write("a")

    world.informer.begin_list()
    world.informer.complete_list()

    assert world.digest() is None
    assert lost == [KEY]


async def test_list_that_began_before_a_write_says_nothing_about_it(world: World) -> None:
    world.informer.begin_list()
    await world.write("a")
    world.informer.complete_list()

    assert world.digest() == "a"


async def test_informer_that_is_faster_than_the_answer_is_believed(world: World) -> None:
    """There is nothing to wait for, so what comes next counts at once."""
    told = await World().write("a")
    world.server.on_apply = lambda: world.informer.tell(told)
    await world.write("a")

    world.informer.tell(replace(told, digest="theirs"))

    assert world.digest() == "theirs"


async def test_failed_deletion_is_not_taken_for_ours_later(world: World) -> None:
    """What a user then deletes is a request for a new scan."""
    report = await world.write("a")
    world.server.down = True
    with pytest.raises(TransientError):
        await world.reports.delete(VULNERABILITYREPORTS, report)

    assert not world.reports.deleted_by_us(report.uid)


async def test_whole_reports_are_better_sources_than_shortened_ones(world: World) -> None:
    """What was left out for its size cannot be put back."""
    image = ImageKey("sha256:1", None)
    for name, omitted in (("short", {keys.OMITTED: "links"}), ("whole", {})):
        texts = {keys.IMAGE_DIGEST: image.digest, **omitted}
        meta = ObjectMeta(name=name, namespace="shop", uid=name, annotations=texts)
        world.informer.tell(StoredReport.parse(Object(metadata=meta)))

    found = [report.key.name for report in world.reports.sources(VULNERABILITYREPORTS, image, "")]

    assert found == ["whole", "short"]
