"""What one scan serves: every namespace or one, one platform or several."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.e2e.harness import another_node, pod, reported, running_cluster, running_operator
from trivyop.kube.resources import CLUSTERSBOMREPORTS, IMAGESCANS, SBOMREPORTS, VULNERABILITYREPORTS
from trivyop.sandbox.registry.samples import EXPECTED_FINDINGS


def pinned(name: str, architecture: str, image: str) -> dict[str, Any]:
    """A Pod that runs on nodes of that architecture only."""
    made = pod(name, "shop", web=image)
    made["spec"]["nodeSelector"] = {"kubernetes.io/arch": architecture}
    return made


def findings(report: dict[str, Any]) -> set[tuple[str, str, str]]:
    found = report["report"]["vulnerabilities"]
    return {(one["vulnerabilityID"], one["resource"], one["severity"]) for one in found}


async def test_scans_are_shared_within_a_namespace_only_when_settings_say_so(tmp_path: Path) -> None:
    """What one tenant may pull is then no business of another."""
    async with running_cluster(tmp_path) as cluster:
        image = cluster.image("library/single:1")
        pods = [pod(name, namespace, web=image) for namespace in ("bank", "shop") for name in ("a", "b")]
        await cluster.create(*pods)
        environ = {"OPERATOR_SHARE_SCANS_ACROSS_NAMESPACES": "false"}
        async with running_operator(cluster, environ=environ):
            await cluster.until_reported(
                "bank/Pod/a/web", "bank/Pod/b/web", "shop/Pod/a/web", "shop/Pod/b/web"
            )
            await cluster.until_settled()

            await cluster.create(pod("c", "shop", web=image), pod("a", "post", web=image))
            await cluster.until(
                lambda found: {"shop/Pod/c/web", "post/Pod/a/web"} <= reported(found), VULNERABILITYREPORTS
            )
            await cluster.until_settled()

        scans = await cluster.list(IMAGESCANS)
        assert {scan["spec"]["namespace"] for scan in scans} == {"bank", "shop", "post"}
        assert len({scan["spec"]["digest"] for scan in scans}) == 1
        assert cluster.scan_jobs_created() == len(scans) == 3


async def test_one_digest_on_two_platforms_is_two_scans(tmp_path: Path) -> None:
    """An index has one digest, and other packages on each platform."""
    async with running_cluster(tmp_path) as cluster, another_node(cluster, "arm-node", "linux/arm64"):
        image = cluster.image("shop/gateway:3")
        await cluster.create(pinned("amd", "amd64", image), pinned("arm", "arm64", image))
        async with running_operator(cluster):
            await cluster.until_reported("shop/Pod/amd/web", "shop/Pod/arm/web")
            await cluster.until_settled()

        scans = await cluster.list(IMAGESCANS)
        assert {scan["spec"]["platform"] for scan in scans} == {"linux/amd64", "linux/arm64"}
        assert len({scan["spec"]["digest"] for scan in scans}) == 1
        found = {
            report["metadata"]["labels"]["trivy-operator.resource.name"]: findings(report)
            for report in await cluster.list(VULNERABILITYREPORTS)
        }
        assert found == {
            name: set(EXPECTED_FINDINGS["shop/gateway:3", f"linux/{name}64"].vulnerabilities)
            for name in ("amd", "arm")
        }


def root_of(report: dict[str, Any]) -> tuple[str, list[str]]:
    """The name of the image in a bill of materials, and its tags."""
    root = report["report"]["components"]["metadata"]["component"]
    return root["name"], [one["value"] for one in root["properties"] if one["name"].endswith(":RepoTag")]


async def test_bill_of_materials_names_the_image_as_its_workload_does(tmp_path: Path) -> None:
    """One scan by digest serves several references; as with a scan of each, tools show the reference."""
    async with running_cluster(tmp_path) as cluster:
        tagged = cluster.image("library/single:1")
        await cluster.create(pod("tagged", "shop", web=tagged))
        async with running_operator(cluster):
            await cluster.until_reported("shop/Pod/tagged/web")
            (scan,) = await cluster.list(IMAGESCANS)
            by_digest = f"{cluster.image('library/single')}@{scan['spec']['digest']}"
            await cluster.create(pod("pinned", "shop", web=by_digest))
            await cluster.until_reported("shop/Pod/tagged/web", "shop/Pod/pinned/web")
            await cluster.until_settled()

        found = {
            report["metadata"]["labels"]["trivy-operator.resource.name"]: root_of(report)
            for report in await cluster.list(SBOMREPORTS)
        }
        assert found == {"tagged": (tagged, [tagged]), "pinned": (by_digest, [])}
        assert [root_of(report) for report in await cluster.list(CLUSTERSBOMREPORTS)] == [(tagged, [tagged])]
        assert cluster.scan_jobs_created() == 1
