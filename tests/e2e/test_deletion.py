"""What happens when reports, workloads, namespaces and ImageScans are deleted, end to end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.e2e.harness import (
    NAMESPACE,
    TRIVY,
    Cluster,
    deployment,
    pod,
    reported,
    running_cluster,
    running_operator,
)
from tests.kinds import REPORT_KINDS
from trivyop.kube.resources import (
    EXPOSEDSECRETREPORTS,
    IMAGESCANS,
    JOBS,
    NAMESPACES,
    PODS,
    SBOMREPORTS,
    VULNERABILITYREPORTS,
    ObjectKey,
    Resource,
)
from trivyop.sandbox.kubelet.faults import Fault, Kind


async def delete_reports(cluster: Cluster, namespace: str, *kinds: Resource) -> set[str]:
    """Delete all reports of these kinds; returns their uids."""
    uids: set[str] = set()
    for kind in kinds:
        for report in await cluster.list(kind, namespace):
            await cluster.api.delete(kind, ObjectKey(namespace, report["metadata"]["name"]))
            uids.add(report["metadata"]["uid"])
    return uids


class Gate:
    """A Trivy that scans nothing while it is held."""

    def __init__(self, directory: Path) -> None:
        self.programs = directory / "programs"
        self._held = directory / "held"
        self.programs.mkdir()
        program = self.programs / "trivy"
        program.write_text(
            f'#!/bin/sh\nwhile [ -e "{self._held}" ]; do sleep 0.1; done\nexec "{TRIVY}" "$@"\n'
        )
        program.chmod(0o755)

    def hold(self) -> None:
        self._held.touch()

    def open(self) -> None:
        self._held.unlink()


def uids_of(objects: list[dict[str, Any]]) -> set[str]:
    return {one["metadata"]["uid"] for one in objects}


async def test_deleted_report_comes_back_through_one_new_scan(tmp_path: Path) -> None:
    """That is how users ask for a scan now; matching anew or copying would not look at the image."""
    async with running_cluster(tmp_path) as cluster:
        await cluster.create(pod("web", "shop", web=cluster.image("library/single:1")))
        async with running_operator(cluster):
            await cluster.until_reported("shop/Pod/web/web")
            await cluster.until_settled()
            (before,) = await cluster.list(SBOMREPORTS)

            gone = await delete_reports(cluster, "shop", VULNERABILITYREPORTS)

            (after,) = await cluster.until(
                lambda found: len(found) == 1 and not uids_of(found) & gone, VULNERABILITYREPORTS
            )
            await cluster.until(lambda scans: scans[0]["status"]["attempts"] == 2, IMAGESCANS)
            await cluster.until_settled()

        assert after["report"]["summary"]["mediumCount"] == 2
        assert cluster.scan_jobs_created() == 2
        (kept,) = await cluster.list(SBOMREPORTS)
        assert kept["metadata"]["uid"] == before["metadata"]["uid"]


async def test_reports_of_one_workload_deleted_together_come_back_through_one_scan(tmp_path: Path) -> None:
    async with running_cluster(tmp_path) as cluster:
        image = cluster.image("library/single:1")
        await cluster.create(pod("web", "shop", web=image, worker=image))
        async with running_operator(cluster):
            await cluster.until_reported("shop/Pod/web/web", "shop/Pod/web/worker")
            await cluster.until_settled()

            await delete_reports(cluster, "shop", *REPORT_KINDS)

            await cluster.until(lambda scans: scans[0]["status"]["attempts"] == 2, IMAGESCANS)
            await cluster.until_reported("shop/Pod/web/web", "shop/Pod/web/worker")
            await cluster.until_settled()

        assert cluster.scan_jobs_created() == 2


async def test_reports_deleted_while_the_new_scan_runs_come_with_it(tmp_path: Path) -> None:
    """Whoever deletes many, one after the other, wants one scan."""
    gate = Gate(tmp_path)
    async with running_cluster(tmp_path, programs_first=gate.programs) as cluster:
        image = cluster.image("library/single:1")
        await cluster.create(pod("web", "shop", web=image), pod("api", "shop", api=image))
        async with running_operator(cluster):
            await cluster.until_reported("shop/Pod/web/web", "shop/Pod/api/api")
            await cluster.until_settled()

            gate.hold()
            await cluster.api.delete(VULNERABILITYREPORTS, ObjectKey("shop", "pod-web-web"))
            await cluster.until(lambda jobs: len(jobs) == 1, JOBS, NAMESPACE)
            gone = await delete_reports(cluster, "shop", *REPORT_KINDS)
            await cluster.create(pod("later", "bank", web=cluster.image("library/static:1")))
            await cluster.until(lambda scans: len(scans) == 2, IMAGESCANS)
            gate.open()
            for kind in REPORT_KINDS:
                await cluster.until(lambda found: len(found) == 3 and not uids_of(found) & gone, kind)
            await cluster.until_settled()
            # A request for what was deleted above would be heard before this one.
            await delete_reports(cluster, "bank", SBOMREPORTS)
            await cluster.until(
                lambda scans: [scan["status"]["attempts"] for scan in scans] == [2, 2], IMAGESCANS
            )
            await cluster.until_settled()

        assert cluster.scan_jobs_created() == 4


async def test_deleted_workload_takes_its_reports_and_leaves_those_of_others(tmp_path: Path) -> None:
    """Both run the same image; what one needs is not the other's to take away."""
    async with running_cluster(tmp_path) as cluster:
        image = cluster.image("library/single:1")
        await cluster.create(pod("web", "shop", web=image), deployment("api", "shop", api=image))
        async with running_operator(cluster):
            await cluster.until_reported("shop/Pod/web/web", "shop/ReplicaSet/api/api")

            await cluster.api.delete(PODS, ObjectKey("shop", "web"))

            await cluster.until_reported("shop/ReplicaSet/api/api")
            await cluster.until_settled()

        assert cluster.scan_jobs_created() == 1


async def test_workload_deleted_while_its_image_is_scanned_takes_the_scan_with_it(tmp_path: Path) -> None:
    async with running_cluster(tmp_path) as cluster:
        assert cluster.sandbox.kubelet is not None
        cluster.sandbox.kubelet.faults.fail_next(Fault(Kind.HANG))
        await cluster.create(pod("web", "shop", web=cluster.image("library/single:1")))
        async with running_operator(cluster):
            await cluster.until(lambda jobs: len(jobs) == 1, JOBS, NAMESPACE)

            await cluster.api.delete(PODS, ObjectKey("shop", "web"))

            await cluster.until(lambda jobs: not jobs, JOBS, NAMESPACE)
            await cluster.until(lambda scans: not scans, IMAGESCANS)
            await cluster.until(lambda pods: not pods, PODS, NAMESPACE)


async def test_scan_goes_on_when_only_one_of_its_workloads_is_deleted(tmp_path: Path) -> None:
    async with running_cluster(tmp_path) as cluster:
        image = cluster.image("library/single:1")
        await cluster.create(pod("first", "shop", web=image), pod("second", "shop", web=image))
        async with running_operator(cluster):
            await cluster.until(lambda jobs: len(jobs) == 1, JOBS, NAMESPACE)

            await cluster.api.delete(PODS, ObjectKey("shop", "first"))

            await cluster.until_reported("shop/Pod/second/web")
            await cluster.until_settled()

        assert cluster.scan_jobs_created() == 1


async def test_deleted_workload_gives_up_its_place_in_line(tmp_path: Path) -> None:
    """The line moves on as if it had never been there."""
    async with running_cluster(tmp_path) as cluster:
        assert cluster.sandbox.kubelet is not None
        cluster.sandbox.kubelet.faults.fail_next(Fault(Kind.HANG))
        await cluster.create(pod("first", "shop", web=cluster.image("library/single:1")))
        async with running_operator(cluster, environ={"OPERATOR_CONCURRENT_SCAN_JOBS_LIMIT": "1"}):
            await cluster.until(lambda jobs: len(jobs) == 1, JOBS, NAMESPACE)
            await cluster.create(pod("second", "shop", web=cluster.image("library/clean:1")))
            await cluster.until(_queued(1), IMAGESCANS)
            await cluster.create(pod("third", "shop", web=cluster.image("library/static:1")))
            await cluster.until(_queued(2), IMAGESCANS)

            await cluster.api.delete(PODS, ObjectKey("shop", "second"))
            await cluster.until(lambda scans: len(scans) == 2, IMAGESCANS)
            await cluster.api.delete(PODS, ObjectKey("shop", "first"))

            await cluster.until_reported("shop/Pod/third/web")
            await cluster.until_settled()

        assert cluster.scan_jobs_created() == 2
        (scan,) = await cluster.list(IMAGESCANS)
        assert scan["spec"]["image"].endswith("library/static:1")


def _queued(count: int):
    return lambda scans: [scan.get("status", {}).get("phase") for scan in scans].count("Queued") == count


async def test_deleted_namespace_asks_for_no_scan(tmp_path: Path) -> None:
    """Its reports go one by one, some before their workloads do; nobody asks to have them back."""
    async with running_cluster(tmp_path) as cluster:
        image = cluster.image("library/single:1")
        await cluster.create(
            *(pod(f"web-{n}", "shop", web=image) for n in range(5)),
            deployment("api", "shop", api=image),
            pod("other", "bank", web=image),
        )
        async with running_operator(cluster):
            everything = {*(f"shop/Pod/web-{n}/web" for n in range(5)), "shop/ReplicaSet/api/api"}
            await cluster.until_reported("bank/Pod/other/web", *everything)
            await cluster.until_settled()

            await cluster.api.delete(NAMESPACES, ObjectKey("", "shop"))

            await cluster.until(
                lambda found: "shop" not in {one["metadata"]["name"] for one in found}, NAMESPACES
            )
            await cluster.until_reported("bank/Pod/other/web")
            # What is asked for later than anything above was: had there been a request, it would be before.
            await delete_reports(cluster, "bank", EXPOSEDSECRETREPORTS)
            (scan,) = await cluster.until(lambda scans: scans[0]["status"]["attempts"] == 2, IMAGESCANS)
            await cluster.until_reported("bank/Pod/other/web")
            await cluster.until_settled()

        assert cluster.scan_jobs_created() == 2
        assert scan["spec"]["requesters"] == 1


async def test_deleted_image_scan_comes_back_without_a_scan(tmp_path: Path) -> None:
    """The reports that are there say what it would find."""
    async with running_cluster(tmp_path) as cluster:
        await cluster.create(pod("web", "shop", web=cluster.image("library/single:1")))
        async with running_operator(cluster):
            await cluster.until_reported("shop/Pod/web/web")
            await cluster.until_settled()
            (before,) = await cluster.list(IMAGESCANS)

            await cluster.api.delete(IMAGESCANS, ObjectKey(NAMESPACE, before["metadata"]["name"]))

            (after,) = await cluster.until(
                lambda scans: (
                    bool(scans)
                    and not uids_of(scans) & {before["metadata"]["uid"]}
                    and scans[0].get("status", {}).get("phase") == "Succeeded"
                ),
                IMAGESCANS,
            )

        assert after["status"]["source"] == "Adopted"
        (matchable,) = (one for one in after["status"]["conditions"] if one["type"] == "Matchable")
        assert (matchable["status"], matchable["reason"]) == ("False", "Adopted")
        assert after["status"]["summary"] == before["status"]["summary"]
        assert after["status"]["lastSuccess"] <= before["status"]["lastSuccess"]
        assert cluster.scan_jobs_created() == 1
        assert len(reported(await cluster.list(VULNERABILITYREPORTS))) == 1
