"""Field cases of what runs: pods say so, whatever templates and revisions say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.e2e.field_cases import CASES, create_case, create_objects, field_images, read_case
from tests.e2e.harness import NAMESPACE, Cluster, reported, running_cluster, running_operator
from tests.e2e.looking import until_phase
from tests.kinds import REPORT_KINDS
from trivyop.kube.client import PatchKind
from trivyop.kube.resources import (
    CONFIGMAPS,
    DEPLOYMENTS,
    IMAGESCANS,
    PODS,
    VULNERABILITYREPORTS,
    ObjectKey,
    Resource,
)


async def test_every_case_can_be_read(tmp_path: Path) -> None:
    async with running_cluster(tmp_path, images=field_images()) as cluster:
        for file in sorted(CASES.glob("*.yaml")):
            bodies = read_case(file.stem, cluster, UID="u", DIGEST="sha256:d")
            assert bodies, file
            assert all(isinstance(body["kind"], str) for body in bodies), file
            assert "REGISTRY" not in str(bodies), file


async def test_config_map_of_a_case_adds_to_the_one_there(tmp_path: Path) -> None:
    async with running_cluster(tmp_path, images=field_images()) as cluster:
        await create_case("vuln-type-both", cluster)

        found = await cluster.api.get_dict(CONFIGMAPS, ObjectKey(NAMESPACE, "trivy-operator-trivy-config"))

    assert found is not None
    assert found["data"]["trivy.vulnType"] == "os,library"
    assert found["data"]["trivy.dbRepository"].endswith("/trivy-db:2")


async def set_image(cluster: Cluster, resource: Resource, key: ObjectKey, container: str, image: str) -> None:
    """``kubectl set image``."""
    spec: dict[str, Any] = {"containers": [{"name": container, "image": image}]}
    patch = {"spec": spec if resource == PODS else {"template": {"spec": spec}}}
    await cluster.api.patch(resource, key, patch, kind=PatchKind.STRATEGIC)


async def until_running(cluster: Cluster, namespace: str, image: str = "") -> dict[str, Any]:
    """Wait until a pod of the namespace has started (with that image); returns it."""

    def started(pod: dict[str, Any]) -> bool:
        found = pod.get("status", {}).get("containerStatuses", ())
        wanted = not image or pod["spec"]["containers"][0]["image"] == image
        return wanted and any(one["imageID"] for one in found)

    pods = await cluster.until(lambda found: any(map(started, found)), PODS, namespace, what="running")
    return next(filter(started, pods))


@pytest.mark.parametrize("operator_starts", ["before", "now"])
async def test_stuck_rollout(tmp_path: Path, operator_starts: str) -> None:
    """The old revision serves: it keeps, gets and gets back its reports; the new one says why it has none."""
    async with running_cluster(tmp_path, images=field_images()) as cluster:
        await create_case("stuck-rollout", cluster)
        missing = cluster.image("app/not-there:2")
        await until_running(cluster, "rollout")
        if operator_starts == "before":
            async with running_operator(cluster):
                await cluster.until_reported("rollout/ReplicaSet/web/app")
                await set_image(cluster, DEPLOYMENTS, ObjectKey("rollout", "web"), "app", missing)
                await until_phase(cluster, missing, "Failed")
        else:
            await set_image(cluster, DEPLOYMENTS, ObjectKey("rollout", "web"), "app", missing)
        async with running_operator(cluster):
            await cluster.until_reported("rollout/ReplicaSet/web/app")
            status = await until_phase(cluster, missing, "Failed")
            (report,) = await cluster.list(VULNERABILITYREPORTS)
            assert report["report"]["artifact"]["repository"] == "app/one"

            uid = report["metadata"]["uid"]
            await cluster.api.delete(VULNERABILITYREPORTS, ObjectKey("rollout", report["metadata"]["name"]))
            await cluster.until(
                lambda found: [one["metadata"]["uid"] for one in found] not in ([], [uid]),
                VULNERABILITYREPORTS,
                what="back",
            )

            await set_image(
                cluster, DEPLOYMENTS, ObjectKey("rollout", "web"), "app", cluster.image("app/two:1")
            )
            for kind in REPORT_KINDS:
                await cluster.until(
                    lambda found: [one["report"]["artifact"]["repository"] for one in found] == ["app/two"],
                    kind,
                    what="of the new revision alone",
                )

    assert status["reason"] == "not-found"


async def test_pod_owned_by_pod(tmp_path: Path) -> None:
    async with running_cluster(tmp_path, images=field_images()) as cluster, running_operator(cluster):
        *before, _ = read_case("pod-owned-by-pod", cluster)
        await create_objects(cluster, before)
        driver = await cluster.api.get_dict(PODS, ObjectKey("batch", "report-driver"))
        assert driver is not None
        *_, worker = read_case("pod-owned-by-pod", cluster, UID=driver["metadata"]["uid"])
        await create_objects(cluster, [worker])

        await cluster.until_reported("batch/Pod/report-driver/main", "batch/Pod/report-worker-1/main")


@pytest.mark.parametrize("operator_starts", ["before", "after"])
async def test_injected_into_daemonset(tmp_path: Path, operator_starts: str) -> None:
    async with running_cluster(tmp_path, images=field_images()) as cluster:

        async def inject() -> None:
            await create_case("injected-into-daemonset", cluster)
            pod = await until_running(cluster, "mesh")
            key = ObjectKey("mesh", pod["metadata"]["name"])
            await set_image(cluster, PODS, key, "proxy", cluster.image("app/one:1"))

        if operator_starts == "after":
            await inject()
        async with running_operator(cluster):
            if operator_starts == "before":
                await inject()
            await cluster.until_reported("mesh/DaemonSet/gateway/proxy")
            await cluster.until_settled()
            scans = await cluster.list(IMAGESCANS)
            (report,) = await cluster.list(VULNERABILITYREPORTS)

    assert [scan["spec"]["image"] for scan in scans] == [cluster.image("app/one:1")]
    assert report["report"]["artifact"]["repository"] == "app/one"


async def test_sidecar_with_init_skipped(tmp_path: Path) -> None:
    async with running_cluster(tmp_path, images=field_images()) as cluster:
        await create_case("sidecar-with-init-skipped", cluster)
        async with running_operator(cluster):
            await cluster.until_reported("sidecar/ReplicaSet/shop/app", "sidecar/ReplicaSet/shop/proxy")
            await cluster.until_settled()

            assert cluster.scan_jobs_created() == 2


async def test_image_volume(tmp_path: Path) -> None:
    """Its reports have a place of their own beside those of the containers."""
    async with running_cluster(tmp_path, images=field_images()) as cluster:
        await create_case("image-volume", cluster)
        async with running_operator(cluster):
            await cluster.until_reported("models/Pod/server/app", "models/Pod/server/volume.weights")
            reports = await cluster.list(VULNERABILITYREPORTS)

    found = {one["metadata"]["name"]: one["report"]["artifact"]["repository"] for one in reports}
    assert found == {"pod-server-app": "app/one", "pod-server-volume.weights": "app/two"}
    assert reported(reports) == {"models/Pod/server/app", "models/Pod/server/volume.weights"}
