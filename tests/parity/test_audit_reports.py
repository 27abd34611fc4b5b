"""Our audit reports of a recorded cluster equal the Go operator's: which there are, and what is in them.

The checks here are the recorded ones; that Trivy finds the same ones is tested with the engine.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from tests.parity.golden import GOLDEN, cluster, comparable
from tests.unit.report.crds import check_accepted
from tests.unit.report.samples import NOON
from tests.unit.workload.world import EVERYTHING
from trivyop.kube.resources import INFRAASSESSMENTREPORTS, ObjectKey
from trivyop.report import keys
from trivyop.report.audit import (
    AuditBasis,
    AuditOptions,
    AuditSubject,
    build_audit_report,
    is_control_plane,
    report_kind,
    report_name,
)
from trivyop.report.checks import Check
from trivyop.report.findings import Severity
from trivyop.workload.owners import WorkloadKind
from trivyop.workload.resolve import Workload, resolve

Json = dict[str, Any]
KINDS = {
    "configauditreports",
    "rbacassessmentreports",
    "infraassessmentreports",
    "clusterrbacassessmentreports",
    "clusterinfraassessmentreports",
}
OBJECTS = (
    *("pods", "nodes", "replicasets", "replicationcontrollers", "statefulsets", "daemonsets", "jobs"),
    *("cronjobs", "services", "ingresses", "networkpolicies", "roles", "clusterroles", "limitranges"),
    "resourcequotas",
)
NOT_RECORDED = "trivy-system"  # its objects came and went with the recording


def recorded() -> dict[str, Json]:
    """The Go operator's reports, by kind and name."""
    found: dict[str, Json] = {}
    for plural in KINDS:
        for path in sorted((GOLDEN / "reports" / plural).glob("*.json")):
            report = orjson.loads(path.read_bytes())
            meta = report["metadata"]
            found[f"{report['kind']} {meta.get('namespace', '')}/{meta['name']}"] = report
    return found


def subjects() -> Iterator[AuditSubject]:
    """Every resource of the recording that is audited by our rules."""
    for file in OBJECTS:
        for document in orjson.loads((GOLDEN / f"objects/{file}.json").read_bytes()):
            meta = document["metadata"]
            key = ObjectKey(meta.get("namespace", ""), meta["name"])
            kind = document["kind"]
            if kind in set(WorkloadKind):
                workload = resolve(WorkloadKind(kind), key, cluster().listers, EVERYTHING)
                if not isinstance(workload, Workload):
                    continue
            yield AuditSubject(kind, document["apiVersion"], key, meta["uid"], meta.get("labels", {}))


def expected_reports() -> Iterator[tuple[AuditSubject, Any, str]]:
    """Every report that our rules ask for: of what, of which kind, and how it is called here."""
    for subject in subjects():
        kinds = {report_kind(subject.kind, namespaced=bool(subject.key.namespace))}
        if is_control_plane(subject.kind, subject.key) and subject.kind != "Node":
            kinds.add(INFRAASSESSMENTREPORTS)
        for resource in kinds:
            name = report_name(resource, subject.kind, subject.key.name)
            yield subject, resource, f"{resource.kind} {subject.key.namespace}/{name}"


def checks_of(report: Json) -> tuple[Check, ...]:
    """The checks that were recorded, in another order."""
    return tuple(
        Check(
            id=row["checkID"],
            title=row.get("title", ""),
            description=row.get("description", ""),
            remediation=row.get("remediation", ""),
            severity=Severity.parse(row["severity"]),
            success=row["success"],
            message=row.get("messages", [""])[0],
        )
        for row in reversed(report["report"]["checks"])
    )


def test_there_are_the_reports_that_the_go_operator_wrote() -> None:
    """Same resources, kinds and names; none missing, none beside them."""
    ours = {name for subject, _, name in expected_reports() if subject.key.namespace != NOT_RECORDED}

    assert ours == {name for name in recorded() if f" {NOT_RECORDED}/" not in name}
    assert len(ours) > 90


@pytest.mark.parametrize("plural", sorted(KINDS))
def test_reports_are_those_of_the_go_operator(plural: str) -> None:
    golden = recorded()
    compared = 0
    for subject, resource, name in expected_reports():
        if resource.plural != plural or name not in golden:
            continue
        expected = golden[name]

        report = build_audit_report(
            resource,
            subject,
            checks_of(expected),
            AuditBasis("abc", "def", "0.76.0"),
            AuditOptions(failed_only=True),
            now=NOON,
        )

        check_accepted(report)
        assert plain(report) == plain(expected)
        compared += 1
    assert compared == len(list((GOLDEN / "reports" / plural).glob("*.json")))


def plain(report: Json) -> Json:
    """The report without what differs between two runs, in one order."""
    like = comparable(report)
    like["metadata"]["labels"].pop(keys.POLICIES_HASH)
    rows = like["report"]["checks"]
    like["report"]["checks"] = sorted(rows, key=lambda row: orjson.dumps(row, option=orjson.OPT_SORT_KEYS))
    return like
