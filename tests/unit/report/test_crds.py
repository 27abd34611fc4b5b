"""The custom resource definitions: what users see of them, and what keeps them installable."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.unit.report.crds import check_accepted, definitions
from trivyop.scan.imagescan import ImageScanSpec, ImageScanStatus

KINDS = {
    "VulnerabilityReport": ("vulnerabilityreports", ["vuln", "vulns"], "Namespaced"),
    "ClusterVulnerabilityReport": ("clustervulnerabilityreports", ["clustervuln"], "Cluster"),
    "ExposedSecretReport": ("exposedsecretreports", ["exposedsecret", "exposedsecrets"], "Namespaced"),
    "SbomReport": ("sbomreports", ["sbom", "sboms"], "Namespaced"),
    "ClusterSbomReport": ("clustersbomreports", ["clustersbom"], "Cluster"),
    "ConfigAuditReport": ("configauditreports", ["configaudit", "configaudits"], "Namespaced"),
    "ClusterConfigAuditReport": ("clusterconfigauditreports", ["clusterconfigaudit"], "Cluster"),
    "RbacAssessmentReport": ("rbacassessmentreports", ["rbacassessment", "rbacassessments"], "Namespaced"),
    "ClusterRbacAssessmentReport": (
        "clusterrbacassessmentreports",
        ["clusterrbacassessmentreport"],
        "Cluster",
    ),
    "InfraAssessmentReport": (
        "infraassessmentreports",
        ["infraassessment", "infraassessments"],
        "Namespaced",
    ),
    "ClusterInfraAssessmentReport": ("clusterinfraassessmentreports", ["clusterinfraassessment"], "Cluster"),
    "ClusterComplianceReport": ("clustercompliancereports", ["compliance"], "Cluster"),
    "ImageScan": ("imagescans", ["imgscan", "imgscans"], "Namespaced"),
}
IMAGE_COLUMNS = ["Repository", "Tag", "Scanner", "Age"]
AUDIT_KINDS = {kind for kind in KINDS if "Audit" in kind or "Assessment" in kind}
COLUMNS = {
    **dict.fromkeys(AUDIT_KINDS, (["Scanner", "Age"], ["Critical", "High", "Medium", "Low"])),
    "VulnerabilityReport": (IMAGE_COLUMNS, ["Critical", "High", "Medium", "Low", "Unknown"]),
    "ClusterVulnerabilityReport": (IMAGE_COLUMNS, ["Critical", "High", "Medium", "Low", "Unknown"]),
    "ExposedSecretReport": (IMAGE_COLUMNS, ["Critical", "High", "Medium", "Low"]),
    "SbomReport": (IMAGE_COLUMNS, ["Components", "Dependencies"]),
    "ClusterSbomReport": (IMAGE_COLUMNS, ["Components", "Dependencies"]),
    "ClusterComplianceReport": (["Age"], ["Fail", "Pass", "Not Evaluated", "Manual"]),
    "ImageScan": (
        ["Image", "Phase", "Critical", "High", "Reason", "Age"],
        ["Digest", "Platform", "Attempts", "Next Retry", "Matchable", "Scanned"],
    ),
}
_STRICT = {"ClusterSbomReport", "InfraAssessmentReport", "ImageScan"}
SCHEMA_WORDS = {
    *("type", "format", "description", "properties", "additionalProperties", "items", "required", "enum"),
    *("minimum", "minLength", "maxItems", "pattern", "x-kubernetes-preserve-unknown-fields"),
    *("x-kubernetes-list-type", "x-kubernetes-list-map-keys"),
}


def version_of(kind: str) -> dict[str, Any]:
    (version,) = definitions()[kind]["spec"]["versions"]
    return version


def test_every_kind_is_defined() -> None:
    assert set(KINDS) <= set(definitions())


@pytest.mark.parametrize("kind", KINDS)
def test_names_are_the_ones_users_type(kind: str) -> None:
    plural, short_names, scope = KINDS[kind]
    definition = definitions()[kind]
    spec = definition["spec"]

    assert definition["metadata"]["name"] == f"{plural}.{spec['group']}"
    assert spec["scope"] == scope
    assert spec["names"] == {
        "kind": kind,
        "listKind": f"{kind}List",
        "plural": plural,
        "singular": kind.lower(),
        "shortNames": short_names,
    }


@pytest.mark.parametrize("kind", KINDS)
def test_columns_are_the_ones_users_see(kind: str) -> None:
    shown, wide = COLUMNS[kind]
    columns = version_of(kind)["additionalPrinterColumns"]

    assert [column["name"] for column in columns if not column.get("priority")] == shown
    assert [column["name"] for column in columns if column.get("priority")] == wide


@pytest.mark.parametrize("kind", KINDS)
def test_only_what_is_written_by_two_has_a_status(kind: str) -> None:
    with_status = kind in {"ImageScan", "ClusterComplianceReport"}
    assert version_of(kind).get("subresources") == ({"status": {}} if with_status else None)


@pytest.mark.parametrize("kind", KINDS)
def test_unknown_root_fields_are_kept_where_they_always_were(kind: str) -> None:
    kept = version_of(kind)["schema"]["openAPIV3Schema"].get("x-kubernetes-preserve-unknown-fields", False)

    assert kept == (kind not in _STRICT)


@pytest.mark.parametrize("kind", KINDS)
def test_schema_has_no_word_an_api_server_does_not_know(kind: str) -> None:
    """A comma in an unquoted description makes a key of its second half."""

    def walk(schema: dict[str, Any], path: str) -> None:
        assert schema.keys() <= SCHEMA_WORDS, path
        assert "type" in schema, path
        for name, child in schema.get("properties", {}).items():
            walk(child, f"{path}.{name}")
        for word in ("items", "additionalProperties"):
            if word in schema:
                walk(schema[word], f"{path}[]")
        assert set(schema.get("required", ())) <= set(schema.get("properties", {})), path

    walk(version_of(kind)["schema"]["openAPIV3Schema"], kind)


def test_a_full_image_scan_is_accepted() -> None:
    now = "2026-01-02T12:00:00Z"
    check_accepted(
        {
            "apiVersion": "trivyop.dev/v1alpha1",
            "kind": "ImageScan",
            "metadata": {"name": "sha256-ab", "namespace": "trivy-system"},
            "spec": {
                "image": "nginx:1.25",
                "digest": "sha256:ab",
                "platform": "linux/amd64",
                "namespace": "shop",
                "rescanAfter": now,
                "requesters": 1,
                "requestedBy": [
                    {"kind": "ReplicaSet", "namespace": "shop", "name": "web-1", "container": "web"}
                ],
            },
            "status": {
                "phase": "Failed",
                "reason": "auth",
                "message": "401",
                "attempts": 3,
                "consecutiveFailures": 2,
                "lastAttempt": now,
                "lastSuccess": now,
                "nextRetry": now,
                "nextRefresh": now,
                "job": "scan-1",
                "digest": "sha256:ab",
                "scanner": {"version": "0.76.0"},
                "database": {"version": 2, "updatedAt": now},
                "settingsHash": "ab",
                "source": "Rematch",
                "summary": {
                    "criticalCount": 1,
                    "highCount": 1,
                    "mediumCount": 1,
                    "lowCount": 1,
                    "unknownCount": 1,
                    "secretCount": 1,
                },
                "os": {"family": "debian", "name": "12.4"},
                "conditions": [
                    {
                        "type": "Ready",
                        "status": "False",
                        "reason": "Failed",
                        "message": "401",
                        "lastTransitionTime": now,
                        "observedGeneration": 1,
                    }
                ],
            },
        }
    )


@pytest.mark.parametrize(("part", "struct"), [("spec", ImageScanSpec), ("status", ImageScanStatus)])
def test_image_scan_keeps_every_field_that_the_operator_writes(
    part: str, struct: type[msgspec.Struct]
) -> None:
    """A field the schema does not know would be pruned, and missed only after a restart."""
    schema = version_of("ImageScan")["schema"]["openAPIV3Schema"]["properties"][part]

    written = {field.encode_name for field in msgspec.structs.fields(struct)}

    assert written == schema["properties"].keys()
