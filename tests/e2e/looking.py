"""Ways to look at what the operator did to an image, as its workload names it: scans, Events, metrics."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import aiohttp

from tests.e2e.harness import NAMESPACE, Cluster
from tests.patience import patience
from trivyop.app import Operator
from trivyop.kube.resources import EVENTS, IMAGESCANS
from trivyop.sandbox.registry.filesystems import Package, alpine
from trivyop.sandbox.registry.oci import Image

Json = dict[str, Any]


def image_of_its_own(word: str) -> Image:
    """An image with two findings that no other has the digest of."""
    return Image.build(alpine("3.18.3", Package("busybox", "1.36.1-r6")), {"etc/word": word.encode()})


def find_scan(scans: list[Json], image: str) -> Json | None:
    """The ImageScan of an image as its workload names it."""
    return next((scan for scan in scans if scan["spec"]["image"] == image), None)


def status_of(scans: list[Json], image: str) -> Json:
    scan = find_scan(scans, image)
    return (scan or {}).get("status", {})


async def until_status(
    cluster: Cluster, image: str, condition: Callable[[Json], bool], *, what: str = "", seconds: float = 60
) -> Json:
    """Wait until the status of an image's scan fulfils `condition`; returns the status."""
    scans = await cluster.until(
        lambda found: condition(status_of(found, image)),
        IMAGESCANS,
        NAMESPACE,
        what=what or f"as wanted for {image}",
        seconds=seconds,
    )
    return status_of(scans, image)


async def until_phase(cluster: Cluster, image: str, phase: str, *, seconds: float = 60) -> Json:
    return await until_status(
        cluster, image, lambda status: status.get("phase") == phase, what=f"{phase}: {image}", seconds=seconds
    )


def is_about(event: Json, namespace: str, name: str) -> bool:
    involved = event["involvedObject"]
    return (involved.get("namespace", ""), involved["name"]) == (namespace, name)


async def until_event(cluster: Cluster, namespace: str, name: str, reason: str) -> Json:
    """Wait for an Event about an object; returns the first one."""
    events = await cluster.until(
        lambda found: any(is_about(one, namespace, name) and one["reason"] == reason for one in found),
        EVENTS,
        namespace,
        what=f"told about {name}: {reason}",
    )
    return next(one for one in events if is_about(one, namespace, name) and one["reason"] == reason)


def reports_deleted(cluster: Cluster) -> list[str]:
    """Paths of all reports that were deleted so far."""
    return [
        request.path
        for request in cluster.requests
        if request.method == "DELETE" and "reports" in request.path
    ]


def sample(operator: Operator, name: str, **labels: str) -> float:
    """A sample of the operator's metrics."""
    value = operator.registry.get_sample_value(name, labels)
    assert value is not None, f"there is no {name}{labels}"
    return value


def looks(operator: Operator) -> float:
    """How often a scan was looked at."""
    return sample(operator, "trivyop_reconcile_total", controller="imagescans", outcome="done")


async def until_looked(operator: Operator, before: float) -> None:
    async with patience(20):
        while looks(operator) == before:  # noqa: ASYNC110 - as the harness waits
            await asyncio.sleep(0.02)


async def until_readiness(
    operator: Operator, condition: Callable[[tuple[int, str]], bool], *, seconds: float = 60
) -> tuple[int, str]:
    """Wait until the answer of `/readyz` fulfils `condition`; returns its status and body."""
    answer = (0, "no probes yet")
    try:
        async with patience(seconds), aiohttp.ClientSession() as session:
            while not condition(answer):
                await asyncio.sleep(0.1)
                if "probes" in operator.urls:
                    async with session.get(f"{operator.urls['probes']}/readyz") as response:
                        answer = (response.status, await response.text())
    except TimeoutError:
        raise AssertionError(f"after {seconds} s readiness is not as wanted: {answer}") from None
    return answer
