"""World: an API server with controllers, and a way to wait for what they bring about.

``until`` follows a watch, so a test waits exactly as long as it has to, and fails with the last state it saw.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Any

from trivyop.control.clock import Clock
from trivyop.kube.client import Api
from trivyop.kube.resources import NODES, PODS, ObjectKey, Resource
from trivyop.kube.watch import EventType
from trivyop.sandbox.controllers.run import Name, run_controllers

Json = dict[str, Any]
PATIENCE_SECONDS = 30.0


@asynccontextmanager
async def controllers(api: Api, clock: Clock, *which: Name) -> AsyncIterator[None]:
    """Run these controllers for the block."""
    task = asyncio.create_task(run_controllers(api, clock, which, root_ca="the CA"))
    try:
        yield
        if task.done():
            task.result()
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def until(
    api: Api,
    resource: Resource,
    holds: Callable[[list[Json]], bool],
    *,
    namespace: str = "default",
    name: str = "",
    labels: str = "",
) -> list[Json]:
    """Wait until ``holds`` is true of the objects selected, and return them."""
    select = {
        "namespace": namespace if resource.namespaced else "",
        "field_selector": f"metadata.name={name}" if name else "",
        "label_selector": labels,
    }
    listing = await api.list(resource, type=dict, **select)
    found = {item["metadata"]["name"]: item for item in listing.items}
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            if holds(list(found.values())):
                return list(found.values())
            watching = api.watch_batches(
                resource, resource_version=listing.resource_version, type=dict, **select
            )
            async with aclosing(watching) as batches:
                async for batch in batches:
                    for event in batch:
                        if event.type is EventType.DELETED:
                            found.pop(event.object["metadata"]["name"], None)
                        elif event.type is not EventType.BOOKMARK:
                            found[event.object["metadata"]["name"]] = event.object
                        if holds(list(found.values())):
                            return list(found.values())
    except TimeoutError:
        pass
    raise AssertionError(f"{resource.name} never came to be as wanted: {list(found.values())}")


async def until_one(
    api: Api, resource: Resource, name: str, holds: Callable[[Json], bool], *, namespace: str = "default"
) -> Json:
    """Wait until an object is there and ``holds`` is true of it."""
    [found] = await until(
        api, resource, lambda all_: len(all_) == 1 and holds(all_[0]), namespace=namespace, name=name
    )
    return found


async def until_gone(api: Api, resource: Resource, name: str, *, namespace: str = "default") -> None:
    """Wait until there is no such object."""
    await until(api, resource, lambda found: not found, namespace=namespace, name=name)


async def set_pod_status(api: Api, name: str, status: Mapping[str, Any]) -> None:
    """Be the kubelet for a moment."""
    await api.patch(PODS, ObjectKey("default", name), {"status": status}, subresource="status")


def names(objects: list[Json]) -> set[str]:
    """What they are called."""
    return {found["metadata"]["name"] for found in objects}


async def make_ready(api: Api, *pods: Json) -> None:
    """Let these Pods run and be ready."""
    for pod in pods:
        conditions = [{"type": "Ready", "status": "True"}]
        await set_pod_status(api, pod["metadata"]["name"], {"phase": "Running", "conditions": conditions})


async def add_node(api: Api, name: str, labels: Mapping[str, str] | None = None) -> None:
    """Add a Node that is ready."""
    conditions = [{"type": "Ready", "status": "True"}]
    node = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": dict(labels or {})},
        "status": {"conditions": conditions},
    }
    await api.create(NODES, node)


def template(image: str = "nginx:1", **spec: Any) -> Json:
    """A Pod template."""
    containers = [{"name": "main", "image": image}]
    return {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": containers, **spec}}


def workload(resource: Resource, name: str, **spec: Any) -> Json:
    """A workload of that name."""
    return {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {"name": name, "namespace": "default"},
        "spec": spec,
    }


SELECTOR = {"matchLabels": {"app": "web"}}
