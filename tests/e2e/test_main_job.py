"""The main job, end to end: workloads in, real reports out."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.harness import deployment, running_cluster, running_operator
from trivyop.kube.resources import (
    DEPLOYMENTS,
    EXPOSEDSECRETREPORTS,
    NAMESPACES,
    SBOMREPORTS,
    VULNERABILITYREPORTS,
)


async def test_deployment_gets_its_three_reports(tmp_path: Path) -> None:
    async with running_cluster(tmp_path) as cluster:
        await cluster.api.create(
            NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}
        )
        await cluster.api.create(DEPLOYMENTS, deployment("web", "shop", web=cluster.image("shop/web:1.0")))

        async with running_operator(cluster):
            (vulnerabilities,) = await cluster.until(lambda found: len(found) == 1, VULNERABILITYREPORTS)
            await cluster.until(lambda found: len(found) == 1, EXPOSEDSECRETREPORTS)
            await cluster.until(lambda found: len(found) == 1, SBOMREPORTS)

    found = {
        (one["vulnerabilityID"], one["resource"]) for one in vulnerabilities["report"]["vulnerabilities"]
    }
    assert ("CVE-2021-44906", "minimist") in found
    assert vulnerabilities["metadata"]["ownerReferences"][0]["kind"] == "ReplicaSet"
