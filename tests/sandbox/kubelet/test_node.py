"""The node itself, the Pods it only pretends to run, and its log server."""

from __future__ import annotations

import ssl

import aiohttp
import pytest

from tests.sandbox.controllers.jumpclock import JumpClock
from tests.sandbox.controllers.world import (
    add_node,
    controllers,
    template,
    until,
    until_gone,
    until_one,
    workload,
)
from tests.sandbox.kubelet.conftest import Node
from tests.sandbox.kubelet.shell import container, logs, start, statuses, until_phase, until_state
from trivyop.kube.client import Api
from trivyop.kube.resources import DEPLOYMENTS, JOBS, LEASES, NODES, PODS, ObjectKey
from trivyop.sandbox.apiserver.server import ApiServer
from trivyop.sandbox.controllers.run import Name
from trivyop.sandbox.kubelet.images import InventedImages


async def test_node_shows_itself_and_its_lease(api: Api, node: Node) -> None:
    async with node(labels={"zone": "a"}, platform="linux/arm64"):
        shown = await until_one(api, NODES, "n1", lambda n: bool(n["status"].get("nodeInfo")))
        await until_one(api, LEASES, "n1", lambda _: True, namespace="kube-node-lease")

    assert shown["metadata"]["labels"]["zone"] == "a"
    assert shown["metadata"]["labels"]["kubernetes.io/arch"] == "arm64"
    assert shown["status"]["nodeInfo"]["architecture"] == "arm64"
    assert {c["type"]: c["status"] for c in shown["status"]["conditions"]}["Ready"] == "True"


async def test_node_that_was_there_is_taken_over(api: Api, node: Node) -> None:
    await add_node(api, "n1", {"kept": "yes"})
    async with node():
        shown = await until_one(api, NODES, "n1", lambda n: "nodeInfo" in n["status"])

    assert shown["metadata"]["labels"]["kept"] == "yes"


async def test_other_pods_run_with_a_digest_and_one_write(api: Api, node: Node, server: ApiServer) -> None:
    async with node(images=InventedImages(digests={"nginx:1": "sha256:" + "0" * 64})):
        for n in range(50):
            await start(api, container(image="nginx:1"), name=f"web-{n}", labels={})
        pods = await until(api, PODS, lambda pods: all(p["status"]["phase"] == "Running" for p in pods))

    assert len(pods) == 50
    digests = {statuses(pod)["main"]["imageID"] for pod in pods}
    assert digests == {"docker.io/library/nginx@sha256:" + "0" * 64}
    writes = [
        r
        for r in server.requests
        if r.method == "PATCH" and r.path.endswith("/status") and "/pods/" in r.path
    ]
    assert len(writes) == 50


async def test_other_pods_of_a_job_succeed(api: Api, node: Node, clock: JumpClock) -> None:
    async with controllers(api, clock, Name.JOB, Name.SCHEDULER, Name.NODE_LIFECYCLE), node():
        await api.create(JOBS, workload(JOBS, "migrate", template=template(restartPolicy="Never")))
        await until(api, PODS, lambda pods: [p["status"]["phase"] for p in pods] == ["Running"])

        clock.jump(1)

        await until_one(api, JOBS, "migrate", lambda job: job["status"].get("succeeded") == 1)


async def test_other_pods_go_at_once(api: Api, node: Node) -> None:
    async with node():
        await start(api, container(image="nginx:1"), name="web", labels={})
        await until_phase(api, "Running", "web")

        await api.delete(PODS, ObjectKey("default", "web"))

        await until_gone(api, PODS, "web")


async def test_deployment_becomes_available(api: Api, node: Node, clock: JumpClock) -> None:
    which = (Name.DEPLOYMENT, Name.REPLICASET, Name.SCHEDULER, Name.NODE_LIFECYCLE)
    async with controllers(api, clock, *which), node():
        selector = {"matchLabels": {"app": "web"}}
        body = workload(DEPLOYMENTS, "web", replicas=3, selector=selector, template=template())
        await api.create(DEPLOYMENTS, body)

        await until_one(api, DEPLOYMENTS, "web", lambda d: d["status"].get("availableReplicas") == 3)


async def test_other_pod_with_an_image_that_is_not_there_waits(
    api: Api, node: Node, clock: JumpClock
) -> None:
    async with node(images=InventedImages(forbidden=frozenset({"shop/web:1"}))):
        await start(api, container(image="shop/web:1"), name="web", labels={})
        failed = await until_state(api, "waiting", "ErrImagePull", "web")
        assert "authorization failed" in failed["message"]

        clock.jump(2)

        await until_state(api, "waiting", "ImagePullBackOff", "web")


async def test_log_of_a_pod_that_only_pretends_is_empty(api: Api, node: Node) -> None:
    async with node():
        await start(api, container(image="nginx:1"), name="web", labels={})
        await until_phase(api, "Running", "web")

        assert await logs(api, name="web") == ""


@pytest.mark.parametrize(("client", "status"), [("kube-apiserver-kubelet-client", 200), ("somebody", 403)])
async def test_log_server_answers_the_api_server_alone(
    api: Api, node: Node, server: ApiServer, client: str, status: int
) -> None:
    async with node(), aiohttp.ClientSession() as session:
        shown = await until_one(api, NODES, "n1", lambda _: True)
        port = shown["status"]["daemonEndpoints"]["kubeletEndpoint"]["Port"]
        url = f"https://127.0.0.1:{port}/healthz"

        async with session.get(url, ssl=server.pki.client_context(client)) as answer:
            assert answer.status == status
        with pytest.raises((aiohttp.ClientError, ssl.SSLError)):
            await session.get(url, ssl=server.pki.client_context())
