"""Run: all controllers, or some, against one API server.

Promises: nothing is decided before the stores are filled; cancelled, everything has ended when it returns.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from enum import StrEnum
from typing import Any, Protocol

from trivyop.control.clock import Clock
from trivyop.control.controller import work
from trivyop.control.queue import WorkQueue
from trivyop.kube.client import Api
from trivyop.kube.resources import REPLICASETS, REPLICATIONCONTROLLERS
from trivyop.sandbox.controllers.budgets import DisruptionBudgets
from trivyop.sandbox.controllers.cluster import Cluster
from trivyop.sandbox.controllers.collector import GarbageCollector
from trivyop.sandbox.controllers.cronjobs import CronJobs
from trivyop.sandbox.controllers.daemonsets import DaemonSets
from trivyop.sandbox.controllers.defaults import NamespaceDefaults
from trivyop.sandbox.controllers.deployments import Deployments
from trivyop.sandbox.controllers.job_controller import Jobs
from trivyop.sandbox.controllers.namespaces import Namespaces
from trivyop.sandbox.controllers.nodes import Nodes
from trivyop.sandbox.controllers.replicas import Replicas
from trivyop.sandbox.controllers.scheduler import Scheduler
from trivyop.sandbox.controllers.statefulsets import StatefulSets
from trivyop.sandbox.controllers.ttl import JobTtl


class Name(StrEnum):
    """The controllers there are."""

    DEPLOYMENT = "deployment"
    REPLICASET = "replicaset"
    REPLICATIONCONTROLLER = "replicationcontroller"
    STATEFULSET = "statefulset"
    DAEMONSET = "daemonset"
    JOB = "job"
    CRONJOB = "cronjob"
    TTL_AFTER_FINISHED = "ttl-after-finished"
    GARBAGE_COLLECTOR = "garbage-collector"
    NAMESPACE = "namespace"
    NAMESPACE_DEFAULTS = "namespace-defaults"
    NODE_LIFECYCLE = "node-lifecycle"
    DISRUPTION = "disruption"
    SCHEDULER = "scheduler"


ALL = frozenset(Name)

_WORKERS = 4


class _Controller(Protocol):
    queue: WorkQueue[Any]

    async def reconcile(self, key: Any, /) -> float | None: ...


async def run_controllers(
    api: Api, clock: Clock, which: Collection[Name] = ALL, *, root_ca: str = ""
) -> None:
    """Run controllers until cancelled; ``root_ca`` (PEM) is what Pods get to trust the API server by."""
    cluster = Cluster(api, clock)
    controllers = {name: _build(name, cluster, root_ca) for name in Name if name in which}
    try:
        async with asyncio.TaskGroup() as group:
            for informer in cluster.informers:
                group.create_task(informer.run(), name=f"informer/{informer.resource.name}")
            for recorder in cluster.recorders:
                group.create_task(recorder.run(), name="events")
            for informer in cluster.informers:
                await informer.wait_synced()
            for name, controller in controllers.items():
                if isinstance(controller, GarbageCollector):
                    group.create_task(controller.follow_kinds(), name=f"{name}/kinds")
                for n in range(_WORKERS):
                    group.create_task(
                        work(controller.queue, controller.reconcile, name=name.value), name=f"{name}/{n}"
                    )
    finally:
        for controller in controllers.values():
            controller.queue.shut_down(drain=False)
        for recorder in cluster.recorders:
            recorder.stop()


def _build(name: Name, cluster: Cluster, root_ca: str) -> _Controller:
    match name:
        case Name.DEPLOYMENT:
            return Deployments(cluster)
        case Name.REPLICASET:
            return Replicas(cluster, REPLICASETS)
        case Name.REPLICATIONCONTROLLER:
            return Replicas(cluster, REPLICATIONCONTROLLERS)
        case Name.STATEFULSET:
            return StatefulSets(cluster)
        case Name.DAEMONSET:
            return DaemonSets(cluster)
        case Name.JOB:
            return Jobs(cluster)
        case Name.CRONJOB:
            return CronJobs(cluster)
        case Name.TTL_AFTER_FINISHED:
            return JobTtl(cluster)
        case Name.GARBAGE_COLLECTOR:
            return GarbageCollector(cluster)
        case Name.NAMESPACE:
            return Namespaces(cluster)
        case Name.NAMESPACE_DEFAULTS:
            return NamespaceDefaults(cluster, root_ca)
        case Name.NODE_LIFECYCLE:
            return Nodes(cluster)
        case Name.DISRUPTION:
            return DisruptionBudgets(cluster)
        case Name.SCHEDULER:
            return Scheduler(cluster)
