"""API client: every verb, against an API server that answers as the real one does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import pytest

from trivyop.errors import (
    AlreadyExistsError,
    ConflictError,
    DeniedError,
    ExpiredError,
    InvalidError,
    NotFoundError,
    TooLargeError,
    TransientError,
)
from trivyop.kube.client import Api, PatchKind
from trivyop.kube.config import ClusterConfig
from trivyop.kube.discovery import discover
from trivyop.kube.objects import Object
from trivyop.kube.resources import (
    CONFIGMAPS,
    CRONJOBS,
    DEPLOYMENTS,
    IMAGESCANS,
    NAMESPACES,
    PODS,
    SERVICEACCOUNTS,
    ObjectKey,
    Resource,
)
from trivyop.kube.watch import EventType, WatchEvent
from trivyop.sandbox.apiserver.faults import Rule
from trivyop.sandbox.apiserver.server import ApiServer

WEB = ObjectKey("shop", "web")


@pytest.fixture(autouse=True)
async def shop(api: Api) -> None:
    await api.create(NAMESPACES, {"metadata": {"name": "shop"}})


def config_map(name: str = "web", **data: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": "shop"},
        "data": data,
    }


def pod(name: str = "web") -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "shop", "labels": {"app": name}},
        "spec": {"containers": [{"name": "main", "image": "nginx"}]},
    }


async def test_object_is_created_read_and_deleted(api: Api) -> None:
    created = await api.create(CONFIGMAPS, config_map(color="red"))

    found = await api.get(CONFIGMAPS, WEB)
    assert found is not None
    assert found.key == WEB
    assert found.metadata.uid == created["metadata"]["uid"]
    assert await api.get_dict(CONFIGMAPS, WEB) == created

    assert await api.delete(CONFIGMAPS, WEB)
    assert await api.get(CONFIGMAPS, WEB) is None
    assert await api.get_dict(CONFIGMAPS, WEB) is None
    assert not await api.delete(CONFIGMAPS, WEB)


async def test_name_that_is_taken_is_a_conflict_of_its_own_kind(api: Api) -> None:
    await api.create(CONFIGMAPS, config_map())

    with pytest.raises(AlreadyExistsError):
        await api.create(CONFIGMAPS, config_map())


async def test_namespace_or_kind_that_is_missing_is_terminal_on_a_write(api: Api) -> None:
    with pytest.raises(NotFoundError, match="nowhere"):
        await api.create(CONFIGMAPS, config_map() | {"metadata": {"name": "web"}}, namespace="nowhere")
    with pytest.raises(NotFoundError):
        await api.create(IMAGESCANS, {"metadata": {"name": "web", "namespace": "shop"}})


async def test_replacing_a_version_that_is_gone_is_a_conflict(api: Api) -> None:
    stale = await api.create(CONFIGMAPS, config_map(color="red"))
    fresh = await api.replace(CONFIGMAPS, WEB, config_map(color="blue"))
    assert fresh["data"] == {"color": "blue"}

    with pytest.raises(ConflictError):
        await api.replace(CONFIGMAPS, WEB, stale)


async def test_apply_creates_then_changes_what_it_owns(api: Api) -> None:
    await api.apply(CONFIGMAPS, config_map(color="red", size="small"))
    await api.patch(CONFIGMAPS, WEB, {"data": {"other": "theirs"}}, field_manager="somebody")

    applied = await api.apply(CONFIGMAPS, config_map(color="blue"))

    assert applied["data"] == {"color": "blue", "other": "theirs"}


async def test_apply_without_force_leaves_another_managers_field_alone(api: Api) -> None:
    await api.apply(CONFIGMAPS, config_map(color="red"), field_manager="somebody")

    with pytest.raises(ConflictError):
        await api.apply(CONFIGMAPS, config_map(color="blue"), force=False)
    assert (await api.apply(CONFIGMAPS, config_map(color="blue")))["data"] == {"color": "blue"}


@pytest.mark.parametrize(
    ("kind", "patch"),
    [
        (PatchKind.MERGE, {"metadata": {"labels": {"tier": "front"}}}),
        (PatchKind.STRATEGIC, {"metadata": {"labels": {"tier": "front"}}}),
        (PatchKind.JSON, [{"op": "add", "path": "/metadata/labels", "value": {"tier": "front"}}]),
    ],
)
async def test_patch_of_each_kind(api: Api, kind: PatchKind, patch: object) -> None:
    await api.create(CONFIGMAPS, config_map())

    patched = await api.patch(CONFIGMAPS, WEB, patch, kind=kind)

    assert patched is not None
    assert patched["metadata"]["labels"] == {"tier": "front"}


async def test_patch_of_what_is_gone_is_an_answer(api: Api) -> None:
    assert await api.patch(CONFIGMAPS, WEB, {"data": {}}) is None


async def test_status_is_written_by_its_subresource_only(api: Api) -> None:
    await api.create(PODS, pod())
    await api.patch(PODS, WEB, {"status": {"message": "not this way"}})
    await api.patch(PODS, WEB, {"status": {"message": "this way"}}, subresource="status")

    found = await api.get_dict(PODS, WEB)
    assert found is not None
    assert found["status"]["message"] == "this way"


async def test_delete_spares_another_object_of_the_same_name(api: Api) -> None:
    created = await api.create(CONFIGMAPS, config_map())

    with pytest.raises(ConflictError):
        await api.delete(CONFIGMAPS, WEB, uid="of-its-predecessor")
    with pytest.raises(ConflictError):
        await api.delete(CONFIGMAPS, WEB, resource_version="1")
    assert await api.delete(CONFIGMAPS, WEB, uid=created["metadata"]["uid"])


async def test_pod_without_a_node_goes_at_once_without_grace(api: Api) -> None:
    await api.create(PODS, pod())

    assert await api.delete(PODS, WEB, grace_seconds=0, propagation="Foreground")


async def test_token_of_a_service_account_is_created_as_a_subresource(api: Api) -> None:
    await api.create(SERVICEACCOUNTS, {"metadata": {"name": "web", "namespace": "shop"}})

    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    answer = await api.create(SERVICEACCOUNTS, request, namespace="shop", name="web", subresource="token")

    assert answer["status"]["token"].count(".") == 2


async def test_invalid_object_comes_back_with_its_causes(api: Api) -> None:
    with pytest.raises(InvalidError) as refused:
        await api.create(PODS, pod() | {"spec": {"containers": []}})

    assert any("spec.containers" in cause for cause in refused.value.causes)


async def test_object_that_is_too_large_has_an_error_of_its_own(api: Api) -> None:
    with pytest.raises(TooLargeError):
        await api.create(CONFIGMAPS, config_map(k="x" * 3_200_000))
    big = pod()
    big["spec"]["containers"][0]["env"] = [{"name": "A", "value": "x" * 1_600_000}]
    with pytest.raises(TooLargeError):
        await api.create(PODS, big)


async def test_list_follows_pages_and_selects(api: Api, server: ApiServer) -> None:
    for n in range(7):
        await api.create(PODS, pod(f"p{n}"))

    everything = await api.list(PODS, type=Object, limit=3)
    labelled = await api.list(PODS, type=Object, namespace="shop", label_selector="app in (p1,p3)")
    named = await api.list(PODS, type=dict[str, Any], field_selector="metadata.name=p5")
    slim = await api.list(PODS, type=Object, metadata_only=True)

    assert [item.metadata.name for item in everything.items] == [f"p{n}" for n in range(7)]
    assert everything.resource_version
    assert [item.metadata.name for item in labelled.items] == ["p1", "p3"]
    assert [item["spec"]["containers"][0]["image"] for item in named.items] == ["nginx"]
    assert [item.metadata for item in slim.items] == [item.metadata for item in everything.items]
    assert {item.kind for item in slim.items} == {"PartialObjectMetadata"}
    pages = [line for line in server.requests if line.path == "/api/v1/pods" and "limit=3" in line.query]
    assert len(pages) == 3


async def test_list_whose_moment_is_forgotten_between_pages_starts_over(api: Api, server: ApiServer) -> None:
    for n in range(6):
        await api.create(PODS, pod(f"p{n}"))

    names: list[str] = []

    async def read() -> None:
        async with aclosing(api.list_pages(PODS, type=Object, limit=2)) as pages:
            async for page in pages:
                names.extend(item.metadata.name for item in page.items)
                await api.create(CONFIGMAPS, config_map(f"c{len(names)}"))
                server.faults.forget_history()

    with pytest.raises(ExpiredError):
        await read()
    assert names == ["p0", "p1"]

    server.faults.add(Rule(code=410, verb="list", resource="pods", times=2))
    assert len((await api.list(PODS, type=Object, limit=2)).items) == 6


async def _events(
    batches: AsyncGenerator[list[WatchEvent[Any]], None],
) -> AsyncGenerator[WatchEvent[Any], None]:
    async with aclosing(batches):
        async for batch in batches:
            for event in batch:
                yield event


async def test_watch_tells_what_happens_after_the_list(api: Api) -> None:
    listing = await api.list(CONFIGMAPS, type=Object, namespace="shop")
    await api.create(CONFIGMAPS, config_map(color="red"))
    await api.patch(CONFIGMAPS, WEB, {"data": {"color": "blue"}})
    await api.delete(CONFIGMAPS, WEB)

    told: list[tuple[EventType, str]] = []
    watching = api.watch_batches(
        CONFIGMAPS, type=Object, namespace="shop", resource_version=listing.resource_version
    )
    async with aclosing(_events(watching)) as events:
        async for event in events:
            if event.object is not None:
                told.append((event.type, event.object.metadata.name))
            if event.type is EventType.DELETED:
                break
    assert told == [(EventType.ADDED, "web"), (EventType.MODIFIED, "web"), (EventType.DELETED, "web")]


async def test_watch_ends_when_the_server_says_so(api: Api) -> None:
    watching = api.watch_batches(CONFIGMAPS, type=Object, resource_version="", timeout_seconds=1)

    async with asyncio.timeout(30), aclosing(watching) as batches:
        types = {event.type async for batch in batches for event in batch}
    assert types <= {EventType.ADDED, EventType.BOOKMARK}


async def test_watch_from_a_forgotten_version_is_expired(api: Api, server: ApiServer) -> None:
    await api.create(CONFIGMAPS, config_map())
    server.faults.forget_history()

    with pytest.raises(ExpiredError):
        async with aclosing(api.watch_batches(CONFIGMAPS, type=Object, resource_version="1")) as batches:
            [batch async for batch in batches]


async def test_watch_can_send_the_list_first(api: Api) -> None:
    for n in range(3):
        await api.create(CONFIGMAPS, config_map(f"c{n}"))

    names: list[str] = []
    watching = api.watch_batches(
        CONFIGMAPS,
        type=Object,
        namespace="shop",
        resource_version="",
        send_initial_events=True,
        metadata_only=True,
    )
    async with aclosing(_events(watching)) as events:
        async for event in events:
            if event.initial_events_end:
                break
            assert event.object is not None
            names.append(event.object.metadata.name)
    assert sorted(name for name in names if name.startswith("c")) == ["c0", "c1", "c2"]


async def test_log_of_a_container_that_has_not_started_is_refused(api: Api) -> None:
    await api.create(PODS, pod())

    with pytest.raises((InvalidError, TransientError)):
        async with api.logs(WEB, "other", tail_lines=5, limit_bytes=100):
            pass
    with pytest.raises(NotFoundError):
        async with api.logs(ObjectKey("shop", "nobody"), "main", follow=True):
            pass


async def test_who_may_not_is_told_so(api: Api, server: ApiServer) -> None:
    config = await ClusterConfig.from_kubeconfig_dict(server.kubeconfig("ann", ("guests",)))

    async with Api(config) as guest:
        with pytest.raises(DeniedError, match='"ann"'):
            await guest.list(PODS, type=Object)


async def test_server_under_pressure_names_its_wish(api: Api, server: ApiServer) -> None:
    server.faults.add(Rule(code=429, retry_after=7, times=1))

    with pytest.raises(TransientError) as refused:
        await api.list(PODS, type=Object)
    assert refused.value.retry_after == 7


async def test_closed_gate_stops_writes_and_no_reads(api: Api, server: ApiServer) -> None:
    """So a replica that is no longer the leader stops writing, whatever its workers hold."""
    leading = True

    def gate() -> float:
        if not leading:
            raise TransientError("not the leader")
        return 10.0

    config = await ClusterConfig.from_kubeconfig_dict(server.kubeconfig())
    async with Api(config, write_gate=gate) as gated:
        await gated.create(CONFIGMAPS, config_map())
        leading = False
        for write in (
            gated.create(CONFIGMAPS, config_map("other")),
            gated.replace(CONFIGMAPS, WEB, config_map()),
            gated.apply(CONFIGMAPS, config_map("other")),
            gated.patch(CONFIGMAPS, WEB, {"data": {"a": "b"}}),
            gated.delete(CONFIGMAPS, WEB),
        ):
            with pytest.raises(TransientError, match="not the leader"):
                await write

        assert await gated.get(CONFIGMAPS, WEB) is not None
        assert await gated.get(CONFIGMAPS, ObjectKey("shop", "other")) is None


async def test_version_and_discovery(api: Api) -> None:
    assert (await api.version())["gitVersion"].startswith("v1.")

    found = await discover(api)
    assert all(found.serves(kind) for kind in (PODS, DEPLOYMENTS, CRONJOBS))
    assert not found.serves(IMAGESCANS)
    assert not found.serves(Resource("apps", "v1beta1", "deployments", "Deployment"))
    assert {"get", "list", "watch"} <= found.verbs(PODS)
    assert found.verbs(IMAGESCANS) == frozenset()
