"""Reports of audits and specifications, as the API server sends them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import orjson
import yaml

from trivyop.compliance.evaluation import Circumstances
from trivyop.compliance.findings import Findings, report_key
from trivyop.compliance.reading import AuditReport, read_report
from trivyop.compliance.resource import ComplianceReport
from trivyop.compliance.scopes import (
    APISERVER,
    CONTROL_PLANE_NODE,
    CONTROLLER_MANAGER,
    ETCD,
    NODE,
    SCHEDULER,
    Scope,
)
from trivyop.compliance.specification import Specification, parse_specification
from trivyop.kube.resources import (
    CLUSTERINFRAASSESSMENTREPORTS,
    CLUSTERRBACASSESSMENTREPORTS,
    CONFIGAUDITREPORTS,
    INFRAASSESSMENTREPORTS,
    RBACASSESSMENTREPORTS,
    ObjectKey,
    Resource,
)
from trivyop.report import keys
from trivyop.report.findings import Severity

MANIFESTS = Path(__file__).parents[3] / "manifests/compliance"
NAMES = sorted(path.stem for path in MANIFESTS.glob("*-*.yaml"))
NOW = datetime(2026, 12, 1, 12, 0, tzinfo=UTC)
CONTROL_PLANE = "cp1"
Json = dict[str, Any]

# One resource of every sort that a check is about: its report's kind, and what that report is about.
RESOURCES: dict[str, tuple[Resource, str, str]] = {
    "Pod": (CONFIGAUDITREPORTS, "shop", "web"),
    "NetworkPolicy": (CONFIGAUDITREPORTS, "shop", "closed"),
    "LimitRange": (CONFIGAUDITREPORTS, "shop", "limits"),
    "ResourceQuota": (CONFIGAUDITREPORTS, "shop", "quota"),
    "RoleBinding": (CONFIGAUDITREPORTS, "shop", "readers"),
    "Role": (RBACASSESSMENTREPORTS, "shop", "reader"),
    "ClusterRole": (CLUSTERRBACASSESSMENTREPORTS, "", "reader"),
    **{
        component: (INFRAASSESSMENTREPORTS, "kube-system", f"{component}-cp1")
        for component in (APISERVER, CONTROLLER_MANAGER, SCHEDULER, ETCD)
    },
    NODE: (CLUSTERINFRAASSESSMENTREPORTS, "", "worker1"),
    CONTROL_PLANE_NODE: (CLUSTERINFRAASSESSMENTREPORTS, "", CONTROL_PLANE),
}


def spec_document(name: str) -> Json:
    """One of the built-in specifications."""
    return yaml.safe_load((MANIFESTS / f"{name}.yaml").read_text())


def specification(document: Json) -> Specification:
    """Read a specification that can be evaluated."""
    found = parse_specification(msgspec.json.decode(orjson.dumps(document), type=ComplianceReport), now=NOW)
    assert isinstance(found, Specification)
    return found


def audit_report(
    sort: str,
    failed: Iterable[str] = (),
    *,
    name: str = "",
    policies: str = "p1",
    annotations: Mapping[str, str] | None = None,
) -> Json:
    """A report on a resource of that sort, in which these checks failed."""
    resource, namespace, usual = RESOURCES[sort]
    about = name or usual
    kind = {NODE: "Node", CONTROL_PLANE_NODE: "Node"}.get(sort, "Pod" if sort[0].islower() else sort)
    return {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {
            "name": f"{kind.lower()}-{about}",
            **({"namespace": namespace} if namespace else {}),
            "labels": {
                keys.RESOURCE_KIND: kind,
                keys.RESOURCE_NAME: about,
                keys.RESOURCE_NAMESPACE: namespace,
                keys.POLICIES_HASH: policies,
            },
            "annotations": dict(annotations or {}),
        },
        "report": {
            "checks": [
                {
                    "checkID": check,
                    "severity": "HIGH",
                    "success": False,
                    "title": f"title of {check}",
                    "description": f"what {check} finds",
                    "remediation": f"how to mend {check}",
                    "messages": ["in this resource"],
                }
                for check in failed
            ]
        },
    }


def put(findings: Findings, document: Json) -> bool:
    """Take a report as it comes from the API server."""
    resource = next(one for one, _, _ in RESOURCES.values() if one.kind == document["kind"])
    report = msgspec.json.decode(orjson.dumps(document), type=AuditReport)
    key = ObjectKey(report.metadata.namespace, report.metadata.name)
    return findings.put(report_key(resource, key), read_report(resource, report, {CONTROL_PLANE}))


def findings_of(*documents: Json) -> Findings:
    """What these reports say."""
    findings = Findings()
    for document in documents:
        put(findings, document)
    return findings


def healthy(*sorts: str) -> list[Json]:
    """A report without findings on a resource of each sort."""
    return [audit_report(sort) for sort in sorts or RESOURCES]


def sort_for(scope: Scope) -> str:
    """A sort of resource that a check is about."""
    return scope.component or next(sort for sort in RESOURCES if not scope.kinds or sort in scope.kinds)


def circumstances(*specifications: Specification, **fields: Any) -> Circumstances:
    """Those in which Trivy has every check that is asked for."""
    checks = {
        check: Severity.HIGH for one in specifications for control in one.controls for check in control.checks
    }
    return Circumstances(**{"checks": checks, **fields})
