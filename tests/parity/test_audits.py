"""What the auditor finds equals what Trivy finds, and what the Go operator wrote.

Which checks Trivy evaluates depends on what else is among the files: with one pod among them, checks that are
for pods run on roles too, and pass there; two even fail out of place. The Go operator gives one resource
at a time, and so do we in effect. So a run over all files at once has more results: it is told below which.
Some messages quote the resource with what Trivy added to it, like the name of the file; ours leave that out.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import orjson
import pytest

from tests.parity.golden import GOLDEN
from tests.parity.manifests import manifests
from tests.unit.audit.running import audit_all, auditing, subject_of
from trivyop.audit.engine import AuditError, Outcome, Subject
from trivyop.audit.results import without_added
from trivyop.report.checkids import canonical, is_infra
from trivyop.sandbox.programs import trivy

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

Json = dict[str, Any]
# Checks for one kind that fail on all kinds in a namespace when one of that kind is among the files.
OUT_OF_PLACE = {"KSV-0039": "LimitRange", "KSV-0040": "ResourceQuota"}
NOT_RECORDED = "trivy-system"  # its objects came and went with the recording
# Trivy says nothing of these roles any more; the Go operator had older checks.
NOT_FOUND_NOW = {
    ("ClusterRole", "admin", "KSV-0050"),
    ("ClusterRole", "system:aggregate-to-admin", "KSV-0050"),
}


class Result(NamedTuple):
    """What is compared of a check."""

    id: str
    success: bool
    severity: str
    title: str
    description: str
    remediation: str
    message: str


class _Misconfiguration(msgspec.Struct, rename="pascal"):
    id: str = msgspec.field(name="ID")
    title: str = ""
    description: str = ""
    message: str = ""
    resolution: str = ""
    severity: str = ""
    status: str = ""


class _File(msgspec.Struct, rename="pascal"):
    target: str
    misconfigurations: list[_Misconfiguration] = []


class _Report(msgspec.Struct, rename="pascal"):
    results: list[_File] = []


def _write(directory: Path, documents: Iterable[Json]) -> None:
    directory.mkdir()
    for number, document in enumerate(documents):
        (directory / f"{number}.json").write_bytes(orjson.dumps(document))


async def direct_run(directory: Path, documents: Iterable[Json]) -> list[Counter[Result]]:
    """One ``trivy config`` over a file for each document."""
    documents = list(documents)
    _write(directory, documents)
    output = directory.with_suffix(".out")
    process = await asyncio.create_subprocess_exec(
        *(str(trivy()), "config", "-q", "--skip-check-update", "--misconfig-scanners", "kubernetes"),
        *("--include-non-failures", "--format", "json", "--cache-dir", str(directory.with_suffix(".cache"))),
        *("--output", str(output), str(directory)),
    )
    assert await process.wait() == 0
    report = msgspec.json.decode(output.read_bytes(), type=_Report)
    found = {one.target: one.misconfigurations for one in report.results}
    return [
        Counter(_direct_result(one) for one in found[f"{number}.json"]) for number in range(len(documents))
    ]


def _direct_result(found: _Misconfiguration) -> Result:
    success = found.status == "PASS"
    return Result(
        canonical(found.id),
        success,
        found.severity,
        found.title,
        found.description,
        found.resolution,
        "" if success else without_added(found.message),
    )


def results(outcome: Outcome | AuditError) -> Counter[Result]:
    """Ours; an error is raised."""
    if isinstance(outcome, AuditError):
        raise outcome
    return Counter(
        Result(
            canonical(one.id),
            one.success,
            one.severity.value,
            one.title,
            one.description,
            one.remediation,
            one.message,
        )
        for one in outcome
    )


def families(documents: Iterable[Json]) -> dict[tuple[str, str], list[int]]:
    """Numbers of the documents by API version and kind."""
    found: dict[tuple[str, str], list[int]] = {}
    for number, document in enumerate(documents):
        found.setdefault((document["apiVersion"], document["kind"]), []).append(number)
    return found


@dataclass(frozen=True)
class Ours:
    """Our results: for all manifests, and for what was recorded and its node."""

    manifests: list[Counter[Result]]
    recorded: list[Counter[Result]]


@pytest.fixture(scope="module")
def ours() -> Ours:
    """The same when batches are as mixed as can be."""

    async def found() -> Ours:
        of_manifests = [subject_of(document) for document in manifests()]
        node = Subject("Node//n1", "NodeInfo", (GOLDEN / "node-info.json").read_bytes())
        recorded = [*map(subject_of, recorded_objects()), node]
        async with auditing() as auditor:
            first = list(map(results, await audit_all(auditor, of_manifests)))
            assert first == list(map(results, await audit_all(auditor, of_manifests[::-1])))[::-1]
            return Ours(first, list(map(results, await audit_all(auditor, recorded))))

    return asyncio.run(found())


async def test_findings_are_those_of_one_run_over_all_files(ours: Ours, tmp_path: Path) -> None:
    """Message by message; one run has more passes of checks for other kinds, and two misplaced checks."""
    documents = manifests()
    direct = await direct_run(tmp_path / "all", documents)

    assert len(documents) >= 300
    for document, expected, found in zip(documents, direct, ours.manifests, strict=True):
        named = f"{document['kind']} {document['metadata']['name']}"
        assert not found - expected, named
        beyond = {one for one in (expected - found) if not one.success}
        assert {one.id for one in beyond} <= {
            check for check, kind in OUT_OF_PLACE.items() if kind != document["kind"]
        }, named
    assert len({one.id for found in ours.manifests for one in found if not one.success}) >= 50


async def test_checks_are_those_of_a_run_over_a_family_alone(ours: Ours, tmp_path: Path) -> None:
    """Passed checks included, nothing more and nothing less."""
    documents = manifests()
    for number, numbers in enumerate(families(documents).values()):
        some = numbers[::7]
        direct = await direct_run(tmp_path / str(number), [documents[one] for one in some])

        assert [ours.manifests[one] for one in some] == direct, documents[some[0]]["kind"]


def recorded_objects() -> list[Json]:
    """All of the recording that has audit reports, and what the node's collector printed."""
    files = (
        "pods",
        "replicasets",
        "replicationcontrollers",
        "statefulsets",
        "daemonsets",
        "jobs",
        "cronjobs",
    )
    files += (
        "services",
        "ingresses",
        "networkpolicies",
        "roles",
        "clusterroles",
        "limitranges",
        "resourcequotas",
    )
    found: list[Json] = []
    for file in files:
        found += orjson.loads((GOLDEN / f"objects/{file}.json").read_bytes())
    return [one for one in found if one["metadata"].get("namespace") != NOT_RECORDED]


def recorded_reports() -> dict[tuple[str, str, str], Counter[tuple[str, str]]]:
    """Failed checks in the Go operator's reports, by kind, namespace and name of the resource."""
    found: dict[tuple[str, str, str], Counter[tuple[str, str]]] = {}
    for plural in (
        "configauditreports",
        "rbacassessmentreports",
        "infraassessmentreports",
        "clusterrbacassessmentreports",
        "clusterinfraassessmentreports",
    ):
        for path in (GOLDEN / "reports" / plural).glob("*.json"):
            report = orjson.loads(path.read_bytes())
            (owner,) = report["metadata"]["ownerReferences"]
            namespace = report["metadata"].get("namespace", "")
            checks = found.setdefault((owner["kind"], namespace, owner["name"]), Counter())
            for row in report["report"]["checks"]:
                assert not row["success"]
                checks[canonical(row["checkID"]), row["messages"][0]] += 1
    return found


def test_findings_are_those_of_the_go_operator(ours: Ours) -> None:
    """Check by check, message by message, for all that was recorded, the node included."""
    golden = recorded_reports()
    keys = [
        (one["kind"], one["metadata"].get("namespace", ""), one["metadata"]["name"])
        for one in recorded_objects()
    ]
    compared = 0
    for key, found in zip([*keys, ("Node", "", "n1")], ours.recorded, strict=True):
        expected = golden.get(key)
        if expected is None:
            continue  # an owner has the report: a pod's ReplicaSet, a Job's CronJob
        failed = Counter({(one.id, one.message): count for one, count in found.items() if not one.success})
        is_core = key[0] == "Node" or key[1] == "kube-system"  # others have no infra assessment
        told = Counter({one: count for one, count in failed.items() if is_core or not is_infra(one[0])})
        missing = {(key[0], key[2], check) for check, _ in expected - told}
        assert missing <= NOT_FOUND_NOW, key
        assert not told - expected, key
        compared += expected.total()
    assert compared >= 260
