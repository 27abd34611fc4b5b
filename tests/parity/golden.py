"""What the Go operator wrote for a known cluster, and what the cluster was: recordings in ``tests/data``.

To compare, what differs from run to run is taken out, and the few things we mean to do differently.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import orjson

from tests.unit.workload.world import EVERYTHING, World
from trivyop.kube.resources import ObjectKey
from trivyop.workload.images import ContainerImage, ImageName
from trivyop.workload.owners import WorkloadKind
from trivyop.workload.resolve import Workload, resolve

GOLDEN = Path(__file__).parents[1] / "data/golden"
MISSING_IMAGE = "127.0.0.1:5000/library/does-not-exist:1"

Json = dict[str, Any]
_SERVER_FIELDS = ("uid", "resourceVersion", "creationTimestamp", "generation", "managedFields")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_KINDS = ("replicasets", "replicationcontrollers", "statefulsets", "daemonsets", "jobs", "cronjobs")


@cache
def cluster() -> World:
    """The cluster as it was at the end of the recording."""
    documents: list[Json] = []
    for file in ("pods", "nodes", *_KINDS):
        documents += orjson.loads((GOLDEN / f"objects/{file}.json").read_bytes())
    return World(*documents)


def every_object() -> Iterator[tuple[WorkloadKind, ObjectKey]]:
    """Every object of a kind that reports can attach to."""
    for file in ("pods", *_KINDS):
        for document in orjson.loads((GOLDEN / f"objects/{file}.json").read_bytes()):
            meta = document["metadata"]
            yield WorkloadKind(document["kind"]), ObjectKey(meta["namespace"], meta["name"])


def scanned() -> Iterator[tuple[Workload, ContainerImage]]:
    """Every container that our rules say is to be scanned."""
    for kind, key in every_object():
        workload = resolve(kind, key, cluster().listers, EVERYTHING)
        if isinstance(workload, Workload):
            for container in workload.containers:
                yield workload, container


def trivy_output(image: str) -> Path:
    """What Trivy printed for an image."""
    name = ImageName.parse(image)
    return GOLDEN / "trivy" / f"{name.repository.replace('/', '-')}-{name.tag}.json"


def reports(plural: str) -> dict[str, Json]:
    """The Go operator's reports by "namespace/name", those that its bug 1 kept from being written included.

    With SBOMs on it writes no report at all for an image whose document is under 4 KiB; those were recorded
    with SBOMs off.
    """
    found: dict[str, Json] = {}
    for folder in ("reports-without-sbom", "reports"):
        for path in sorted((GOLDEN / folder / plural).glob("*.json")):
            report = orjson.loads(path.read_bytes())
            found[f"{report['metadata']['namespace']}/{report['metadata']['name']}"] = report
    return found


def comparable(report: Json) -> Json:
    """The report without what differs between two runs, and without what only ours have."""
    meta = {field: value for field, value in report["metadata"].items() if field not in _SERVER_FIELDS}
    meta["labels"] = {key: value for key, value in meta["labels"].items() if key != "resource-spec-hash"}
    annotations = meta.pop("annotations", {})
    meta["annotations"] = {
        key: value for key, value in annotations.items() if not key.startswith("trivyop.dev/")
    }
    body = {field: value for field, value in report["report"].items() if field != "updateTimestamp"}
    body["scanner"] = {**body["scanner"], "version": ""}  # theirs is a tag, ours what scanned
    for rows in ("vulnerabilities", "secrets"):
        if rows in body:
            body[rows] = sorted(body[rows], key=lambda row: orjson.dumps(row, option=orjson.OPT_SORT_KEYS))
    if "components" in body:
        body["components"] = _comparable_bom(body["components"])
    return {**report, "metadata": meta, "report": body}


def _comparable_bom(bom: Json) -> Json:
    names = {
        component["bom-ref"]: f"{component['type']} {component['name']} {component.get('version')}"
        for component in bom["components"]
        if _UUID.fullmatch(component["bom-ref"])
    }

    def renamed(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: renamed(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [renamed(inner) for inner in value]
        return names.get(value, value) if isinstance(value, str) else value

    plain: Json = renamed(bom)
    plain.pop("serialNumber")
    plain["metadata"].pop("timestamp")
    plain["metadata"]["tools"]["components"][0].pop("version")
    plain["components"].sort(key=lambda component: component["bom-ref"])
    plain["dependencies"].sort(key=lambda dependency: dependency["ref"])
    for dependency in plain["dependencies"]:
        dependency["dependsOn"].sort()
    return plain
