"""A server that starts as a real one does, and one whose definitions change."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.sandbox.apiserver.client import CONFIGMAPS, Client
from trivyop.sandbox.apiserver.server import ApiServer
from trivyop.sandbox.apiserver.starting import Starting

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


async def answers(client: Client, path: str) -> list[tuple[int, str]]:
    """What one gets from the start until all is well: each answer that differs from the one before."""
    found: list[tuple[int, str]] = []
    while not found or found[-1][0] != 200:
        answer = await client.get(path)
        one = (answer.status, "" if answer.status == 200 else str(answer.body["message"]))
        if found[-1:] != [one]:
            found.append(one)
        await asyncio.sleep(0.005)
    return found


async def test_server_is_not_ready_then_denies_everything_then_is_well() -> None:
    """As after most starts of a real one; its own administrators are not denied."""
    starting = Starting(unready_seconds=0.2, denied_seconds=0.2, filling_seconds=0)
    async with ApiServer(starting=starting) as server:
        async with Client(server) as admin:
            assert [code for code, _ in await answers(admin, CONFIGMAPS)] == [503, 200]
            path = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
            assert (await admin.do("POST", path, binding("eve"))).status == 201
        await server.restart()
        async with Client(server, user="eve") as eve:
            seen = await answers(eve, CONFIGMAPS)

    assert [code for code, _ in seen] == [503, 403, 200]
    assert 'User "eve" cannot list resource "configmaps" in API group ""' in seen[1][1]
    assert seen[1][1].endswith(': RBAC: clusterrole.rbac.authorization.k8s.io "system:basic-user" not found')


async def test_some_kinds_are_not_filled_yet() -> None:
    starting = Starting(unready_seconds=0, filling_seconds=0.5)
    async with ApiServer(starting=starting) as server, Client(server) as admin:
        kinds = ("configmaps", "secrets", "pods", "services", "events", "nodes", "namespaces")
        refused = [await admin.get(f"/api/v1/{kind}") for kind in kinds]

    assert {answer.status for answer in refused} == {200, 429}
    busy = next(answer for answer in refused if answer.status == 429)
    assert busy.body["message"] == "storage is (re)initializing"
    assert busy.headers["Retry-After"] == "1"


async def test_definition_that_changes_ends_watches_and_has_its_kind_filled_anew() -> None:
    starting = Starting(unready_seconds=0, denied_seconds=0, filling_seconds=0, redefined_seconds=0.3)
    path = "/apis/example.com/v1/gadgets"
    async with ApiServer(starting=starting) as server, Client(server) as admin:
        assert (await admin.do("POST", CRDS, definition())).status == 201
        await answers(admin, path)
        async with admin.stream(f"{path}?watch=true&timeoutSeconds=60") as pieces:
            live = (await admin.get(f"{CRDS}/gadgets.example.com")).body
            columns = [{"name": "Size", "type": "string", "jsonPath": ".spec.size"}]
            live["spec"]["versions"][0]["additionalPrinterColumns"] = columns
            assert (await admin.do("PUT", f"{CRDS}/gadgets.example.com", live)).status == 200
            async with asyncio.timeout(10):
                assert [piece async for piece in pieces] == []
        seen = await answers(admin, path)

    assert [code for code, _ in seen] == [429, 200]


def binding(user: str) -> dict[str, object]:
    """Everything allowed to one user."""
    group = "rbac.authorization.k8s.io"
    return {
        "apiVersion": f"{group}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": user},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"apiGroup": group, "kind": "User", "name": user}],
    }


def definition() -> dict[str, Any]:
    """A kind of one's own."""
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "gadgets.example.com"},
        "spec": {
            "group": "example.com",
            "scope": "Namespaced",
            "names": {"plural": "gadgets", "singular": "gadget", "kind": "Gadget", "listKind": "GadgetList"},
            "versions": [version],
        },
    }
