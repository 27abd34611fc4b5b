"""Reports to tell of, as they are stored."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from trivyop.kube.resources import VULNERABILITYREPORTS, ObjectKey, Resource
from trivyop.notify.events import Change, Verb

Json = dict[str, Any]
GROUP = "aquasecurity.github.io"
CONFIG_AUDITS = Resource(GROUP, "v1alpha1", "configauditreports", "ConfigAuditReport")
SECRET_REPORTS = Resource(GROUP, "v1alpha1", "exposedsecretreports", "ExposedSecretReport")
CLUSTER_RBAC = Resource(
    GROUP, "v1alpha1", "clusterrbacassessmentreports", "ClusterRbacAssessmentReport", namespaced=False
)


def vulnerability(name: str, severity: str = "HIGH", *, fixed: str = "2", **fields: Any) -> Json:
    """One row of a VulnerabilityReport."""
    return {
        "vulnerabilityID": name,
        "resource": "openssl",
        "installedVersion": "1",
        "fixedVersion": fixed,
        "severity": severity,
        "title": f"about {name}",
        **fields,
    }


def check(name: str, severity: str = "HIGH", *, success: bool = False) -> Json:
    """One row of a ConfigAuditReport."""
    return {"checkID": name, "severity": severity, "success": success, "title": f"about {name}"}


def report(
    *vulnerabilities: Json,
    name: str = "web-7b8cd85855",
    kind: str = "ReplicaSet",
    namespace: str = "shop",
    annotations: dict[str, str] | None = None,
) -> Json:
    """A VulnerabilityReport of a container ``app``."""
    counts = [
        sum(row["severity"] == severity for row in vulnerabilities)
        for severity in ("CRITICAL", "HIGH", "MEDIUM", "LOW", "UNKNOWN")
    ]
    names = ("criticalCount", "highCount", "mediumCount", "lowCount", "unknownCount")
    return {
        "apiVersion": f"{GROUP}/v1alpha1",
        "kind": "VulnerabilityReport",
        "metadata": {
            "name": f"{kind.lower()}-{name}-app",
            "namespace": namespace,
            "uid": "11111111-2222-3333-4444-555555555555",
            "resourceVersion": "7",
            "labels": {
                "trivy-operator.container.name": "app",
                "trivy-operator.resource.kind": kind,
                "trivy-operator.resource.name": name,
                "trivy-operator.resource.namespace": namespace,
            },
            "annotations": annotations or {},
        },
        "report": {
            "artifact": {"digest": "sha256:abc", "repository": "shop/web", "tag": "1.0"},
            "registry": {"server": "registry.example.com"},
            "summary": dict(zip(names, counts, strict=True)),
            "updateTimestamp": "2026-01-02T03:04:05Z",
            "vulnerabilities": list(vulnerabilities),
        },
    }


def change(
    document: Json,
    verb: Verb = Verb.UPDATE,
    resource: Resource = VULNERABILITYREPORTS,
    content_hash: str = "c0",
) -> Change:
    """The event that tells of a report."""
    meta = document["metadata"]
    key = ObjectKey(meta.get("namespace", ""), meta["name"])
    return Change(verb, resource, key, meta.get("uid", ""), content_hash, document)


SEVERITIES = st.sampled_from(["CRITICAL", "HIGH", "MEDIUM", "LOW", "UNKNOWN"])
VULNERABILITIES = st.builds(
    vulnerability,
    st.sampled_from([f"CVE-2024-{number}" for number in range(12)]),
    SEVERITIES,
    fixed=st.sampled_from(["", "2"]),
    resource=st.sampled_from(["openssl", "zlib"]),
)
ROWS = st.lists(VULNERABILITIES, max_size=12)
