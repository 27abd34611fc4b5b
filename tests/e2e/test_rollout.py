"""Reports follow what runs: through rollouts, moved tags, Jobs of CronJobs and debug containers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.e2e.harness import (
    Cluster,
    configure,
    deployment,
    pod,
    reported,
    running_cluster,
    running_operator,
)
from tests.e2e.looking import image_of_its_own, until_phase
from tests.kinds import REPORT_KINDS
from trivyop.kube.client import PatchKind
from trivyop.kube.resources import (
    CRONJOBS,
    DAEMONSETS,
    DEPLOYMENTS,
    IMAGESCANS,
    JOBS,
    PODS,
    REPLICASETS,
    STATEFULSETS,
    VULNERABILITYREPORTS,
    ObjectKey,
    Resource,
)
from trivyop.sandbox.registry.samples import sample_images

WEB = ObjectKey("shop", "web")


async def set_image(cluster: Cluster, resource: Resource, image: str) -> None:
    """Change the image of the container ``web`` of the workload ``shop/web``."""
    spec = {"template": {"spec": {"containers": [{"name": "web", "image": image}]}}}
    await cluster.api.patch(resource, WEB, {"spec": spec}, kind=PatchKind.STRATEGIC)


async def scale(cluster: Cluster, replicas: int) -> None:
    await cluster.api.patch(DEPLOYMENTS, WEB, {"spec": {"replicas": replicas}})


def controller(kind: str, **images: str) -> dict[str, Any]:
    """A StatefulSet or DaemonSet ``shop/web``."""
    made = deployment("web", "shop", **images)
    made["kind"] = kind
    if kind == "DaemonSet":
        del made["spec"]["replicas"]
    return made


def job_spec(image: str) -> dict[str, Any]:
    return {"template": {"spec": {"containers": [{"name": "run", "image": image}], "restartPolicy": "Never"}}}


def cron_job(name: str, namespace: str, image: str) -> dict[str, Any]:
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"schedule": "0 4 1 1 *", "jobTemplate": {"spec": job_spec(image)}},
    }


def owners(reports: list[dict[str, Any]]) -> set[str]:
    return {report["metadata"]["ownerReferences"][0]["name"] for report in reports}


def digests(reports: list[dict[str, Any]]) -> set[str]:
    return {report["report"]["artifact"]["digest"] for report in reports}


async def test_reports_follow_a_deployment_to_its_new_revision(tmp_path: Path) -> None:
    """Those of the old one go when its last pod has gone."""
    async with running_cluster(tmp_path) as cluster:
        await cluster.create(deployment("web", "shop", replicas=2, web=cluster.image("library/single:1")))
        async with running_operator(cluster):
            await cluster.until_reported("shop/ReplicaSet/web/web")
            (old,) = owners(await cluster.list(VULNERABILITYREPORTS))

            await set_image(cluster, DEPLOYMENTS, cluster.image("shop/legacy:0.1"))

            for kind in REPORT_KINDS:
                await cluster.until(
                    lambda found: len(found) == 1 and owners(found) != {old}, kind, what=f"not of {old}"
                )

        (report,) = await cluster.list(VULNERABILITYREPORTS)
        assert report["report"]["artifact"]["tag"] == "0.1"
        assert len(await cluster.list(REPLICASETS, "shop")) == 2


async def test_reports_of_what_still_runs_stay_while_a_rollout_is_stuck(tmp_path: Path) -> None:
    async with running_cluster(tmp_path) as cluster:
        await cluster.create(deployment("web", "shop", web=cluster.image("library/single:1")))
        async with running_operator(cluster):
            await cluster.until_reported("shop/ReplicaSet/web/web")
            before = {one["metadata"]["uid"] for kind in REPORT_KINDS for one in await cluster.list(kind)}

            await set_image(cluster, DEPLOYMENTS, cluster.image("library/single:missing"))
            await until_phase(cluster, cluster.image("library/single:missing"), "Failed")

            after = {one["metadata"]["uid"] for kind in REPORT_KINDS for one in await cluster.list(kind)}
            assert after == before


async def test_scaling_to_zero_keeps_reports_and_scaling_up_needs_no_scan(tmp_path: Path) -> None:
    async with running_cluster(tmp_path) as cluster:
        await cluster.create(deployment("web", "shop", web=cluster.image("library/single:1")))
        async with running_operator(cluster):
            await cluster.until_reported("shop/ReplicaSet/web/web")
            await cluster.until_settled()

            await scale(cluster, 0)
            await cluster.until(_in_use("False"), IMAGESCANS)
            await cluster.until_reported("shop/ReplicaSet/web/web")
            await scale(cluster, 1)
            await cluster.until(_in_use("True"), IMAGESCANS)
            await cluster.until_settled()

        assert cluster.scan_jobs_created() == 1


def _in_use(status: str):
    def told(scans: list[dict[str, Any]]) -> bool:
        conditions = scans[0].get("status", {}).get("conditions", ())
        return ("InUse", status) in {(one["type"], one["status"]) for one in conditions}

    return told


async def test_tag_that_moved_is_scanned_once_a_pod_runs_the_new_digest(tmp_path: Path) -> None:
    """Nothing in the Deployment changes."""
    async with running_cluster(tmp_path) as cluster:
        registry = cluster.sandbox.registry
        assert registry is not None
        await cluster.create(deployment("web", "shop", web=cluster.image("library/single:1")))
        async with running_operator(cluster):
            await cluster.until_reported("shop/ReplicaSet/web/web")
            await cluster.until_settled()
            before = digests(await cluster.list(VULNERABILITYREPORTS))

            moved = registry.move_tag("library/single", "1", sample_images()["shop/legacy:0.1"])
            (running,) = await cluster.list(PODS, "shop")
            await cluster.api.delete(PODS, ObjectKey("shop", running["metadata"]["name"]))

            (report,) = await cluster.until(lambda found: digests(found) == {moved}, VULNERABILITYREPORTS)
            for kind in REPORT_KINDS:
                await cluster.until(lambda found: digests(found) == {moved}, kind)
            await cluster.until_settled()

        assert before != {moved}
        assert "CVE-2022-37434" in {one["vulnerabilityID"] for one in report["report"]["vulnerabilities"]}
        assert cluster.scan_jobs_created() == 2


@pytest.mark.parametrize("resource", [STATEFULSETS, DAEMONSETS], ids=lambda resource: resource.kind)
async def test_reports_follow_a_rollout_in_place(tmp_path: Path, resource: Resource) -> None:
    """Both keep their name, so a report shows the old image until the new one is scanned, never none."""
    async with running_cluster(tmp_path) as cluster:
        await cluster.create(controller(resource.kind, web=cluster.image("library/single:1")))
        async with running_operator(cluster):
            await cluster.until_reported(f"shop/{resource.kind}/web/web")
            uids = {one["metadata"]["uid"] for kind in REPORT_KINDS for one in await cluster.list(kind)}

            await set_image(cluster, resource, cluster.image("shop/legacy:0.1"))

            for kind in REPORT_KINDS:
                await cluster.until(
                    lambda found: {one["report"]["artifact"]["tag"] for one in found} == {"0.1"}, kind
                )
            await cluster.until_settled()

        assert uids == {one["metadata"]["uid"] for kind in REPORT_KINDS for one in await cluster.list(kind)}
        assert cluster.scan_jobs_created() == 2


async def test_reports_of_a_cron_job_stay_with_it_when_it_runs(tmp_path: Path) -> None:
    """It is scanned before it ever runs; a run tells the digest, which is known by then."""
    async with running_cluster(tmp_path) as cluster:
        image = cluster.image("library/single:1")
        await cluster.create(cron_job("nightly", "shop", image))
        async with running_operator(cluster):
            await cluster.until_reported("shop/CronJob/nightly/run")
            await cluster.until_settled()

            (nightly,) = await cluster.list(CRONJOBS)
            await cluster.create(job_of(nightly))
            await cluster.until(
                lambda scans: any(scan["spec"].get("digest") for scan in scans), IMAGESCANS, what="by digest"
            )
            await cluster.until_settled()
            await cluster.until(_all_complete, JOBS, "shop")
            await cluster.until_reported("shop/CronJob/nightly/run")

        assert cluster.scan_jobs_created() == 1


def job_of(owner: dict[str, Any]) -> dict[str, Any]:
    """What ``kubectl create job --from`` makes."""
    meta = owner["metadata"]
    reference = {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "name": meta["name"],
        "uid": meta["uid"],
        "controller": True,
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "now", "namespace": meta["namespace"], "ownerReferences": [reference]},
        "spec": owner["spec"]["jobTemplate"]["spec"],
    }


def _all_complete(jobs: list[dict[str, Any]]) -> bool:
    return all(job.get("status", {}).get("succeeded") for job in jobs)


async def test_debug_container_gets_reports(tmp_path: Path) -> None:
    """``kubectl debug`` adds it to a pod that runs."""
    async with running_cluster(tmp_path) as cluster:
        await cluster.create(pod("web", "shop", web=cluster.image("library/single:1")))
        async with running_operator(cluster):
            await cluster.until_reported("shop/Pod/web/web")

            debugger = {"name": "debugger", "image": cluster.image("library/clean:1")}
            await cluster.api.patch(
                PODS,
                WEB,
                {"spec": {"ephemeralContainers": [debugger]}},
                kind=PatchKind.STRATEGIC,
                subresource="ephemeralcontainers",
            )

            await cluster.until_reported("shop/Pod/web/web", "shop/Pod/web/debugger")


async def test_skip_label_keeps_scans_away_and_takes_reports_back(tmp_path: Path) -> None:
    async with running_cluster(tmp_path) as cluster:
        await configure(cluster, {"skipResourceByLabels": "team/private"})
        image = cluster.image("library/single:1")
        private = pod("private", "shop", web=cluster.image("shop/legacy:0.1"))
        private["metadata"]["labels"] = {"team/private": "yes"}
        await cluster.create(private, pod("web", "shop", web=image), pod("api", "shop", web=image))
        async with running_operator(cluster):
            await cluster.until_reported("shop/Pod/web/web", "shop/Pod/api/web")

            await cluster.api.patch(PODS, WEB, {"metadata": {"labels": {"team/private": ""}}})

            await cluster.until_reported("shop/Pod/api/web")
            await cluster.until_settled()

        assert cluster.scan_jobs_created() == 1


async def test_excluded_image_leaves_the_other_containers_of_its_pod(tmp_path: Path) -> None:
    async with running_cluster(tmp_path) as cluster:
        await configure(cluster, {"scanJob.excludeImages": cluster.image("shop/*")})
        web, proxy = cluster.image("shop/web:1.0"), cluster.image("library/single:1")
        await cluster.create(pod("web", "shop", web=web, proxy=proxy))
        async with running_operator(cluster):
            await cluster.until_reported("shop/Pod/web/proxy")
            await cluster.until_settled()

        (scan,) = await cluster.list(IMAGESCANS)
        assert scan["spec"]["image"] == proxy
        assert cluster.scan_jobs_created() == 1


async def test_image_that_no_workload_runs_any_more_leaves_with_its_container(tmp_path: Path) -> None:
    """A StatefulSet loses a sidecar: its reports go, those of the others stay."""
    images = {**sample_images(), "shop/sidecar:1": image_of_its_own("sidecar")}
    async with running_cluster(tmp_path, images=images) as cluster:
        web, sidecar = cluster.image("library/single:1"), cluster.image("shop/sidecar:1")
        await cluster.create(controller("StatefulSet", web=web, sidecar=sidecar))
        async with running_operator(cluster):
            await cluster.until_reported("shop/StatefulSet/web/web", "shop/StatefulSet/web/sidecar")

            template = controller("StatefulSet", web=web)["spec"]["template"]
            await cluster.api.patch(STATEFULSETS, WEB, {"spec": {"template": template}})

            await cluster.until_reported("shop/StatefulSet/web/web")
            assert reported(await cluster.list(VULNERABILITYREPORTS)) == {"shop/StatefulSet/web/web"}
