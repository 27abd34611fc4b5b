"""Many workloads on few images, with restarts in between: one scan Job for each image, ever."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.harness import (
    NAMESPACE,
    Cluster,
    deployment,
    operator_process,
    pod,
    reported,
    running_cluster,
)
from tests.kinds import REPORT_KINDS
from tests.patience import patience
from trivyop.kube.resources import DEPLOYMENTS, IMAGESCANS, JOBS, PODS, Resource
from trivyop.sandbox.registry.samples import numbered_images, sample_images

WORKLOADS = 1000
IMAGES = 50
NAMESPACES = 10
_CREATES_AT_ONCE = 16


def workloads(cluster: Cluster) -> Iterator[dict[str, Any]]:
    """Every tenth a Deployment, the others bare Pods; two containers each, over all images evenly."""
    for n in range(WORKLOADS):
        make = deployment if n % 10 == 0 else pod
        images = {
            "app": cluster.image(f"scale/app-{n % IMAGES}:1"),
            "sidecar": cluster.image(f"scale/app-{(n * 7 + 1) % IMAGES}:1"),
        }
        yield make(f"w{n}", f"scale-{n % NAMESPACES}", **images)


def containers() -> set[str]:
    """What has to be reported on."""
    return {
        f"scale-{n % NAMESPACES}/{'ReplicaSet' if n % 10 == 0 else 'Pod'}/w{n}/{container}"
        for n in range(WORKLOADS)
        for container in ("app", "sidecar")
    }


async def create_all(cluster: Cluster) -> None:
    bodies = list(workloads(cluster))
    for body in bodies[:NAMESPACES]:  # with their namespaces
        await cluster.create(body)
    rest = iter(bodies[NAMESPACES:])

    async def serve() -> None:
        for body in rest:
            await cluster.api.create(DEPLOYMENTS if body["kind"] == "Deployment" else PODS, body)

    async with asyncio.TaskGroup() as group:
        for _ in range(_CREATES_AT_ONCE):
            group.create_task(serve())


async def until_succeeded(cluster: Cluster, count: int, *, seconds: float = 120) -> None:
    def enough(scans: list[dict[str, Any]]) -> bool:
        return [scan.get("status", {}).get("phase") for scan in scans].count("Succeeded") >= count

    await cluster.until(enough, IMAGESCANS, seconds=seconds, what=f"{count} succeeded")


async def reports(cluster: Cluster, kind: Resource) -> list[dict[str, Any]]:
    """Their metadata; the whole reports are much."""
    listing = await cluster.api.list(kind, type=dict[str, Any], metadata_only=True)
    return listing.items


async def until_all_reported(cluster: Cluster, *, seconds: float = 120) -> None:
    async with patience(seconds):
        for kind in REPORT_KINDS:
            while len(await reports(cluster, kind)) < 2 * WORKLOADS:  # noqa: ASYNC110 - another process's state
                await asyncio.sleep(0.5)


@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_restarts_and_shared_images_cost_no_scan(tmp_path: Path) -> None:
    """1,000 workloads on 50 images are 50 scan Jobs, however often the operator is killed or restarted."""
    images = {**sample_images(), **numbered_images(IMAGES)}
    log = tmp_path / "operator.log"
    async with running_cluster(tmp_path, images=images) as cluster:
        await create_all(cluster)
        async with operator_process(cluster, log=log) as process:
            await until_succeeded(cluster, IMAGES // 3)
            process.kill()
        async with operator_process(cluster, log=log) as process:
            await until_succeeded(cluster, 2 * IMAGES // 3)
            process.terminate()
            assert await process.wait() == 0
        async with operator_process(cluster, log=log) as process:
            await until_all_reported(cluster)
            await cluster.until_settled()
            process.terminate()
            assert await process.wait() == 0
        for kind in REPORT_KINDS:
            assert reported(await reports(cluster, kind)) == containers()
        before = {one["metadata"]["uid"] for one in await reports(cluster, REPORT_KINDS[0])}

        async with operator_process(cluster, log=log):
            # What comes last in the queues of a start is served after all the rest.
            await cluster.create(pod("last", "scale-0", app=cluster.image("library/static:1")))
            await cluster.until(lambda scans: len(scans) == IMAGES + 1, IMAGESCANS, NAMESPACE)
            await cluster.until_settled()

        assert cluster.scan_jobs_created() == IMAGES + 1
        assert {scan["status"]["attempts"] for scan in await cluster.list(IMAGESCANS, NAMESPACE)} == {1}
        assert not await cluster.list(JOBS, NAMESPACE)
        assert before <= {one["metadata"]["uid"] for one in await reports(cluster, REPORT_KINDS[0])}
