"""Watches: where they start, when they end, and what a client that does not keep up sees."""

from __future__ import annotations

import asyncio

import pytest

from tests.sandbox.apiserver.client import CONFIGMAPS, Client
from trivyop.sandbox.apiserver import reads, watches
from trivyop.sandbox.apiserver.server import ApiServer

SECRETS = "/api/v1/namespaces/default/secrets"


async def test_without_initial_events_it_starts_now(admin: Client) -> None:
    await admin.create(SECRETS, "old")
    async with admin.watch(f"{SECRETS}?sendInitialEvents=false&resourceVersionMatch=NotOlderThan") as events:
        await admin.create(SECRETS, "new")
        assert (await anext(events))["object"]["metadata"]["name"] == "new"


async def test_initial_events_of_the_future_are_refused(
    admin: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a restore from backup a client asks for more than there is."""
    monkeypatch.setattr(reads, "_PATIENCE_SECONDS", 0.01)
    query = "watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&resourceVersion=99999"

    answer = await admin.get(f"{SECRETS}?{query}")

    assert answer.status == 504
    assert answer.body["details"]["causes"][0]["reason"] == "ResourceVersionTooLarge"


async def test_busy_watch_ends_in_time_all_the_same(admin: Client) -> None:
    async def keep_writing() -> None:
        for n in range(10_000):
            await admin.create(SECRETS, f"s{n}")

    async with admin.watch(f"{SECRETS}?timeoutSeconds=1") as events:
        writing = asyncio.create_task(keep_writing())
        seen = [event async for event in events]
        writing.cancel()

    assert len(seen) > 0
    assert {event["type"] for event in seen} == {"ADDED"}


async def test_client_that_falls_behind_is_cut_off(
    server: ApiServer, admin: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server does not hoard events for it; the stream ends, and the client comes back."""
    monkeypatch.setattr(watches, "_BACKLOG", 3)
    configmaps = server.dispatch.kinds.get("", "v1", "configmaps")
    async with admin.watch(f"{CONFIGMAPS}?resourceVersion=1") as events:
        await anext(events)
        for n in range(10):  # at once, before the watch gets to run
            configmaps.put({"metadata": {"name": f"c{n}", "namespace": "default"}})

        rest = [event["object"]["metadata"]["name"] async for event in events]

    assert rest == []


async def test_two_versions_of_one_kind_are_watched_alike(admin: Client) -> None:
    """Events are in two groups; a change made in one is seen in the other, under its names."""
    about = {"kind": "Pod", "name": "p", "namespace": "default"}
    path = "/apis/events.k8s.io/v1/namespaces/default/events"
    async with admin.watch(path) as events:
        core = {"involvedObject": about, "reason": "Scanned", "message": "done", "type": "Normal"}
        await admin.create("/api/v1/namespaces/default/events", "e.1", **core)

        seen = (await anext(events))["object"]

    assert seen["apiVersion"] == "events.k8s.io/v1"
    assert (seen["regarding"]["name"], seen["note"]) == ("p", "done")


async def test_large_initial_state_comes_in_order_before_what_follows(admin: Client) -> None:
    for n in range(5):
        await admin.create(SECRETS, f"s{n}")
    query = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
    async with admin.watch(f"{SECRETS}?{query}") as events:
        await admin.create(SECRETS, "later")
        seen = [await anext(events) for _ in range(7)]

    names = [event["object"]["metadata"].get("name", "") for event in seen]
    assert names == ["s0", "s1", "s2", "s3", "s4", "", "later"]
    assert seen[5]["type"] == "BOOKMARK"
