"""Informers through what a real API server does to them: starts, a changed definition, an older storage."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs

from tests.sandbox.apiserver.test_starting import definition
from trivyop.kube.client import Api
from trivyop.kube.config import ClusterConfig
from trivyop.kube.informer import Informer
from trivyop.kube.objects import Object
from trivyop.kube.resources import CONFIGMAPS, CRDS, ObjectKey, Resource
from trivyop.sandbox.apiserver.server import ApiServer
from trivyop.sandbox.apiserver.starting import Starting

GADGETS = Resource("example.com", "v1", "gadgets", "Gadget")


@asynccontextmanager
async def informing(
    server: ApiServer, resource: Resource, user: str = "admin"
) -> AsyncGenerator[Informer[Object]]:
    async with Api(await ClusterConfig.from_kubeconfig_dict(server.kubeconfig(user))) as api:
        informer = Informer(api, resource, Object, namespace="default")
        running = asyncio.create_task(informer.run())
        try:
            async with asyncio.timeout(60):
                await informer.wait_synced()
                yield informer
        finally:
            running.cancel()
            await asyncio.wait([running])


async def until(informer: Informer[Object], reached: Callable[[], bool]) -> None:
    changed = asyncio.Event()
    informer.add_handler(lambda *_: changed.set())
    while not reached():
        changed.clear()
        await changed.wait()


async def put(api: Api, resource: Resource, name: str) -> None:
    meta = {"name": name, "namespace": "default"}
    await api.create(resource, {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": meta})


@pytest.mark.parametrize("restart", [True, False], ids=["restarted", "watches end"])
async def test_older_copy_of_the_storage_is_listed_anew(restart: bool) -> None:
    """A watch from a version of the future is silent: without asking, nothing would be heard for ever."""
    async with (
        ApiServer() as server,
        Api(await ClusterConfig.from_kubeconfig_dict(server.kubeconfig())) as api,
    ):
        await put(api, CONFIGMAPS, "kept")
        older = server.snapshot()
        for n in range(5):
            await put(api, CONFIGMAPS, f"late-{n}")
        async with informing(server, CONFIGMAPS) as informer:
            assert len(informer.store) == 7

            server.restore(older, rewind=True)
            if restart:
                await server.restart()
            await until(informer, lambda: ObjectKey("default", "late-0") not in informer.store)
            await put(api, CONFIGMAPS, "new")
            await until(informer, lambda: ObjectKey("default", "new") in informer.store)

            assert {key.name for key in informer.store} == {"kube-root-ca.crt", "kept", "new"}


async def test_definition_that_changes_is_worth_no_warning() -> None:
    starting = Starting(unready_seconds=0, denied_seconds=0, filling_seconds=0, redefined_seconds=3)
    async with (
        ApiServer(starting=starting) as server,
        Api(await ClusterConfig.from_kubeconfig_dict(server.kubeconfig())) as api,
    ):
        await api.create(CRDS, definition())
        with capture_logs() as logs:
            async with informing(server, GADGETS) as informer:
                logs.clear()
                columns = [{"name": "Size", "type": "string", "jsonPath": ".spec.size"}]
                versions = [definition()["spec"]["versions"][0] | {"additionalPrinterColumns": columns}]
                await api.patch(CRDS, ObjectKey("", "gadgets.example.com"), {"spec": {"versions": versions}})
                await put(api, GADGETS, "after")
                await until(informer, lambda: len(informer.store) == 1)

    assert starting.answers[429] > 0
    assert [line for line in logs if line["log_level"] in ("warning", "error")] == []


async def test_start_like_a_real_one_is_worth_no_warning_and_no_problem() -> None:
    starting = Starting(users="admin")
    async with ApiServer(starting=starting) as server:
        with capture_logs() as logs:
            async with informing(server, CONFIGMAPS) as informer:
                for _ in range(3):
                    await server.restart()
                    problem: set[str | None] = set()
                    while not problem or starting.unready_left:
                        problem.add(informer.problem)
                        await asyncio.sleep(0.05)
                    assert problem == {None}
                async with Api(await ClusterConfig.from_kubeconfig_dict(server.kubeconfig())) as api:
                    while True:
                        try:
                            await put(api, CONFIGMAPS, "after")
                        except Exception:  # noqa: BLE001 - it starts
                            await asyncio.sleep(0.1)
                        else:
                            break
                await until(informer, lambda: ObjectKey("default", "after") in informer.store)

    assert {403, 503} <= set(starting.answers)
    assert [line for line in logs if line["log_level"] in ("warning", "error")] == []
