"""The cluster that trivy-operator was recorded on, built in the sandbox: the same reports come out.

Only their content differs, because the sandbox's images have other packages; that is compared in
`test_reports.py`. ReplicaSets are named by another hash here, so their names are compared without it.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml

from tests.e2e.harness import Cluster, running_cluster, running_operator
from trivyop.kube.discovery import discover
from trivyop.kube.resources import (
    EXPOSEDSECRETREPORTS,
    SBOMREPORTS,
    VULNERABILITYREPORTS,
    Resource,
)

GOLDEN = Path(__file__).parents[1] / "data" / "golden"
KINDS = (VULNERABILITYREPORTS, EXPOSEDSECRETREPORTS, SBOMREPORTS)
RECORDED_REGISTRY = "127.0.0.1:5000"
MADE_BY_CHANCE = ("resource-spec-hash", "pod-template-hash")
PLURALS = {"NetworkPolicy": "networkpolicies", "Ingress": "ingresses"}


async def test_same_cluster_has_the_same_reports(tmp_path: Path) -> None:
    """And those that the Go operator lost for the shortness of their bill of materials."""
    async with running_cluster(tmp_path) as cluster:
        await build(cluster)
        wanted = recorded()
        async with running_operator(cluster):
            for kind in KINDS:
                await cluster.until(
                    lambda found, kind=kind: len(found) == len(wanted[kind]), kind, seconds=90
                )
            ours = {kind: [described(one) for one in await cluster.list(kind)] for kind in KINDS}

    for kind in KINDS:
        assert sorted(ours[kind], key=str) == sorted(wanted[kind], key=str)


async def build(cluster: Cluster) -> None:
    """Create what was applied when the recording was made."""
    served = (await discover(cluster.api)).kinds
    text = (GOLDEN / "workloads.yaml").read_text().replace(RECORDED_REGISTRY, cluster.registry)
    for body in yaml.safe_load_all(text):
        group, _, version = body["apiVersion"].rpartition("/")
        plural = PLURALS.get(body["kind"], f"{body['kind'].lower()}s")
        assert (group, version, plural) in served, f"the sandbox has no {body['kind']}"
        namespaced = "namespace" in body["metadata"]
        await cluster.api.apply(Resource(group, version, plural, body["kind"], namespaced), body)


def recorded() -> dict[Resource, list[dict[str, Any]]]:
    """The reports that there should be; each container has one of each kind."""
    reports = {
        kind: [
            described(json.loads(path.read_text()))
            for path in (GOLDEN / "reports-without-sbom" / kind.plural).glob("*.json")
        ]
        for kind in (VULNERABILITYREPORTS, EXPOSEDSECRETREPORTS)
    }
    written = [
        described(json.loads(path.read_text()))
        for path in (GOLDEN / "reports" / "sbomreports").glob("*.json")
    ]
    lost = [one for one in reports[VULNERABILITYREPORTS] if one not in written]
    assert {one["labels"]["trivy-operator.container.name"] for one in lost} == {
        "agent",
        "etcd",
        "kube-apiserver",
    }
    return {**reports, SBOMREPORTS: written + lost}


def described(report: dict[str, Any]) -> dict[str, Any]:
    """What is compared of a report: where it is, what it is called, and whom it names."""
    meta = report["metadata"]
    (owner,) = meta["ownerReferences"]
    return {
        "namespace": meta["namespace"],
        "name": without_hash(meta["name"]),
        "labels": {
            key: without_hash(value) for key, value in meta["labels"].items() if key not in MADE_BY_CHANCE
        },
        "owner": {
            **{key: owner[key] for key in ("apiVersion", "kind", "controller", "blockOwnerDeletion")},
            "name": without_hash(owner["name"]),
        },
        "image": {key: report["report"]["artifact"][key] for key in ("repository", "tag")},
    }


def without_hash(text: str) -> str:
    """The name of the Deployment's ReplicaSet, without what its template hashes to."""
    return re.sub(r"\bweb-[a-z0-9]{5,10}(?=-|$)", "web-HASH", text)
