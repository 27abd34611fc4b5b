"""Deployments: a ReplicaSet for each template, and a rollout from one to the next (``rollout``)."""

from __future__ import annotations

from collections.abc import Sequence

from trivyop.errors import AlreadyExistsError
from trivyop.kube.resources import DEPLOYMENTS, REPLICASETS, ObjectKey
from trivyop.kube.times import format_time
from trivyop.sandbox.changes import Json, part
from trivyop.sandbox.controllers import rollout
from trivyop.sandbox.controllers.cluster import BY_CONTROLLER, Cluster, enqueue, enqueue_controller
from trivyop.sandbox.controllers.expectations import Expectations
from trivyop.sandbox.controllers.objects import Workload, controller_of
from trivyop.sandbox.controllers.templates import content_hash, owner_reference


class Deployments:
    """The controller."""

    def __init__(self, cluster: Cluster) -> None:
        self.queue = cluster.queue()
        self._cluster = cluster
        self._deployments = cluster.workloads(DEPLOYMENTS)
        self._sets = cluster.workloads(REPLICASETS)
        self._expected = Expectations(cluster.clock.monotonic)
        self._deployments.add_handler(enqueue(self.queue))
        self._sets.add_handler(self._seen)
        self._sets.add_handler(enqueue_controller(self.queue, DEPLOYMENTS.kind))

    async def reconcile(self, key: ObjectKey) -> float | None:
        """Take the next step of the Deployment's rollout and report how far it is."""
        deployment = self._deployments.store.get(key)
        if deployment is None or deployment.deleting:
            return None
        if wait := self._expected.wait_seconds(deployment.metadata.uid):
            return wait
        sets = self._sets.store.by_index(BY_CONTROLLER, deployment.metadata.uid)
        new = rollout.find_new(deployment, sets)
        old = [s for s in sets if s is not new]
        revision = max((rollout.revision(s) for s in old), default=0) + 1
        if new is None:
            await self._create(deployment, old, revision)
        else:
            revision = max(revision, rollout.revision(new)) if old else rollout.revision(new) or 1
            await self._scale(deployment, new, old, revision)
            for replica_set in rollout.to_clean_up(deployment, old):
                meta = replica_set.metadata
                await self._cluster.api.delete(REPLICASETS, meta.key, uid=meta.uid)
        status = rollout.build_status(deployment, new, sets, format_time(self._cluster.clock.now()))
        annotations = {rollout.REVISION: str(revision)}
        await self._cluster.write_status(DEPLOYMENTS, deployment, status, annotations)
        return None

    async def _create(self, deployment: Workload, old: Sequence[Workload], revision: int) -> None:
        meta = deployment.metadata
        template = rollout.plain_template(part(deployment.spec, "template"))
        hash_ = content_hash(template, deployment.count("collisionCount"))
        owner = owner_reference(DEPLOYMENTS.api_version, DEPLOYMENTS.kind, meta)
        replicas = rollout.first_replicas(deployment, old)
        body = rollout.build_replica_set(deployment, owner, f"{meta.name}-{hash_}", hash_, replicas)
        body["metadata"]["annotations"] = self._annotations(deployment, revision)
        try:
            created = await self._cluster.api.create(REPLICASETS, body, namespace=meta.namespace)
        except AlreadyExistsError:
            key = ObjectKey(meta.namespace, f"{meta.name}-{hash_}")
            found = await self._cluster.api.get(REPLICASETS, key, Workload)
            owner_now = controller_of(found.metadata) if found else None
            if owner_now is None or owner_now.uid != meta.uid:  # not one of ours: another name, then
                count = deployment.count("collisionCount") + 1
                status = {**deployment.status, "collisionCount": count}
                await self._cluster.write_status(DEPLOYMENTS, deployment, status)
            raise
        if self._sets.store.get(ObjectKey(meta.namespace, created["metadata"]["name"])) is None:
            self._expected.created(meta.uid, created["metadata"]["uid"])

    async def _scale(
        self, deployment: Workload, new: Workload, old: Sequence[Workload], revision: int
    ) -> None:
        scales = rollout.next_scales(deployment, new, old)
        for replica_set in (new, *old):
            patch: Json = {}
            have = replica_set.metadata.annotations or {}
            wanted = self._annotations(deployment, revision) if replica_set is new else {}
            if replica_set.metadata.name in scales:
                patch["spec"] = {"replicas": scales[replica_set.metadata.name]}
                wanted = {**self._annotations(deployment, rollout.revision(replica_set)), **wanted}
            if changed := {name: value for name, value in wanted.items() if have.get(name) != value}:
                patch["metadata"] = {"annotations": changed}
            if patch:
                await self._cluster.api.patch(REPLICASETS, replica_set.metadata.key, patch)

    def _annotations(self, deployment: Workload, revision: int) -> dict[str, str]:
        return {
            rollout.DESIRED: str(deployment.replicas),
            rollout.MAXIMUM: str(rollout.max_replicas(deployment)),
            rollout.REVISION: str(revision),
        }

    def _seen(self, key: ObjectKey, old: Workload | None, new: Workload | None) -> None:  # noqa: ARG002
        for replica_set in (old, new):
            owner = controller_of(replica_set.metadata) if replica_set is not None else None
            if replica_set is not None and owner is not None:
                self._expected.seen(owner.uid, replica_set.metadata.uid)
