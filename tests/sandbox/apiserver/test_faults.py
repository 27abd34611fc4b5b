"""The server misbehaves when, and only when, it is told to."""

from __future__ import annotations

import asyncio

from tests.sandbox.apiserver.client import CONFIGMAPS, Client
from trivyop.sandbox.apiserver.faults import Faults, Rule
from trivyop.sandbox.apiserver.server import ApiServer


async def test_next_requests_are_throttled_then_all_is_well(server: ApiServer, admin: Client) -> None:
    server.faults.add(Rule(code=429, retry_after=7, times=2))

    answers = [await admin.get(CONFIGMAPS) for _ in range(3)]

    assert [answer.status for answer in answers] == [429, 429, 200]
    assert answers[0].headers["Retry-After"] == "7"
    assert answers[0].body["details"] == {"retryAfterSeconds": 7}


async def test_random_faults_come_again_with_the_same_seed() -> None:
    """A test that failed by chance must be able to fail again."""

    async def codes(seed: int) -> list[int]:
        async with ApiServer(faults=Faults(seed=seed)) as server, Client(server) as admin:
            server.faults.add(Rule(code=500, probability=0.5))
            return [(await admin.get(CONFIGMAPS)).status for _ in range(20)]

    assert await codes(7) == await codes(7)
    assert {200, 500} == set(await codes(7))


async def test_a_rule_hits_only_whom_it_means(server: ApiServer, admin: Client) -> None:
    server.faults.add(Rule(code=503, user_agent="trivyop", verb="list", resource="configmaps"))

    async with Client(server, agent="trivyop/1.0") as operator:
        assert (await operator.get(CONFIGMAPS)).status == 503
        assert (await operator.get(f"{CONFIGMAPS}/kube-root-ca.crt")).status == 200
    assert (await admin.get(CONFIGMAPS)).status == 200


async def test_silence_keeps_the_request_waiting_until_the_server_ends() -> None:
    async with ApiServer() as server, Client(server) as admin:
        server.faults.add(Rule(silent=True, resource="secrets"))
        unanswered = asyncio.create_task(admin.get("/api/v1/secrets"))

        assert (await admin.get(CONFIGMAPS)).status == 200
        assert not unanswered.done()
        unanswered.cancel()


async def test_slow_requests_are_overtaken(server: ApiServer, admin: Client) -> None:
    server.faults.add(Rule(latency_seconds=0.05, resource="secrets"))
    order: list[str] = []

    async def ask(what: str) -> None:
        await admin.get(f"/api/v1/{what}")
        order.append(what)

    await asyncio.gather(ask("secrets"), ask("configmaps"))

    assert order == ["configmaps", "secrets"]


async def test_dropped_watches_end_cleanly(server: ApiServer, admin: Client) -> None:
    async with admin.watch(f"{CONFIGMAPS}?fieldSelector=metadata.name=kube-root-ca.crt") as events:
        first = await anext(events)
        server.faults.drop_watches()

        assert first["type"] == "ADDED"
        assert [event async for event in events] == []


async def test_muted_watch_stays_open_and_says_nothing(server: ApiServer, admin: Client) -> None:
    """This is what a client sees of a connection that died without a word."""
    async with admin.watch(f"{CONFIGMAPS}?fieldSelector=metadata.name=x") as events:
        server.faults.mute_watches = True
        await admin.create(CONFIGMAPS, "x")
        await admin.get(CONFIGMAPS)
        server.faults.mute_watches = False
        await admin.do("DELETE", f"{CONFIGMAPS}/x")

        assert (await anext(events))["type"] == "DELETED"


async def test_forgotten_history_expires_watches_and_continue_tokens(
    server: ApiServer, admin: Client
) -> None:
    await admin.create(CONFIGMAPS, "a")
    page = (await admin.get(f"{CONFIGMAPS}?limit=1")).body["metadata"]
    await admin.create(CONFIGMAPS, "b")
    server.faults.forget_history()

    continued = await admin.get(f"{CONFIGMAPS}?limit=1&continue={page['continue']}")
    async with admin.watch(f"{CONFIGMAPS}?resourceVersion={page['resourceVersion']}") as events:
        watched = [event async for event in events]

    assert continued.status == 410
    assert [(event["type"], event["object"]["code"]) for event in watched] == [("ERROR", 410)]


async def test_restart_keeps_data_and_address(server: ApiServer, admin: Client) -> None:
    await admin.create(CONFIGMAPS, "kept")
    address = server.url

    await server.restart()

    assert server.url == address
    async with Client(server) as again:
        assert (await again.get(f"{CONFIGMAPS}/kept")).status == 200


async def test_restored_state_lacks_what_came_later(server: ApiServer, admin: Client) -> None:
    """Custom resources included: their kind is gone with its definition."""
    before = server.snapshot()
    await admin.create(CONFIGMAPS, "late")
    await admin.do("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", WIDGETS)
    seen = (await admin.get(CONFIGMAPS)).body["metadata"]["resourceVersion"]

    server.restore(before)

    assert (await admin.get(f"{CONFIGMAPS}/late")).status == 404
    assert (await admin.get("/apis/example.com/v1/widgets")).status == 404
    assert int((await admin.get(CONFIGMAPS)).body["metadata"]["resourceVersion"]) > int(seen)


async def test_rewound_state_reuses_resource_versions(server: ApiServer, admin: Client) -> None:
    before = server.snapshot()
    first = (await admin.create(CONFIGMAPS, "one")).body["metadata"]["resourceVersion"]

    server.restore(before, rewind=True)

    assert (await admin.create(CONFIGMAPS, "other")).body["metadata"]["resourceVersion"] == first


async def test_faults_are_set_over_http_by_administrators_only(server: ApiServer, admin: Client) -> None:
    rule = {"code": 500, "times": 1, "resource": "configmaps"}
    async with Client(server, user="eve") as eve:
        assert (await eve.do("POST", "/sandbox/faults", rule)).status == 403

    assert (await admin.do("POST", "/sandbox/faults", rule)).status == 201
    assert [r["code"] for r in (await admin.get("/sandbox/faults")).body] == [500]
    assert (await admin.get(CONFIGMAPS)).status == 500
    assert (await admin.get(CONFIGMAPS)).status == 200
    assert (await admin.do("POST", "/sandbox/faults", {"no": "such"})).status == 400


WIDGETS = {
    "metadata": {"name": "widgets.example.com"},
    "spec": {
        "group": "example.com",
        "scope": "Namespaced",
        "names": {"plural": "widgets", "kind": "Widget"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {"openAPIV3Schema": {"type": "object"}},
            }
        ],
    },
}
