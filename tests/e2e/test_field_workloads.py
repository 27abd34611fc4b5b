"""Field cases of what runs: pods say so, whatever templates and revisions say."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.field_cases import CASES, create_case, field_images, read_case
from tests.e2e.harness import NAMESPACE, running_cluster
from trivyop.kube.resources import CONFIGMAPS, ObjectKey


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
