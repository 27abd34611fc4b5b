"""Jobs that run: what counts for an owner, for how long, and what it costs in slots."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import cast

import pytest

from tests.clock import FakeClock
from trivyop.control.queue import Priority
from trivyop.controllers.lister import Lister
from trivyop.controllers.runningjobs import RunningJobs
from trivyop.kube.jobs import JobCondition, JobStatus, OwnJob
from trivyop.kube.objects import ObjectMeta
from trivyop.kube.resources import PODS, ObjectKey
from trivyop.scan.slots import Slots

OWNER, KEY, UID = "one", ObjectKey("trivy-system", "one-1"), "uid-1"


def job(*conditions: str, uid: str = UID, active: int = 0) -> OwnJob:
    met = tuple(JobCondition(type_, "True") for type_ in conditions)
    meta = ObjectMeta(name=KEY.name, namespace=KEY.namespace, uid=uid)
    return OwnJob(metadata=meta, status=JobStatus(conditions=met, active=active))


class Jobs:
    """A lister of at most one Job."""

    def __init__(self) -> None:
        self.found: OwnJob | None = None
        self.handlers: list[Callable[[ObjectKey, OwnJob | None, OwnJob | None], None]] = []

    def get(self, _: ObjectKey) -> OwnJob | None:
        return self.found

    def add_handler(self, handler: Callable[[ObjectKey, OwnJob | None, OwnJob | None], None]) -> None:
        self.handlers.append(handler)

    def add_list_handler(self, handler: Callable[[], None]) -> None:
        pass

    def lists_begun(self, _: ObjectKey) -> int:
        return 0


class World:
    """Jobs as observed, and what is made of them."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.jobs = Jobs()
        self.freed: list[str] = []
        self.changed: list[str] = []
        self.running = RunningJobs(
            cast("Lister[OwnJob]", self.jobs),
            Lister(PODS, {}),
            (),
            Slots(1, self._free),
            self.clock,
            owner_of=lambda one: one.metadata.name.partition("-")[0],
            changed=self.changed.append,
        )
        self.running.listen()

    def _free(self, owner: str, _: Priority) -> None:
        self.freed.append(owner)

    def observe(self, found: OwnJob | None) -> None:
        old, self.jobs.found = self.jobs.found, found
        for handler in self.jobs.handlers:
            handler(KEY, old, found)

    @property
    def lonely(self) -> timedelta:
        found = self.running.get(OWNER)
        assert found is not None
        return found.lonely


def test_job_counts_from_its_creation_until_it_ends() -> None:
    world = World()
    world.running.slots.acquire(OWNER, Priority.USER)
    world.running.made(OWNER, KEY, UID)
    before = world.running.get(OWNER)

    world.observe(job())
    world.running.slots.acquire("other", Priority.USER)
    assert OWNER in world.running
    world.observe(job("Complete"))

    assert before is not None
    assert (before.key, before.uid) == (KEY, UID)
    assert OWNER not in world.running
    assert world.freed == ["other"]


def test_end_of_a_job_of_before_ends_nothing() -> None:
    """A Job with the same name took its place, before the informer said that the first was gone."""
    world = World()
    world.observe(job(uid="uid-0"))
    world.running.drop(OWNER, KEY)
    world.running.made(OWNER, KEY, UID)

    world.observe(None)

    found = world.running.get(OWNER)
    assert found is not None
    assert found.uid == UID


@pytest.mark.parametrize("end", ["Complete", "Failed"])
def test_dropped_job_does_not_count_whatever_comes(end: str) -> None:
    world = World()
    world.observe(job())
    world.running.drop(OWNER, KEY)

    assert OWNER not in world.running
    assert not world.running.counts(job(end))


def test_job_that_was_held_back_is_without_a_pod_only_since_its_release() -> None:
    world = World()
    world.observe(job("Suspended"))
    world.clock.advance(100)
    held_back = world.lonely
    world.observe(job("Suspended", active=0))
    world.observe(job())
    world.clock.advance(7)

    assert held_back == timedelta()
    assert world.lonely == timedelta(seconds=7)
