"""Controllers of workloads against an API server: what they make, replace and clean up."""

from __future__ import annotations

from tests.sandbox.controllers.jumpclock import JumpClock
from tests.sandbox.controllers.world import (
    SELECTOR,
    Json,
    add_node,
    controllers,
    make_ready,
    names,
    template,
    until,
    until_one,
    workload,
)
from trivyop.kube.client import Api
from trivyop.kube.resources import (
    DAEMONSETS,
    DEPLOYMENTS,
    NODES,
    PODS,
    REPLICASETS,
    REPLICATIONCONTROLLERS,
    STATEFULSETS,
    ObjectKey,
)
from trivyop.sandbox.controllers.run import Name


def _of(pods: list[Json], image: str) -> list[Json]:
    return [p for p in pods if p["spec"]["containers"][0]["image"] == image]


async def test_deployment_rolls_from_one_template_to_the_next(api: Api, clock: JumpClock) -> None:
    async with controllers(api, clock, Name.DEPLOYMENT, Name.REPLICASET):
        await api.create(
            DEPLOYMENTS,
            workload(DEPLOYMENTS, "web", replicas=2, selector=SELECTOR, template=template("nginx:1")),
        )
        first = await until(api, PODS, lambda pods: len(pods) == 2)
        await make_ready(api, *first)
        await until_one(api, DEPLOYMENTS, "web", lambda d: d["status"].get("availableReplicas") == 2)

        patch = {"spec": {"template": template("nginx:2")}}
        await api.patch(DEPLOYMENTS, ObjectKey("default", "web"), patch)

        for count in (1, 2):  # each new Pod that is ready lets the rollout go one step further
            pods = await until(api, PODS, lambda pods, n=count: len(_of(pods, "nginx:2")) == n)
            await make_ready(api, *_of(pods, "nginx:2"))
        await until(api, PODS, lambda pods: len(pods) == len(_of(pods, "nginx:2")) == 2)

        done = await until_one(
            api,
            DEPLOYMENTS,
            "web",
            lambda d: (
                d["status"].get("replicas") == d["status"].get("updatedReplicas") == 2
                and d["status"]["conditions"][1]["reason"] == "NewReplicaSetAvailable"
            ),
        )
        assert done["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "2"
        sets = await until(api, REPLICASETS, lambda sets: {s["status"]["replicas"] for s in sets} == {0, 2})
        revisions = {s["metadata"]["annotations"]["deployment.kubernetes.io/revision"] for s in sets}
        assert revisions == {"1", "2"}


async def test_rollback_takes_up_the_old_replica_set(api: Api, clock: JumpClock) -> None:
    """kubectl rollout undo writes the old template back; its ReplicaSet becomes the newest revision."""
    key = ObjectKey("default", "web")
    async with controllers(api, clock, Name.DEPLOYMENT, Name.REPLICASET):
        await api.create(
            DEPLOYMENTS,
            workload(DEPLOYMENTS, "web", replicas=0, selector=SELECTOR, template=template("nginx:1")),
        )
        [first] = await until(api, REPLICASETS, lambda sets: len(sets) == 1)
        await api.patch(DEPLOYMENTS, key, {"spec": {"template": template("nginx:2")}})
        await until(api, REPLICASETS, lambda sets: len(sets) == 2)

        await api.patch(DEPLOYMENTS, key, {"spec": {"template": template("nginx:1")}})

        name = first["metadata"]["name"]
        revision = "deployment.kubernetes.io/revision"
        await until_one(api, REPLICASETS, name, lambda s: s["metadata"]["annotations"][revision] == "3")


async def test_replication_controller_replaces_a_pod_that_goes(api: Api, clock: JumpClock) -> None:
    async with controllers(api, clock, Name.REPLICATIONCONTROLLER):
        spec = {"replicas": 1, "selector": {"app": "web"}, "template": template()}
        await api.create(REPLICATIONCONTROLLERS, workload(REPLICATIONCONTROLLERS, "rc", **spec))
        [first] = await until(api, PODS, lambda pods: len(pods) == 1)

        await api.delete(PODS, ObjectKey("default", first["metadata"]["name"]))

        await until(api, PODS, lambda pods: len(pods) == 1 and names(pods) != names([first]))


async def test_many_replicas_come_to_exactly_their_number(api: Api, clock: JumpClock) -> None:
    """The store lags behind the creations; nothing is made twice for that."""
    async with controllers(api, clock, Name.REPLICASET):
        await api.create(
            REPLICASETS, workload(REPLICASETS, "web", replicas=60, selector=SELECTOR, template=template())
        )
        await until_one(api, REPLICASETS, "web", lambda s: s["status"].get("replicas") == 60)
        await api.patch(REPLICASETS, ObjectKey("default", "web"), {"spec": {"replicas": 20}})
        await until_one(api, REPLICASETS, "web", lambda s: s["status"].get("replicas") == 20)

        assert len((await api.list(PODS, type=dict)).items) == 20


async def test_stateful_set_makes_its_members_in_order(api: Api, clock: JumpClock) -> None:
    async with controllers(api, clock, Name.STATEFULSET):
        body = workload(
            STATEFULSETS, "db", replicas=2, selector=SELECTOR, serviceName="db", template=template()
        )
        await api.create(STATEFULSETS, body)
        first = await until(api, PODS, lambda pods: len(pods) == 1)
        assert names(first) == {"db-0"}
        await make_ready(api, *first)
        second = await until(api, PODS, lambda pods: len(pods) == 2)
        assert names(second) == {"db-0", "db-1"}
        await make_ready(api, *[p for p in second if p["metadata"]["name"] == "db-1"])

        await until_one(api, STATEFULSETS, "db", lambda s: s["status"].get("readyReplicas") == 2)
        label = "statefulset.kubernetes.io/pod-name"
        assert {p["metadata"]["labels"][label] for p in second} == {"db-0", "db-1"}


async def test_daemon_set_has_a_pod_on_each_node_that_comes(api: Api, clock: JumpClock) -> None:
    await add_node(api, "n1")
    async with controllers(api, clock, Name.DAEMONSET, Name.SCHEDULER, Name.NODE_LIFECYCLE):
        await api.create(DAEMONSETS, workload(DAEMONSETS, "agent", selector=SELECTOR, template=template()))
        await until(api, PODS, lambda pods: {p["spec"].get("nodeName") for p in pods} == {"n1"})

        await add_node(api, "n2")
        await until(api, PODS, lambda pods: {p["spec"].get("nodeName") for p in pods} == {"n1", "n2"})

        await api.delete(NODES, ObjectKey("", "n1"))
        await until_one(api, DAEMONSETS, "agent", lambda d: d["status"].get("desiredNumberScheduled") == 1)


async def test_pod_waits_for_a_node_that_fits_and_says_so(api: Api, clock: JumpClock) -> None:
    await add_node(api, "n1")
    async with controllers(api, clock, Name.SCHEDULER, Name.NODE_LIFECYCLE):
        body = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "p"},
            "spec": {**template()["spec"], "nodeSelector": {"disk": "fast"}},
        }
        await api.create(PODS, body, namespace="default")

        waiting = await until_one(api, PODS, "p", lambda p: bool(p["status"].get("conditions")))
        [condition] = waiting["status"]["conditions"]
        assert (condition["type"], condition["status"], condition["reason"]) == (
            "PodScheduled",
            "False",
            "Unschedulable",
        )
        assert condition["message"].startswith("0/1 nodes are available: 1 node(s) ")

        await api.patch(NODES, ObjectKey("", "n1"), {"metadata": {"labels": {"disk": "fast"}}})
        await until_one(api, PODS, "p", lambda p: p["spec"].get("nodeName") == "n1")
