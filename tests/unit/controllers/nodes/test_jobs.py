"""Jobs that read nodes: what a Job counts for while it is being removed."""

from __future__ import annotations

from typing import Any, cast

import pytest

from tests.clock import FakeClock
from trivyop.audit.nodes.job import CollectorJob, collector_job_name
from trivyop.controllers.informers import Informers
from trivyop.controllers.lister import Lister
from trivyop.controllers.nodes.jobs import NodeJobs
from trivyop.errors import ForbiddenError, TransientError
from trivyop.kube.client import Api
from trivyop.kube.informer import Informer
from trivyop.kube.jobs import JobCondition, JobStatus
from trivyop.kube.objects import ObjectMeta
from trivyop.kube.resources import JOBS, PODS, ObjectKey, Resource
from trivyop.report import keys
from trivyop.settings import load_settings

NODE, UID = "n1", "uid-1"


class Server:
    """Deletes, or says why not."""

    def __init__(self) -> None:
        self.error: Exception | None = None

    async def delete(self, resource: Resource, key: ObjectKey, *, uid: str) -> bool:
        if self.error is not None:
            raise self.error
        return True


class World:
    """The Jobs of a cluster that has one, which runs or has ended."""

    def __init__(self, *, finished: bool) -> None:
        self.server = Server()
        settings = load_settings(environ={"OPERATOR_NAMESPACE": "trivy-system"})
        clock = FakeClock()
        informer = Informer(cast("Api", self.server), JOBS, CollectorJob, clock=clock)
        informers = Informers.__new__(Informers)
        informers.node_jobs = Lister(JOBS, {"": cast("Informer[Any]", informer)})
        informers.node_pods, informers.start_notices = Lister(PODS, {}), ()
        self.jobs = NodeJobs(
            cast("Api", self.server), informers, settings, clock, lambda _node, _priority: None
        )
        key = ObjectKey(self.jobs.namespace, collector_job_name(NODE))
        meta = ObjectMeta(name=key.name, namespace=key.namespace, uid=UID, labels={keys.RESOURCE_NAME: NODE})
        conditions = (JobCondition("Complete", "True"),) if finished else ()
        informer.store.set(key, CollectorJob(metadata=meta, status=JobStatus(conditions=conditions)))
        self.jobs.running.listen()


@pytest.mark.parametrize("finished", [True, False], ids=["ended", "running"])
async def test_job_whose_deletion_failed_for_now_still_counts(finished: bool) -> None:
    world = World(finished=finished)
    world.server.error = TransientError("the server is down")

    with pytest.raises(TransientError):
        await world.jobs.delete(NODE, UID)
    still = world.jobs.of(NODE)
    assert still is not None
    assert (still.uid, still.finished, NODE in world.jobs.running) == (UID, finished, not finished)

    world.server.error = None
    await world.jobs.delete(NODE, UID)
    assert world.jobs.of(NODE) is None
    assert NODE not in world.jobs.running


@pytest.mark.parametrize("finished", [True, False], ids=["ended", "running"])
async def test_job_that_may_not_be_deleted_does_not_count_any_more(finished: bool) -> None:
    world = World(finished=finished)
    world.server.error = ForbiddenError("not yours")

    with pytest.raises(ForbiddenError):
        await world.jobs.delete(NODE, UID)

    assert world.jobs.of(NODE) is None
    assert NODE not in world.jobs.running
