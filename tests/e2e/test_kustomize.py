"""The manifests as kustomize makes them: where each object lands, and what applying them again says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.harness import NAMESPACE
from tests.e2e.programs import Kubectl
from tests.e2e.test_deploy import COMPONENTS, Json, build, running_cluster, write_overlay
from trivyop.kube.resources import CRDS

NAMES = sorted(path.name for path in COMPONENTS.iterdir())
OF_THE_PROMETHEUS_OPERATOR = {"alerts": "PrometheusRule", "service-monitor": "ServiceMonitor"}
# That of compliance comes with the base: kubectl finds it when it is run for the second time.
NEED_A_KIND = {**OF_THE_PROMETHEUS_OPERATOR, "compliance": "ClusterComplianceReport"}
WITHOUT_THE_KINDS = [name for name in NAMES if name not in NEED_A_KIND]
COLLECTORS = "trivy-system-nodes"
CLUSTER_WIDE = {"Namespace", "CustomResourceDefinition", "ClusterRole", "ClusterRoleBinding"} | {
    "ClusterComplianceReport"
}


def places(objects: list[Json]) -> Iterator[tuple[str, str | None]]:
    """Each object that is in a namespace, and each subject of a binding, with its namespace."""
    for one in objects:
        name = f"{one['kind']} {one['metadata']['name']}"
        if one["kind"] not in CLUSTER_WIDE:
            yield name, one["metadata"].get("namespace")
        for subject in one.get("subjects", ()):
            yield f"{name}: {subject['name']}", subject.get("namespace")


@pytest.mark.parametrize(
    "components",
    [(), *((name,) for name in NAMES), tuple(NAMES)],
    ids=lambda names: "+".join(names) or "base",
)
async def test_objects_say_themselves_where_they_belong(tmp_path: Path, components: tuple[str, ...]) -> None:
    """One that does not lands in whatever namespace kubectl is set to."""
    objects = await build(write_overlay(tmp_path / "overlay", *components))

    ours = {NAMESPACE, COLLECTORS} if "node-collector" in components else {NAMESPACE}
    assert {place for place in places(objects) if place[1] not in ours} == set()
    assert {namespace for _, namespace in places(objects)} == ours


async def test_overlay_moves_everything_to_another_namespace(tmp_path: Path) -> None:
    """Bindings too: one whose subject stays behind gives its permissions to nobody."""
    names = [name for name in NAMES if name != "node-collector"]
    objects = await build(write_overlay(tmp_path / "overlay", *names, namespace="security"))

    assert {namespace for _, namespace in places(objects)} == {"security"}
    assert [one["metadata"]["name"] for one in objects if one["kind"] == "Namespace"] == ["security"]


async def test_node_collectors_keep_their_own_namespace_when_the_operator_moves(tmp_path: Path) -> None:
    inner = write_overlay(tmp_path / "inner", namespace="security")
    outer = write_overlay(tmp_path / "outer", "node-collector", resources=[f"../{inner.name}"])

    found = dict(places(await build(outer)))

    assert found["Deployment trivyop"] == "security"
    assert found["ServiceAccount trivyop-node-collector"] == COLLECTORS
    assert found["ClusterRoleBinding trivyop-node-collector: trivyop-node-collector"] == COLLECTORS
    assert found["RoleBinding trivyop: trivyop"] == "security"


@pytest.mark.parametrize("components", [(), tuple(NAMES)], ids=["base", "all components"])
async def test_server_side_apply_takes_over_from_a_client_side_one(
    tmp_path: Path, components: tuple[str, ...]
) -> None:
    """No conflict: what the server fills into a value that is owned as a whole is in the manifests."""
    overlay = write_overlay(tmp_path / "overlay", *components)
    async with running_cluster(tmp_path) as cluster:
        kubectl = Kubectl(tmp_path, await cluster.kubeconfig())
        for kind in OF_THE_PROMETHEUS_OPERATOR.values():
            await cluster.api.create(CRDS, made_up_crd(kind))

        await kubectl.try_("apply", "-k", overlay)
        await kubectl("apply", "-k", overlay)
        taken_over = await kubectl.try_("apply", "--server-side", "-k", overlay)
        again = await kubectl.try_("apply", "--server-side", "-k", overlay)
        back = await kubectl.try_("apply", "-k", overlay)

    assert (taken_over.code, taken_over.err) == (0, "")
    assert (again.code, again.err) == (0, "")
    assert back.code == 0


async def test_components_fail_alone_without_the_kinds_that_they_need(tmp_path: Path) -> None:
    """`apply` ends with 1 then, and says which kinds are missing; all else is in the cluster."""
    async with running_cluster(tmp_path) as cluster:
        kubectl = Kubectl(tmp_path, await cluster.kubeconfig())
        overlay = write_overlay(tmp_path / "overlay", *NAMES)

        applied = await kubectl.try_("apply", "--validate=ignore", "-k", overlay)

    missing = [line for line in applied.err.splitlines() if "no matches for kind" in line]
    assert applied.code == 1
    assert all(any(f'"{kind}"' in line for line in missing) for kind in NEED_A_KIND.values()), applied.err
    created = [line for line in applied.out.splitlines() if line.endswith(" created")]
    wanted = await build(write_overlay(tmp_path / "rest", *WITHOUT_THE_KINDS))
    assert len(created) == len(wanted)


def made_up_crd(kind: str) -> dict[str, Any]:
    """A kind of the Prometheus operator that takes anything."""
    plural = f"{kind.lower()}s"
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.monitoring.coreos.com"},
        "spec": {
            "group": "monitoring.coreos.com",
            "names": {"kind": kind, "plural": plural, "singular": kind.lower(), "listKind": f"{kind}List"},
            "scope": "Namespaced",
            "versions": [version],
        },
    }
