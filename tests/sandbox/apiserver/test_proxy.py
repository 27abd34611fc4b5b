"""A Node's proxy passes on what its kubelet says, to those who may ask."""

from __future__ import annotations

from tests.sandbox.apiserver.client import Client
from tests.sandbox.apiserver.kubelets import log_kubelet
from trivyop.sandbox.apiserver.server import ApiServer

NODES = "/api/v1/nodes"


async def test_answer_of_the_kubelet_is_passed_on_as_it_is(server: ApiServer, admin: Client) -> None:
    async with log_kubelet(server, admin) as kubelet:
        kubelet.logs["/configz"] = b"as it is"
        answer = await admin.get(f"{NODES}/node-a/proxy/configz?verbose=true")
        refusal = await admin.get(f"{NODES}/node-a/proxy/stats/summary")

    assert (answer.status, answer.body) == (200, "as it is")
    assert kubelet.asked[0] == ("/configz", {"verbose": "true"}, "kube-apiserver-kubelet-client")
    assert kubelet.asked[1][0] == "/stats/summary"
    assert (refusal.status, refusal.body) == (400, "container is waiting to start: ContainerCreating")


async def test_node_that_is_not_there_or_does_not_answer(server: ApiServer, admin: Client) -> None:
    async with log_kubelet(server, admin):
        assert (await admin.get(f"{NODES}/node-b/proxy/configz")).status == 404

    assert (await admin.get(f"{NODES}/node-a/proxy/configz")).status == 503
    assert (await admin.get(f"{NODES}/node-a/status/configz")).status == 404
