"""Who one is, and what one may do."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sandbox.apiserver.client import CONFIGMAPS, MERGE_PATCH, Client
from trivyop.sandbox.apiserver.server import ApiServer

RBAC = "/apis/rbac.authorization.k8s.io/v1"
SECRETS = "/api/v1/namespaces/default/secrets"
ACCOUNTS = "/api/v1/namespaces/default/serviceaccounts"
BOT = {"kind": "ServiceAccount", "name": "bot", "namespace": "default"}


def rule(verbs: list[str], resources: list[str], **rest: Any) -> dict[str, Any]:
    return {"apiGroups": [""], "verbs": verbs, "resources": resources} | rest


def bound(role: str, kind: str = "ClusterRole", *subjects: dict[str, Any]) -> dict[str, Any]:
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role}
    return {"roleRef": reference, "subjects": list(subjects or (BOT,))}


@pytest.fixture
async def bot(server: ApiServer, admin: Client) -> Any:
    await admin.create(ACCOUNTS, "bot")
    async with Client(server, server.service_account_token("default", "bot")) as client:
        yield client


async def test_binding_gives_and_its_deletion_takes(admin: Client, bot: Client) -> None:
    bindings = f"{RBAC}/namespaces/default/rolebindings"
    assert (await bot.get(CONFIGMAPS)).status == 403

    await admin.create(bindings, "see", **bound("view"))
    assert (await bot.get(CONFIGMAPS)).status == 200
    assert (await bot.get("/api/v1/configmaps")).status == 403
    assert (await bot.get(SECRETS)).status == 403  # view does not show secrets

    await admin.do("DELETE", f"{bindings}/see")
    assert (await bot.get(CONFIGMAPS)).status == 403


async def test_rule_on_names_allows_lists_narrowed_to_one(admin: Client, bot: Client) -> None:
    """So may an operator watch one secret without seeing the others."""
    await admin.create(
        f"{RBAC}/clusterroles",
        "one",
        rules=[rule(["get", "list", "watch"], ["secrets"], resourceNames=["mine"])],
    )
    await admin.create(f"{RBAC}/clusterrolebindings", "one", **bound("one"))

    assert (await bot.get(f"{SECRETS}?fieldSelector=metadata.name=mine")).status == 200
    assert (await bot.get(f"{SECRETS}?fieldSelector=metadata.name=other")).status == 403
    assert (await bot.get(SECRETS)).status == 403


async def test_aggregated_role_follows_its_parts(admin: Client, bot: Client) -> None:
    await admin.create(f"{RBAC}/clusterrolebindings", "see", **bound("view"))
    assert (await bot.get("/api/v1/nodes")).status == 403

    labels = {"rbac.authorization.k8s.io/aggregate-to-view": "true"}
    part = {"metadata": {"name": "part", "labels": labels}, "rules": [rule(["list"], ["nodes"])]}
    assert (await admin.do("POST", f"{RBAC}/clusterroles", part)).status == 201

    assert (await bot.get("/api/v1/nodes")).status == 200


async def test_token_dies_with_its_service_account(admin: Client, bot: Client) -> None:
    """A new account of the same name does not revive it."""
    assert (await bot.get("/api")).status == 200
    await admin.do("DELETE", f"{ACCOUNTS}/bot")
    assert (await bot.get("/api")).status == 401
    await admin.create(ACCOUNTS, "bot")
    assert (await bot.get("/api")).status == 401


async def test_token_bound_to_a_pod_dies_with_it(server: ApiServer, admin: Client) -> None:
    pods = "/api/v1/namespaces/default/pods"
    pod = await admin.create(pods, "p", spec={"containers": [{"name": "c", "image": "app:1"}]})
    reference = {"kind": "Pod", "apiVersion": "v1", "name": "p", "uid": pod.body["metadata"]["uid"]}
    asked = await admin.do("POST", f"{ACCOUNTS}/default/token", {"spec": {"boundObjectRef": reference}})

    async with Client(server, asked.body["status"]["token"]) as client:
        assert (await client.get("/api")).status == 200
        await admin.do("DELETE", f"{pods}/p")
        assert (await client.get("/api")).status == 401


async def test_certificate_names_the_user_and_the_groups(server: ApiServer, admin: Client) -> None:
    group = {"kind": "Group", "name": "readers", "apiGroup": "rbac.authorization.k8s.io"}
    await admin.create(f"{RBAC}/clusterrolebindings", "readers", **bound("view", "ClusterRole", group))

    async with Client(server, user="ann", groups=("readers",)) as ann, Client(server, user="eve") as eve:
        assert (await ann.get(CONFIGMAPS)).status == 200
        refused = await eve.get(CONFIGMAPS)

    assert refused.status == 403
    assert 'User "eve" cannot list resource "configmaps"' in refused.body["message"]


async def test_status_is_a_right_of_its_own(admin: Client, bot: Client) -> None:
    pods = "/api/v1/namespaces/default/pods"
    await admin.create(pods, "p", spec={"containers": [{"name": "c", "image": "app:1"}]})
    await admin.create(f"{RBAC}/clusterroles", "patch", rules=[rule(["patch"], ["pods"])])
    await admin.create(f"{RBAC}/clusterrolebindings", "patch", **bound("patch"))

    patch: dict[str, Any] = {"metadata": {"labels": {"a": "b"}}}
    assert (await bot.do("PATCH", f"{pods}/p", patch, Content_Type=MERGE_PATCH)).status == 200
    assert (await bot.do("PATCH", f"{pods}/p/status", patch, Content_Type=MERGE_PATCH)).status == 403


async def test_kubeconfig_of_each_sort_of_user(server: ApiServer, admin: Client) -> None:
    await admin.create(ACCOUNTS, "bot")

    def credentials(user: str) -> set[str]:
        return set(server.kubeconfig(user)["users"][0]["user"])

    assert credentials("admin") == {"token"}
    assert credentials("system:serviceaccount:default:bot") == {"token"}
    assert credentials("ann") == {"client-certificate-data", "client-key-data"}
