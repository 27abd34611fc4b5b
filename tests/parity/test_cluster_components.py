"""Our reports on the cluster itself equal the Go operator's, built from the cluster as it was recorded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import orjson

from tests.unit.report.crds import check_accepted
from tests.unit.report.samples import NOON
from trivyop.report.findings import Findings
from trivyop.report.kbom import build_cluster_vulnerability_report, build_kbom_report
from trivyop.report.options import ReportOptions
from trivyop.scan.kbom import ClusterParts, build_kbom, component_of, distinct
from trivyop.workload.nodes import ClusterNode
from trivyop.workload.objects import Pod

GOLDEN = Path(__file__).parents[1] / "data" / "golden"
VERSION = "v0.0.0-master-8e16b12fda5b1dccc41a6de48b3e356cc7d5048b"
TAG = VERSION.removeprefix("v")
OPTIONS = ReportOptions()

Json = dict[str, Any]


def recorded(plural: str) -> Json:
    (path,) = (GOLDEN / "reports" / plural).glob("*.json")
    return orjson.loads(path.read_bytes())


def ours() -> Json:
    pods = msgspec.convert(orjson.loads((GOLDEN / "objects/pods.json").read_bytes()), list[Pod])
    nodes = msgspec.convert(orjson.loads((GOLDEN / "objects/nodes.json").read_bytes()), list[ClusterNode])
    components = distinct(found for pod in pods if (found := component_of(pod)) is not None)
    parts = ClusterParts(VERSION, components, tuple(nodes), name="t")
    bom = build_kbom(parts, scanner_version="0.72.0", now=NOON)
    return build_kbom_report(parts.tag, bom, OPTIONS, scanner_version="0.72.0", now=NOON)


def as_we_mean_it(component: Json) -> Json:
    """A recorded component, with what we do differently: the tag of an image as it is, and the name of
    containerd from version 2 on, under which its advisories are.
    """
    text = json.dumps(component).replace("library/clean:v1", "library/clean:1")
    text = text.replace("Fcontainerd@v2", "Fcontainerd%2Fv2@v2")
    return json.loads(
        text.replace('"github.com/containerd/containerd"', '"github.com/containerd/containerd/v2"')
    )


def described(bom: Json) -> tuple[set[str], set[tuple[str, str]]]:
    """Components without their references, and which contains which; what comes twice counts once."""
    components = [as_we_mean_it(one) for one in (*bom["components"], bom["metadata"]["component"])]
    names = {one.pop("bom-ref"): json.dumps(one, sort_keys=True) for one in components}
    for one in (*bom["components"], bom["metadata"]["component"]):  # references are URLs where they can be
        names[one["bom-ref"]] = names.get(one["bom-ref"]) or names[as_we_mean_it(one)["bom-ref"]]
    edges = {(names[one["ref"]], names[to]) for one in bom["dependencies"] for to in one["dependsOn"]}
    return set(names.values()), edges


def test_bill_of_materials_lists_what_the_go_operators_lists() -> None:
    assert described(ours()["report"]["components"]) == described(
        recorded("clustersbomreports")["report"]["components"]
    )


def test_bill_of_materials_has_the_go_operators_frame() -> None:
    golden, report = recorded("clustersbomreports"), ours()

    assert report["metadata"]["name"] == golden["metadata"]["name"]
    assert report["metadata"]["labels"] == golden["metadata"]["labels"]
    for field in ("artifact", "registry", "scanner"):
        assert report["report"][field] == golden["report"][field]
    assert report["report"]["components"].keys() == golden["report"]["components"].keys()
    # The image that two components run is one component here.
    assert (
        report["report"]["summary"]["componentsCount"] == golden["report"]["summary"]["componentsCount"] - 1
    )
    check_accepted(report)


def test_vulnerabilities_have_the_go_operators_frame() -> None:
    golden = recorded("clustervulnerabilityreports")
    uid = golden["metadata"]["ownerReferences"][0]["uid"]
    findings = Findings(scanner_version="0.72.0", os_family="x", artifact_name="k8s.io/kubernetes")
    report = build_cluster_vulnerability_report(TAG, uid, findings, OPTIONS, spec_hash="x", now=NOON)

    meta = report["metadata"]
    assert meta["name"] == golden["metadata"]["name"]
    assert {**meta["labels"], "resource-spec-hash": ""} == {
        **golden["metadata"]["labels"],
        "resource-spec-hash": "",
    }
    assert meta["ownerReferences"] == golden["metadata"]["ownerReferences"]
    assert meta["annotations"].items() >= golden["metadata"]["annotations"].items()
    assert {**report["report"], "updateTimestamp": ""} == {**golden["report"], "updateTimestamp": ""}
    check_accepted(report)
