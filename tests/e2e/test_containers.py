"""Each container for itself: some fail, some have nothing to find, some share a pod with many others."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.e2e.harness import NAMESPACE, configure, pod, reported, running_cluster, running_operator
from tests.e2e.looking import sample, until_event, until_phase
from tests.kinds import REPORT_KINDS
from trivyop.cli.status import read_lines, show_lines
from trivyop.kube.resources import (
    EXPOSEDSECRETREPORTS,
    JOBS,
    SBOMREPORTS,
    VULNERABILITYREPORTS,
)
from trivyop.sandbox.registry.samples import numbered_images, sample_images


def by_container(reports: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {one["metadata"]["labels"]["trivy-operator.container.name"]: one["report"] for one in reports}


async def test_container_that_cannot_be_scanned_holds_up_no_other(tmp_path: Path) -> None:
    """And its failure is told everywhere somebody may look."""
    async with running_cluster(tmp_path) as cluster:
        missing = cluster.image("shop/web:missing")
        await cluster.create(
            pod(
                "web",
                "shop",
                web=missing,
                proxy=cluster.image("library/single:1"),
                cache=cluster.image("library/cache:7"),
            )
        )
        async with running_operator(cluster) as operator:
            await cluster.until_reported("shop/Pod/web/proxy", "shop/Pod/web/cache")
            status = await until_phase(cluster, missing, "Failed")
            event = await until_event(cluster, "shop", "web", "ImageScanFailed")
            failures = sample(operator, "trivyop_scan_failures_total", **{"class": "not-found"})
            shown = show_lines(await read_lines(cluster.api, NAMESPACE), now=datetime.now(UTC))

        assert status["reason"] == "not-found"
        assert datetime.fromisoformat(status["nextRetry"]) > datetime.now(UTC)
        assert event["type"] == "Warning"
        assert "not-found" in event["message"]
        assert failures >= 1
        assert "Failed (not-found)" in shown
        assert f"{missing}: not-found: " in shown
        assert reported(await cluster.list(VULNERABILITYREPORTS)) == {
            "shop/Pod/web/proxy",
            "shop/Pod/web/cache",
        }


async def test_images_with_nothing_to_find_get_all_reports(tmp_path: Path) -> None:
    """A report with nothing in it says "clean"; none would say "never scanned"."""
    async with running_cluster(tmp_path) as cluster:
        await cluster.create(
            pod(
                "web",
                "shop",
                clean=cluster.image("library/clean:1"),
                single=cluster.image("library/single:1"),
                scratch=cluster.image("library/static:1"),
            )
        )
        async with running_operator(cluster):
            await cluster.until_reported(*(f"shop/Pod/web/{name}" for name in ("clean", "single", "scratch")))

        vulnerabilities = by_container(await cluster.list(VULNERABILITYREPORTS))
        secrets = by_container(await cluster.list(EXPOSEDSECRETREPORTS))
        sboms = by_container(await cluster.list(SBOMREPORTS))
        assert {name: len(report["vulnerabilities"]) for name, report in vulnerabilities.items()} == {
            "clean": 0,
            "single": 2,
            "scratch": 0,
        }
        assert all(report["secrets"] == [] for report in secrets.values())
        assert sboms["clean"]["summary"]["componentsCount"] > sboms["scratch"]["summary"]["componentsCount"]


async def test_pod_of_many_containers_is_scanned_with_volumes_of_the_users_own(tmp_path: Path) -> None:
    """Each scan pod has the volumes and mounts once, however many containers ask for scans."""
    names = [f"c{n}" for n in range(5)]
    images = {**sample_images(), **numbered_images(len(names))}
    async with running_cluster(tmp_path, images=images) as cluster:
        volumes = [{"name": "certificates", "emptyDir": {}}]
        mounts = [{"name": "certificates", "mountPath": "/certificates", "readOnly": True}]
        await configure(
            cluster,
            {"scanJob.customVolumes": json.dumps(volumes), "scanJob.customVolumesMount": json.dumps(mounts)},
        )
        containers = {name: cluster.image(f"scale/app-{n}:1") for n, name in enumerate(names)}
        await cluster.create(pod("web", "shop", **containers))
        async with running_operator(cluster, environ={"OPERATOR_SCAN_JOB_TTL": "1h"}):
            await cluster.until_reported(*(f"shop/Pod/web/{name}" for name in names))

        jobs = await cluster.list(JOBS, NAMESPACE)
        assert len(jobs) == len(names)
        for job in jobs:
            spec = job["spec"]["template"]["spec"]
            assert [one["name"] for one in spec["volumes"]].count("certificates") == 1
            for container in (*spec.get("initContainers", ()), *spec["containers"]):
                assert [one["mountPath"] for one in container["volumeMounts"]].count("/certificates") == 1


async def test_finished_jobs_that_are_kept_take_no_slot(tmp_path: Path) -> None:
    """With room for one Job and ten finished ones lying around, the next scan starts all the same."""
    images = {**sample_images(), **numbered_images(10)}
    async with running_cluster(tmp_path, images=images) as cluster:
        environ = {"OPERATOR_SCAN_JOB_TTL": "1h", "OPERATOR_CONCURRENT_SCAN_JOBS_LIMIT": "1"}
        await cluster.create(
            pod("web", "shop", **{f"c{n}": cluster.image(f"scale/app-{n}:1") for n in range(10)})
        )
        async with running_operator(cluster, environ=environ) as operator:
            await cluster.until_reported(*(f"shop/Pod/web/c{n}" for n in range(10)), seconds=120)
            await cluster.until(_all_finished(10), JOBS, NAMESPACE)

            await cluster.create(pod("next", "shop", web=cluster.image("library/static:1")))

            await cluster.until(_all_finished(11), JOBS, NAMESPACE)
            for kind in REPORT_KINDS:
                await cluster.until(lambda found: "shop/Pod/next/web" in reported(found), kind)
            assert sample(operator, "trivyop_scan_slots") == 1


def _all_finished(count: int):
    def finished(jobs: list[dict[str, Any]]) -> bool:
        return len(jobs) == count and all(job.get("status", {}).get("succeeded") == 1 for job in jobs)

    return finished
