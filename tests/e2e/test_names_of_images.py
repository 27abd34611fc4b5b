"""What nodes call an image is a name, and the image stays the same when its name changes."""

from __future__ import annotations

import json
from pathlib import Path

from tests.e2e.harness import NAMESPACE, Cluster, pod, running_cluster, running_operator
from tests.e2e.looking import image_of_its_own, is_about, sample, until_phase
from tests.e2e.test_rollout import cron_job, job_of
from trivyop.kube.resources import (
    CRONJOBS,
    EVENTS,
    IMAGESCANS,
    JOBS,
    PODS,
    VULNERABILITYREPORTS,
    ObjectKey,
)
from trivyop.sandbox.registry.auth import Account, Auth
from trivyop.sandbox.registry.oci import MANIFEST, Blob, Image, to_json
from trivyop.sandbox.registry.samples import sample_images


def copy_of(image: Image, note: str) -> Image:
    """The same configuration and layers, with a manifest of another digest."""
    manifest = json.loads(image.manifest.data) | {"annotations": {"note": note}}
    return Image(Blob(MANIFEST, to_json(manifest)), image.blobs, platform=image.platform)


ORIGINAL = image_of_its_own("names")
IMAGES = {
    **sample_images(),
    "team/prod:1": ORIGINAL,
    "team/dev:1": copy_of(ORIGINAL, "dev"),
    "team/aaa:1": copy_of(ORIGINAL, "aaa"),
}


async def rename(cluster: Cluster, image_id: str, *, restarts: int = 0) -> None:
    """Have the node call the image of the only container of ``shop/web`` something else."""
    found = await cluster.api.get_dict(PODS, ObjectKey("shop", "web"))
    assert found is not None
    (status,) = found["status"]["containerStatuses"]
    changed = {**status, "imageID": image_id, "restartCount": restarts}
    patch = {"status": {"containerStatuses": [changed]}}
    await cluster.api.patch(PODS, ObjectKey("shop", "web"), patch, subresource="status")


async def test_digest_of_another_repository_is_had_from_there_and_may_be_renamed(tmp_path: Path) -> None:
    """containerd names one of the repositories that it has the image from, and another one later."""
    async with running_cluster(tmp_path, images=IMAGES, node_names={"team/prod:1": "team/dev:1"}) as cluster:
        dev, aaa = (
            cluster.image(f"team/{name}@{IMAGES[f'team/{name}:1'].digest}") for name in ("dev", "aaa")
        )
        await cluster.create(pod("web", "shop", web=cluster.image("team/prod:1")))
        async with running_operator(cluster):
            await cluster.until_reported("shop/Pod/web/web")
            await cluster.until_settled()
            (scan,) = await cluster.list(IMAGESCANS)
            before = {one["metadata"]["resourceVersion"] for one in await cluster.list(VULNERABILITYREPORTS)}
            assert scan["status"]["reference"] == dev

            await rename(cluster, aaa)
            await cluster.until(
                lambda scans: [one["spec"].get("alsoKnownAs") for one in scans] == [[aaa.partition("@")[2]]],
                IMAGESCANS,
                what="renamed",
            )
            await cluster.create(pod("other", "shop", web=cluster.image("library/single:1")))
            await cluster.until_reported("shop/Pod/web/web", "shop/Pod/other/web")

        async with running_operator(cluster):
            await rename(cluster, scan["status"]["imageId"])  # of an image without any name
            await cluster.create(pod("next", "shop", web=cluster.image("library/static:1")))
            await cluster.until_reported("shop/Pod/web/web", "shop/Pod/other/web", "shop/Pod/next/web")
            await cluster.until_settled()

        scans = await cluster.list(IMAGESCANS)
        after = {one["metadata"]["resourceVersion"] for one in await cluster.list(VULNERABILITYREPORTS)}
        assert cluster.scan_jobs_created() == 3
        assert len(scans) == 3
        assert before < after


async def test_container_that_restarts_with_another_digest_is_another_image(tmp_path: Path) -> None:
    images = {**IMAGES, "team/next:1": image_of_its_own("next")}
    async with running_cluster(tmp_path, images=images) as cluster:
        await cluster.create(pod("web", "shop", web=cluster.image("team/prod:1")))
        async with running_operator(cluster):
            await cluster.until_reported("shop/Pod/web/web")
            await cluster.until_settled()

            digest = images["team/next:1"].digest
            await rename(cluster, cluster.image(f"team/next@{digest}"), restarts=1)

            await cluster.until(
                lambda found: [one["report"]["artifact"]["digest"] for one in found] == [digest],
                VULNERABILITYREPORTS,
            )


async def test_image_is_had_from_the_next_place_where_one_refuses(tmp_path: Path) -> None:
    """The node's name is of a private repository, and the workload's own lacks the digest: no failure."""
    async with running_cluster(
        tmp_path,
        images=IMAGES,
        node_names={"team/prod:1": "team/dev:1"},
        auth=Auth({"team/dev": Account("somebody", "else")}),
    ) as cluster:
        image = cluster.image("team/prod:1")
        await cluster.create(pod("web", "shop", web=image))
        async with running_operator(cluster) as operator:
            await cluster.until_reported("shop/Pod/web/web")
            status = await until_phase(cluster, image, "Succeeded")
            failures = sample(operator, "trivyop_scan_failures_total", **{"class": "not-found"})
            events = await cluster.list(EVENTS, "shop")

    assert status["reference"] == image
    assert failures == 0
    assert not [one for one in events if is_about(one, "shop", "web")]


async def test_cron_job_that_runs_while_it_is_scanned_is_scanned_once(tmp_path: Path) -> None:
    """The scan by reference goes on, because it will say of which digest it is."""
    async with running_cluster(tmp_path) as cluster:
        await cluster.create(cron_job("nightly", "shop", cluster.image("shop/gateway:3")))
        (nightly,) = await cluster.list(CRONJOBS)
        async with running_operator(cluster):
            await cluster.until(bool, JOBS, NAMESPACE, what="scanning")
            await cluster.create(job_of(nightly))

            await cluster.until(
                lambda scans: any(
                    scan["spec"].get("digest") and scan.get("status", {}).get("phase") == "Succeeded"
                    for scan in scans
                ),
                IMAGESCANS,
                what="by digest",
            )
            await cluster.until_settled()
            await cluster.until_reported("shop/CronJob/nightly/run")
            scans = await cluster.list(IMAGESCANS)

    assert cluster.scan_jobs_created() == 1
    assert {one["status"]["source"] for one in scans if one["spec"].get("digest")} == {"Adopted"}
