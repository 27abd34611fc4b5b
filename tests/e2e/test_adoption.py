"""Reports that the Go operator wrote are taken over: same names, replaced in place, nothing left behind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.e2e.harness import Cluster, pod, running_cluster, running_operator
from tests.e2e.looking import until_phase
from trivyop.kube.resources import (
    EXPOSEDSECRETREPORTS,
    NAMESPACES,
    PODS,
    SBOMREPORTS,
    VULNERABILITYREPORTS,
    ObjectKey,
    Resource,
)

GOLDEN = Path(__file__).parents[1] / "data" / "golden" / "reports"
DEBUG = ObjectKey("shop", "pod-debug-debug")
CONTENT_HASH = "trivyop.dev/content-hash"
KINDS = (VULNERABILITYREPORTS, EXPOSEDSECRETREPORTS, SBOMREPORTS)


async def test_reports_of_the_go_operator_are_replaced_in_place(tmp_path: Path) -> None:
    """Their uid stays, so whoever watches them sees an update; none is there twice."""
    async with running_cluster(tmp_path) as cluster:
        await old_cluster(cluster)
        before = {kind: await cluster.list(kind) for kind in KINDS}
        assert all(len(found) == 1 for found in before.values())

        async with running_operator(cluster):
            for kind in KINDS:
                (report,) = await cluster.until(all_ours, kind)
                assert report["metadata"]["uid"] == before[kind][0]["metadata"]["uid"]
                assert report["metadata"]["name"] == DEBUG.name
                assert "report-made-up" not in report["metadata"]["labels"]
                managers = {entry["manager"] for entry in report["metadata"]["managedFields"]}
                assert managers == {"trivyop"}


async def test_old_report_stays_until_the_new_one_is_there(tmp_path: Path) -> None:
    """An image that cannot be scanned any more keeps what was known of it."""
    async with running_cluster(tmp_path) as cluster:
        await old_cluster(cluster, image="library/gone:1")
        (before,) = await cluster.list(VULNERABILITYREPORTS)

        async with running_operator(cluster):
            await until_phase(cluster, cluster.image("library/gone:1"), "Failed")
            (after,) = await cluster.list(VULNERABILITYREPORTS)

    assert after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]


async def test_old_report_of_a_container_that_is_gone_goes(tmp_path: Path) -> None:
    async with running_cluster(tmp_path) as cluster:
        await old_cluster(cluster)
        await put(cluster, VULNERABILITYREPORTS, name="pod-debug-removed", container="removed")

        async with running_operator(cluster):
            (report,) = await cluster.until(
                lambda found: len(found) == 1 and all_ours(found), VULNERABILITYREPORTS
            )

    assert report["metadata"]["name"] == DEBUG.name


async def old_cluster(cluster: Cluster, *, image: str = "library/cache:7") -> None:
    """A pod, and the reports that the Go operator wrote for it."""
    await cluster.api.create(NAMESPACES, {"metadata": {"name": "shop"}})
    await cluster.api.create(PODS, pod("debug", "shop", debug=cluster.image(image)))
    for kind in KINDS:
        await put(cluster, kind, name=DEBUG.name, container="debug")


async def put(cluster: Cluster, kind: Resource, *, name: str, container: str) -> None:
    """Write a recorded report as the Go operator does: with an update, not with an apply."""
    report: dict[str, Any] = json.loads((GOLDEN / kind.plural / f"shop_{DEBUG.name}.json").read_text())
    owner = await cluster.api.get_dict(PODS, ObjectKey("shop", "debug"))
    assert owner is not None
    (reference,) = report["metadata"]["ownerReferences"]
    labels = {
        **report["metadata"]["labels"],
        "trivy-operator.container.name": container,
        "report-made-up": "by-an-older-version",
    }
    await cluster.api.create(
        kind,
        {
            **report,
            "metadata": {
                "name": name,
                "namespace": "shop",
                "labels": labels,
                "annotations": report["metadata"].get("annotations", {}),
                "ownerReferences": [{**reference, "uid": owner["metadata"]["uid"]}],
            },
        },
    )


def all_ours(reports: list[dict[str, Any]]) -> bool:
    return bool(reports) and all(CONTENT_HASH in one["metadata"].get("annotations", {}) for one in reports)
