"""What new objects find in the cluster, and what the server says when it cannot take one."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sandbox.apiserver.client import CONFIGMAPS, MERGE_PATCH, Client
from tests.sandbox.apiserver.test_faults import WIDGETS
from trivyop.sandbox.apiserver import dispatch
from trivyop.sandbox.apiserver.server import ApiServer

PODS = "/api/v1/namespaces/default/pods"
ACCOUNTS = "/api/v1/namespaces/default/serviceaccounts"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
SPEC: dict[str, Any] = {"containers": [{"name": "main", "image": "app:1"}]}


async def test_pod_gets_the_pull_secrets_of_its_account(admin: Client) -> None:
    patch = {"imagePullSecrets": [{"name": "registry"}]}
    await admin.do("PATCH", f"{ACCOUNTS}/default", patch, Content_Type=MERGE_PATCH)

    pod = (await admin.create(PODS, "p", spec=SPEC)).body
    own = (await admin.create(PODS, "q", spec=SPEC | {"imagePullSecrets": [{"name": "own"}]})).body

    assert pod["spec"]["imagePullSecrets"] == [{"name": "registry"}]
    assert own["spec"]["imagePullSecrets"] == [{"name": "own"}]


async def test_account_may_say_that_its_token_is_not_mounted(admin: Client) -> None:
    await admin.create(ACCOUNTS, "quiet", automountServiceAccountToken=False)

    quiet = (await admin.create(PODS, "p", spec=SPEC | {"serviceAccountName": "quiet"})).body["spec"]
    usual = (await admin.create(PODS, "q", spec=SPEC)).body["spec"]

    assert not quiet.get("volumes")
    assert not quiet["containers"][0].get("volumeMounts")
    assert usual["volumes"][0]["name"] == usual["containers"][0]["volumeMounts"][0]["name"]


async def test_taken_name_is_free_when_its_definition_goes(admin: Client) -> None:
    rival = WIDGETS | {"metadata": {"name": "gadgets.example.com"}}
    rival["spec"] = WIDGETS["spec"] | {"names": {"plural": "gadgets", "kind": "Widget"}}
    await admin.do("POST", CRDS, WIDGETS)
    await admin.do("POST", CRDS, rival)
    assert (await admin.get("/apis/example.com/v1/gadgets")).status == 404

    await admin.do("DELETE", f"{CRDS}/widgets.example.com")

    assert (await admin.get("/apis/example.com/v1/gadgets")).status == 200


async def test_terminating_namespace_waits_for_its_finalizer(admin: Client) -> None:
    namespaces = "/api/v1/namespaces"
    created = (await admin.create(namespaces, "n")).body
    await admin.do("DELETE", f"{namespaces}/n")
    assert (await admin.create(f"{namespaces}/n/configmaps", "late")).status == 403

    created["metadata"] = {"name": "n"}
    created["spec"] = {"finalizers": []}
    await admin.do("PUT", f"{namespaces}/n/finalize", created)

    assert (await admin.get(f"{namespaces}/n")).status == 404


async def test_unknown_protobuf_is_an_unsupported_media_type(admin: Client) -> None:
    answer = await admin.do("POST", CONFIGMAPS, {}, Content_Type="application/vnd.kubernetes.protobuf")

    assert answer.status == 415


async def test_crash_is_told_to_the_client_and_others_are_served(
    server: ApiServer, admin: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: object) -> None:
        raise RuntimeError("a bug")

    with monkeypatch.context() as patched:
        patched.setattr(dispatch.deletes, "delete", crash)
        answer = await admin.do("DELETE", f"{CONFIGMAPS}/x")

    assert (answer.status, answer.body["reason"]) == (500, "InternalError")
    assert (await admin.get(CONFIGMAPS)).status == 200


async def test_requests_are_logged_with_who_sent_them(server: ApiServer, admin: Client) -> None:
    async with Client(server, user="eve") as eve:
        await eve.get(CONFIGMAPS)
    await admin.get(f"{CONFIGMAPS}?limit=1")

    lines = [(line.method, line.path, line.query, line.user, line.status) for line in server.requests]
    assert lines[-2:] == [
        ("GET", CONFIGMAPS, "", "eve", 403),
        ("GET", CONFIGMAPS, "limit=1", "admin", 200),
    ]
