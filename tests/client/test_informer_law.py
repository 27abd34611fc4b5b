"""The informer's law: whatever happened, its store ends up as the server's list, and handlers heard all."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import parse_qsl

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.clock import EagerClock
from trivyop.kube.client import Api
from trivyop.kube.config import ClusterConfig
from trivyop.kube.informer import Informer
from trivyop.kube.objects import Object
from trivyop.kube.resources import CONFIGMAPS, NAMESPACES, ObjectKey
from trivyop.sandbox.apiserver.faults import Rule
from trivyop.sandbox.apiserver.pages import VERSION
from trivyop.sandbox.apiserver.server import ApiServer
from trivyop.sandbox.pki import Pki

PKI = Pki.create()

NAMES = st.sampled_from("abcd")
STEP = st.one_of(
    st.tuples(st.just("write"), NAMES, st.integers(0, 2)),
    st.tuples(st.just("delete"), NAMES, st.just(0)),
    st.tuples(st.sampled_from(["drop", "forget", "breathe"]), st.just(""), st.just(0)),
    st.tuples(st.just("refuse"), st.sampled_from(["list", "watch"]), st.sampled_from([410, 429, 500, 503])),
)


class World:
    """A server, an informer on it, and what its handler has been told so far."""

    def __init__(self, server: ApiServer, api: Api, informer: Informer[Object]) -> None:
        self.server = server
        self.api = api
        self.informer = informer
        self.told: dict[ObjectKey, Object] = {}
        self.ended = asyncio.Event()
        informer.add_handler(self._note)

    def _note(self, key: ObjectKey, old: Object | None, new: Object | None) -> None:
        assert old == self.told.get(key), "a change was told that does not follow from the last one"
        assert old != new, "a change was told that is none"
        if new is None:
            del self.told[key]
        else:
            self.told[key] = new
        if key.name == "the-end":
            self.ended.set()

    async def step(self, what: str, name: str, number: int) -> None:
        match what:
            case "write":
                await self.api.apply(CONFIGMAPS, config_map(name, number))
            case "delete":
                await self.api.delete(CONFIGMAPS, ObjectKey("shop", name))
            case "drop":
                self.server.drop_watches()
            case "forget":
                self.server.faults.forget_history()
            case "refuse":
                self.server.faults.add(Rule(code=number, verb=name, user_agent="informer", times=1))
            case _:
                for _ in range(30):
                    await asyncio.sleep(0)


def config_map(name: str, number: int = 0) -> dict[str, Any]:
    meta = {"name": name, "namespace": "shop", "labels": {"number": str(number)}}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta}


async def live_through(steps: list[tuple[str, str, int]], *, streaming: bool) -> None:
    async with ApiServer(pki=PKI) as server:
        config = await ClusterConfig.from_kubeconfig_dict(server.kubeconfig())
        async with (
            Api(config) as api,
            Api(config, user_agent="informer", clock=EagerClock()) as watched,
            asyncio.timeout(60),
        ):
            await api.create(NAMESPACES, {"metadata": {"name": "shop"}})
            informer = Informer(
                watched, CONFIGMAPS, Object, namespace="shop", page_size=2, streaming=streaming
            )
            world = World(server, api, informer)
            running = asyncio.create_task(informer.run())
            for step in steps:
                await world.step(*step)
            await api.create(CONFIGMAPS, config_map("the-end"))
            await world.ended.wait()
            running.cancel()

            truth = await api.list(CONFIGMAPS, type=Object, namespace="shop")
            expected = {item.key: item.metadata for item in truth.items}
            assert {key: value.metadata for key, value in informer.store.items()} == expected
            assert world.told == dict(informer.store.items())


@pytest.mark.slow
@pytest.mark.parametrize("streaming", [True, False], ids=["streamed", "paged"])
@settings(max_examples=60, deadline=None)
@given(steps=st.lists(STEP, max_size=25))
def test_store_ends_up_as_the_servers_list(streaming: bool, steps: list[tuple[str, str, int]]) -> None:
    asyncio.run(live_through(steps, streaming=streaming))


@pytest.mark.parametrize(
    ("version", "streamed"), [("v1.36.0", False), ("v1.34.1-eks-1", False), ("v1.33.5", True), ("odd", True)]
)
async def test_list_is_read_in_the_way_that_costs_the_server_less(
    server: ApiServer, api: Api, monkeypatch: pytest.MonkeyPatch, *, version: str, streamed: bool
) -> None:
    """In pages from 1.34 on, which serves all of them from its watch cache; older ones would ask etcd."""
    monkeypatch.setitem(VERSION, "gitVersion", version)
    informer = Informer(api, CONFIGMAPS, Object, streaming=None)
    running = asyncio.create_task(informer.run())
    await informer.wait_synced()

    asked = [dict(parse_qsl(one.query)) for one in server.requests if one.path == "/api/v1/configmaps"]
    assert "sendInitialEvents" in asked[0] if streamed else asked[0]["limit"] == "500"
    running.cancel()
    await asyncio.wait((running,))
