"""What is written is what is stored: the schemas take all of it, and cut nothing off."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.e2e.harness import NAMESPACE, Cluster, pod, running_cluster, running_operator
from tests.e2e.looking import until_phase
from tests.e2e.programs import Done, Kubectl
from tests.kinds import REPORT_KINDS
from trivyop.cli import demo_workloads
from trivyop.kube.client import Api
from trivyop.kube.config import ClusterConfig
from trivyop.kube.resources import (
    CLUSTERSBOMREPORTS,
    CONFIGMAPS,
    IMAGESCANS,
    NAMESPACES,
    VULNERABILITYREPORTS,
    ObjectKey,
    Resource,
)
from trivyop.settings.configmaps import TRIVY_CONFIG

Json = dict[str, Any]
KINDS = (*REPORT_KINDS, CLUSTERSBOMREPORTS, IMAGESCANS)
ALL_FIELDS = "Description,Links,CVSS,Target,Class,PackageType,PackagePath"
CONTAINERS = 9  # of the demo's workloads


class RecordingApi(Api):
    """A client that remembers what it applied last, by kind, name and subresource."""

    applied: dict[tuple[str, str, str], Json]

    async def apply(
        self, resource: Resource, body: Mapping[str, Any], *, subresource: str = "", **more: Any
    ) -> Json:
        answer = await super().apply(resource, body, subresource=subresource, **more)
        meta = body["metadata"]
        name = f"{meta.get('namespace', '')}/{meta['name']}"
        self.applied[resource.kind, name, subresource] = json.loads(json.dumps(body))
        return answer


async def test_everything_written_passes_strict_validation_and_is_stored_whole(tmp_path: Path) -> None:
    async with running_cluster(tmp_path) as cluster:
        gone = cluster.image("shop/none:1")
        await build_demo(cluster)
        await cluster.create(pod("bad", "shop", app=gone))
        config = await ClusterConfig.from_kubeconfig_dict(await cluster.kubeconfig())
        async with RecordingApi(config) as api:
            api.applied = {}
            async with running_operator(cluster, api=api):
                await cluster.until(lambda found: len(found) >= CONTAINERS, VULNERABILITYREPORTS, seconds=90)
                await until_phase(cluster, gone, "Failed")
                await until_all_ended(cluster)
        stored = {
            (kind.kind, f"{one['metadata'].get('namespace', '')}/{one['metadata']['name']}"): one
            for kind in KINDS
            for one in await cluster.list(kind)
        }
        kubectl = Kubectl(tmp_path, await cluster.kubeconfig())
        done = [await validate_strictly(kubectl, tmp_path, api.applied, part) for part in ("", "status")]
        body = next(iter(api.applied.values()))
        spoilt = await validate_strictly(kubectl, tmp_path, {("", "", ""): {**body, "made-up": 1}}, "")

    kinds = [kind for kind, _, _ in api.applied]
    assert {kind: kinds.count(kind) > 1 for kind in kinds} == dict.fromkeys(
        (kind.kind for kind in KINDS), True
    )
    for (kind, name, _), body in api.applied.items():
        assert missing(body, stored[kind, name]) == [], f"{kind} {name}"
    assert [(one.code, one.err) for one in done] == [(0, ""), (0, "")]
    assert "made-up" in spoilt.err, "the validation finds something"


async def build_demo(cluster: Cluster) -> None:
    key = ObjectKey(NAMESPACE, TRIVY_CONFIG)
    data = {"trivy.additionalVulnerabilityReportFields": ALL_FIELDS}
    await cluster.api.patch(CONFIGMAPS, key, {"data": data})
    for body in demo_workloads.workloads(cluster.registry):
        if body["kind"] == "Namespace":
            await cluster.api.apply(NAMESPACES, body)
        else:
            await cluster.create(body)


async def until_all_ended(cluster: Cluster) -> None:
    await cluster.until(
        lambda scans: all(scan.get("status", {}).get("phase") in ("Succeeded", "Failed") for scan in scans),
        IMAGESCANS,
    )


async def validate_strictly(
    kubectl: Kubectl, directory: Path, applied: Mapping[tuple[str, str, str], Json], subresource: str
) -> Done:
    """Apply the same again, for validation only."""
    items = [body for (_, _, part), body in applied.items() if part == subresource]
    assert items
    path = directory / f"all-{subresource}.yaml"
    path.write_text("\n---\n".join(json.dumps(item) for item in items))
    more = ("--subresource", subresource) if subresource else ()
    return await kubectl.try_(
        *("apply", "--server-side", "--field-manager=trivyop", "--validate=strict", "--dry-run=server"),
        *(*more, "-f", path),
    )


def missing(sent: Any, stored: Any, path: str = "") -> list[str]:
    """Where what is stored lacks, or changes, something that was sent."""
    if isinstance(sent, dict) and isinstance(stored, dict):
        return [
            found for key, value in sent.items() for found in missing(value, stored.get(key), f"{path}.{key}")
        ]
    if isinstance(sent, list) and isinstance(stored, list) and len(sent) == len(stored):
        return [
            found
            for index, (one, other) in enumerate(zip(sent, stored, strict=True))
            for found in missing(one, other, f"{path}[{index}]")
        ]
    return [] if sent == stored else [path]
