"""Reports say what was found, field for field, whatever the order it was found in."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from datetime import timedelta
from functools import partial

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.report.crds import check_accepted
from tests.unit.report.samples import (
    ALL_FIELDS,
    AWS_KEY,
    DIGEST,
    DNS_LABELS,
    FINDINGS,
    LODASH,
    MANY_FINDINGS,
    NOON,
    OPENSSL,
    SBOM,
    SBOMS,
    SUBDOMAINS,
    container,
    workload,
)
from trivyop.kube.resources import ObjectKey
from trivyop.report import keys
from trivyop.report.content import content_hash
from trivyop.report.findings import Findings, Secret, Severity, choose_score, choose_severity
from trivyop.report.names import long_report_name
from trivyop.report.options import ReportOptions
from trivyop.report.projection import reproject
from trivyop.report.sbom import build_cluster_sbom_report, build_sbom_report
from trivyop.report.secret import build_secret_report
from trivyop.report.summary import SeverityCounts
from trivyop.report.vulnerability import build_vulnerability_report
from trivyop.settings.choices import AdditionalField
from trivyop.workload.images import ImageKey

PLAIN = ReportOptions()
WEB = workload()
(NGINX,) = WEB.containers


def test_vulnerability_report_has_every_field() -> None:
    options = ReportOptions(settings_hash="s1", resource_labels=("team",))

    report = build_vulnerability_report(WEB, NGINX, FINDINGS, options, now=NOON)

    annotations = report["metadata"]["annotations"]
    content = annotations.pop(keys.CONTENT_HASH)
    assert report == {
        "apiVersion": "aquasecurity.github.io/v1alpha1",
        "kind": "VulnerabilityReport",
        "metadata": {
            "name": "replicaset-web-7b8c-web",
            "namespace": "shop",
            "labels": {
                "team": "checkout",
                "app.kubernetes.io/managed-by": "trivy-operator",
                "resource-spec-hash": "abcd",
                "trivy-operator.container.name": "web",
                "trivy-operator.resource.kind": "ReplicaSet",
                "trivy-operator.resource.name": "web-7b8c",
                "trivy-operator.resource.namespace": "shop",
            },
            "annotations": {
                "trivy-operator.aquasecurity.github.io/report-ttl": "24h0m0s",
                "trivyop.dev/image": f"index.docker.io/library/nginx:1.25@{DIGEST}",
                "trivyop.dev/image-reference": NGINX.image,
                "trivyop.dev/image-digest": DIGEST,
                "trivyop.dev/os": "debian/12.4/eosl",
                "trivyop.dev/platform": "linux/amd64",
                "trivyop.dev/scanned-at": "2026-01-02T12:00:00Z",
                "trivyop.dev/settings-hash": "s1",
                "trivyop.dev/summary": "c=1,h=1,m=0,l=0,u=0",
                "trivyop.dev/fixable": "c=0,h=1,m=0,l=0,u=0",
            },
            "ownerReferences": [
                {
                    "apiVersion": "apps/v1",
                    "blockOwnerDeletion": False,
                    "controller": True,
                    "kind": "ReplicaSet",
                    "name": "web-7b8c",
                    "uid": "1234",
                }
            ],
        },
        "report": {
            "artifact": {"digest": DIGEST, "repository": "library/nginx", "tag": "1.25"},
            "os": {"family": "debian", "name": "12.4", "eosl": True},
            "registry": {"server": "index.docker.io"},
            "scanner": {"name": "Trivy", "vendor": "Aqua Security", "version": "0.76.0"},
            "summary": {
                "criticalCount": 1,
                "highCount": 1,
                "mediumCount": 0,
                "lowCount": 0,
                "unknownCount": 0,
                "noneCount": 0,
            },
            "updateTimestamp": "2026-01-02T12:00:00Z",
            "vulnerabilities": [
                {
                    "fixedVersion": "",
                    "installedVersion": "3.0.11",
                    "lastModifiedDate": "",
                    "links": [],
                    "publishedDate": "",
                    "resource": "libssl3",
                    "severity": "CRITICAL",
                    "target": "",
                    "title": "Incorrect cipher key",
                    "vulnerabilityID": "CVE-2023-5363",
                },
                {
                    "fixedVersion": "4.17.19",
                    "installedVersion": "4.17.15",
                    "lastModifiedDate": "2024-01-21T02:37:13Z",
                    "links": [],
                    "packagePURL": "pkg:npm/lodash@4.17.15",
                    "primaryLink": "https://avd.aquasec.com/nvd/cve-2020-8203",
                    "publishedDate": "2020-07-15T17:15:11Z",
                    "resource": "lodash",
                    "score": 7.4,
                    "severity": "HIGH",
                    "target": "",
                    "title": "prototype pollution",
                    "vulnerabilityID": "CVE-2020-8203",
                },
            ],
        },
    }
    assert content == content_hash(report)


def test_additional_fields_are_written_when_asked_for() -> None:
    openssl, lodash = build_vulnerability_report(WEB, NGINX, FINDINGS, ALL_FIELDS, now=NOON)["report"][
        "vulnerabilities"
    ]

    assert lodash["description"] == "Long story."
    assert lodash["links"] == ["https://example.com/1"]
    assert lodash["cvss"] == {"nvd": {"V3Score": 7.4, "V3Vector": "CVSS:3.1/AV:N"}}
    assert lodash["class"] == "lang-pkgs"
    assert lodash["packageType"] == "node-pkg"
    assert lodash["packagePath"] == "app/node_modules/lodash/package.json"
    assert lodash["target"] == "Node.js"
    assert openssl["target"] == "nginx:1.25 (debian 12.4)", "as its user writes it, not as it was pinned"


def test_one_additional_field_brings_no_other() -> None:
    options = ReportOptions(additional_fields=frozenset({AdditionalField.CLASS}))

    _, lodash = build_vulnerability_report(WEB, NGINX, FINDINGS, options, now=NOON)["report"][
        "vulnerabilities"
    ]

    assert lodash["class"] == "lang-pkgs"
    assert (lodash["links"], lodash["target"]) == ([], "")
    assert not lodash.keys() & {"description", "cvss", "packageType", "packagePath"}


def test_secret_report_has_every_field() -> None:
    body = build_secret_report(WEB, NGINX, FINDINGS, PLAIN, now=NOON)["report"]

    assert body == {
        "artifact": {"digest": DIGEST, "repository": "library/nginx", "tag": "1.25"},
        "registry": {"server": "index.docker.io"},
        "scanner": {"name": "Trivy", "vendor": "Aqua Security", "version": "0.76.0"},
        "secrets": [
            {
                "category": "AWS",
                "match": "aws_access_key_id = ****",
                "ruleID": "aws-access-key-id",
                "severity": "CRITICAL",
                "target": "/app/.aws/credentials",
                "title": "AWS Access Key ID",
            }
        ],
        "summary": {"criticalCount": 1, "highCount": 0, "mediumCount": 0, "lowCount": 0},
        "updateTimestamp": "2026-01-02T12:00:00Z",
    }


def test_secret_of_unknown_severity_counts_as_low() -> None:
    """A custom rule may have any severity; the schema would refuse the whole report."""
    odd = msgspec.structs.replace(AWS_KEY, severity=Severity.UNKNOWN)

    report = build_secret_report(WEB, NGINX, Findings(scanner_version="1", secrets=(odd,)), PLAIN, now=NOON)

    assert report["report"]["secrets"][0]["severity"] == "LOW"
    assert report["report"]["summary"]["lowCount"] == 1


def test_report_takes_another_name_where_its_own_is_taken() -> None:
    name = long_report_name("ReplicaSet", "web-7b8c", "web")

    report = build_vulnerability_report(WEB, NGINX, FINDINGS, PLAIN, now=NOON, name=name)

    assert report["metadata"]["name"] == name


def test_clean_image_has_reports_too() -> None:
    """Clean and never scanned can be told apart."""
    clean = Findings(scanner_version="0.76.0")

    vulnerabilities = build_vulnerability_report(WEB, NGINX, clean, PLAIN, now=NOON)["report"]
    secrets = build_secret_report(WEB, NGINX, clean, PLAIN, now=NOON)["report"]

    assert (vulnerabilities["vulnerabilities"], secrets["secrets"]) == ([], [])
    assert vulnerabilities["os"] == {"family": ""}


def test_sbom_report_counts_the_image_as_a_component() -> None:
    report = build_sbom_report(WEB, NGINX, SBOM, PLAIN, scanner_version="0.76.0", now=NOON)

    assert report["report"]["summary"] == {"componentsCount": 3, "dependenciesCount": 3}
    assert report["report"]["components"] == SBOM
    assert report["metadata"]["annotations"][keys.SUMMARY] == "components=3,dependencies=3"


@pytest.mark.parametrize(
    ("image", "tag"),
    [
        ("quay.io/shop/web:1.0", "quay.io/shop/web:1.0"),
        ("127.0.0.1:5000/shop/web", "127.0.0.1:5000/shop/web:latest"),
        ("nginx", "nginx:latest"),
        ("docker.io/library/nginx:1", "nginx:1"),
        ("index.docker.io/shop/web:1", "shop/web:1"),
        (f"quay.io/shop/web@{DIGEST}", None),
        (f"quay.io/shop/web:1@{DIGEST}", None),
    ],
)
def test_bill_of_materials_has_the_name_that_a_scan_of_the_reference_gives(
    image: str, tag: str | None
) -> None:
    """Though the scan was by digest; and a report made from another one's does not keep its name."""
    pinned = f"quay.io/shop/web@{DIGEST}"
    properties = [
        {"name": "aquasecurity:trivy:DiffID", "value": DIGEST},
        {"name": "aquasecurity:trivy:Reference", "value": pinned},
        {"name": "aquasecurity:trivy:RepoDigest", "value": pinned},
        {"name": "aquasecurity:trivy:SchemaVersion", "value": "2"},
    ]
    root = {"bom-ref": "root", "type": "container", "name": pinned, "properties": properties}
    sbom = {**SBOM, "metadata": {"component": root}}
    container = replace(NGINX, image=image)
    build = partial(build_sbom_report, sbom=sbom, options=PLAIN, scanner_version="1", now=NOON)

    own = build(WEB, container)
    projected = reproject(build(WEB, replace(NGINX, image="other/name:9")), WEB, container, PLAIN)
    shared = build_cluster_sbom_report(
        ImageKey(DIGEST, None), container, sbom, PLAIN, scanner_version="1", now=NOON
    )

    components = [report["report"]["components"] for report in (own, projected, shared)]
    named = components[0]["metadata"]["component"]
    found = [(one["name"].rpartition(":")[2], one["value"]) for one in named["properties"]]
    assert named["name"] == image
    assert found == [
        ("DiffID", DIGEST),
        ("Reference", image),
        ("RepoDigest", pinned),
        *([("RepoTag", tag)] if tag else []),
        ("SchemaVersion", "2"),
    ]
    assert components == [components[0]] * 3
    assert sbom["metadata"]["component"]["name"] == pinned


@pytest.mark.parametrize("image", ["not an image", "quay.io/shop/web:1"])
def test_what_does_not_stand_for_an_image_keeps_its_name(image: str) -> None:
    root = {"bom-ref": "root", "type": "container" if " " in image else "application", "name": "x"}
    sbom = {**SBOM, "metadata": {"component": root}}

    report = build_sbom_report(WEB, replace(NGINX, image=image), sbom, PLAIN, scanner_version="1", now=NOON)

    assert report["report"]["components"] == sbom


def test_cluster_sbom_report_belongs_to_the_image_alone() -> None:
    """It outlives workloads, until its time to live ends."""
    options = ReportOptions(additional_labels={"cluster": "one"})
    key = ImageKey(DIGEST, "linux/arm64")

    report = build_cluster_sbom_report(key, NGINX, SBOM, options, scanner_version="0.76.0", now=NOON)

    name = "sha256-" + "ab" * 16 + "-linux-arm64"
    assert report["metadata"].keys() == {"name", "labels", "annotations"}
    assert report["metadata"]["name"] == name
    assert report["metadata"]["labels"] == {
        "cluster": "one",
        "app.kubernetes.io/managed-by": "trivy-operator",
        "resource-image-id": name,
    }
    annotations = report["metadata"]["annotations"]
    assert annotations[keys.REPORT_TTL] == "120h0m0s"
    assert (annotations[keys.IMAGE_DIGEST], annotations[keys.PLATFORM]) == (DIGEST, "linux/arm64")


@pytest.mark.parametrize(
    ("image", "digest", "artifact"),
    [
        ("quay.io/a/b", None, {"repository": "a/b", "tag": "latest"}),
        (
            "quay.io/a/b:v1",
            "sha256:" + "1" * 64,
            {"repository": "a/b", "tag": "v1", "digest": "sha256:" + "1" * 64},
        ),
        (f"quay.io/a/b@{DIGEST}", None, {"repository": "a/b", "digest": DIGEST}),
        (f"quay.io/a/b:v1@{DIGEST}", None, {"repository": "a/b", "tag": "v1", "digest": DIGEST}),
        ("NOT/an:image", None, {"repository": "NOT/an:image"}),
    ],
)
def test_artifact_is_named_as_the_workload_names_it(
    image: str, digest: str | None, artifact: dict[str, str]
) -> None:
    clean = Findings(scanner_version="1")

    report = build_vulnerability_report(WEB, container(image=image, digest=digest), clean, PLAIN, now=NOON)

    assert report["report"]["artifact"] == artifact


def test_digest_of_the_scan_is_used_where_no_node_told_one() -> None:
    """A CronJob that never ran has no pod, yet its image was scanned."""
    report = build_vulnerability_report(WEB, container(digest=None), FINDINGS, PLAIN, now=NOON)

    assert report["report"]["artifact"]["digest"] == DIGEST
    assert report["metadata"]["annotations"][keys.IMAGE_DIGEST] == DIGEST


def test_report_without_a_namespace_is_a_cluster_report() -> None:
    cluster = workload(
        "6bb999cdc6",
        container("k8s-cluster", "k8s.io/kubernetes:1.36"),
        kind="ClusterSbomReport",
        key=ObjectKey("", "6bb999cdc6"),
    )

    report = build_vulnerability_report(cluster, cluster.containers[0], FINDINGS, PLAIN, now=NOON)

    assert report["kind"] == "ClusterVulnerabilityReport"
    assert report["metadata"]["name"] == "clustersbomreport-6bb999cdc6-k8s-cluster"
    assert "namespace" not in report["metadata"]
    check_accepted(report)


@given(st.permutations([LODASH, OPENSSL, msgspec.structs.replace(LODASH, package_path="b"), OPENSSL]))
def test_report_does_not_depend_on_the_scanners_order(order: list[object]) -> None:
    """Otherwise each scan would write the report again."""
    shuffled = msgspec.structs.replace(FINDINGS, vulnerabilities=tuple(order))
    sorted_findings = msgspec.structs.replace(
        FINDINGS,
        vulnerabilities=(LODASH, msgspec.structs.replace(LODASH, package_path="b"), OPENSSL, OPENSSL),
    )

    assert build_vulnerability_report(
        WEB, NGINX, shuffled, ALL_FIELDS, now=NOON
    ) == build_vulnerability_report(WEB, NGINX, sorted_findings, ALL_FIELDS, now=NOON)


@given(SUBDOMAINS, DNS_LABELS, MANY_FINDINGS, SBOMS, st.booleans())
def test_api_server_takes_and_keeps_all_of_every_report(
    name: str, container_name: str, findings: Findings, sbom: dict[str, object], everything: bool
) -> None:
    options = ALL_FIELDS if everything else PLAIN
    image = container(container_name)
    owner = workload(name, image)
    key = ImageKey(DIGEST, None)

    vulnerabilities = build_vulnerability_report(owner, image, findings, options, now=NOON)
    secrets = build_secret_report(owner, image, findings, options, now=NOON)
    materials = build_sbom_report(owner, image, sbom, options, scanner_version="1", now=NOON)
    shared = build_cluster_sbom_report(key, image, sbom, options, scanner_version="1", now=NOON)

    for report in (vulnerabilities, secrets, materials, shared):
        check_accepted(report)
        check_accepted(reproject(report, WEB, NGINX, options))


# content hash


def test_content_hash_does_not_change_with_time() -> None:
    """A scan that finds the same again leads to no write, no event, no webhook call."""
    reports = [
        build_vulnerability_report(WEB, NGINX, FINDINGS, PLAIN, now=NOON + timedelta(days=days))
        for days in (0, 1)
    ]

    hashes = [report["metadata"]["annotations"][keys.CONTENT_HASH] for report in reports]

    assert reports[0] != reports[1]
    assert hashes[0] == hashes[1]


def test_content_hash_of_a_bill_of_materials_does_not_change_with_its_serial_number() -> None:
    again = {
        **SBOM,
        "serialNumber": "urn:uuid:other",
        "metadata": {**SBOM["metadata"], "timestamp": "2026-01-03T12:00:00+00:00"},
    }

    hashes = {
        build_sbom_report(WEB, NGINX, sbom, PLAIN, scanner_version="1", now=NOON)["metadata"]["annotations"][
            keys.CONTENT_HASH
        ]
        for sbom in (SBOM, again)
    }

    assert len(hashes) == 1


@pytest.mark.parametrize(
    "other",
    [
        build_vulnerability_report(workload(uid="other"), NGINX, FINDINGS, PLAIN, now=NOON),
        build_vulnerability_report(workload(spec_hash="other"), NGINX, FINDINGS, PLAIN, now=NOON),
        build_vulnerability_report(WEB, NGINX, FINDINGS, ReportOptions(settings_hash="other"), now=NOON),
        build_vulnerability_report(
            WEB, NGINX, msgspec.structs.replace(FINDINGS, vulnerabilities=()), PLAIN, now=NOON
        ),
    ],
    ids=["owner", "label", "annotation", "finding"],
)
def test_content_hash_changes_with_everything_else(other: dict[str, object]) -> None:
    report = build_vulnerability_report(WEB, NGINX, FINDINGS, PLAIN, now=NOON)

    assert content_hash(report) != content_hash(other)


# projection


@given(MANY_FINDINGS, st.booleans())
def test_projection_is_what_a_scan_of_that_workload_would_have_written(
    findings: Findings, everything: bool
) -> None:
    """The workloads share a digest, not a name for it."""
    options = ReportOptions(
        additional_fields=ALL_FIELDS.additional_fields if everything else frozenset(),
        settings_hash="s1",
        resource_labels=("team",),
    )
    image = container("cache", f"mirror.example/nginx:other@{DIGEST}", platform="linux/amd64")
    other = workload("other", image, kind="StatefulSet", uid="5678", labels={"team": "data"})

    for build in (build_vulnerability_report, build_secret_report):
        original = build(WEB, NGINX, findings, options, now=NOON)
        expected = build(other, image, findings, options, now=NOON)
        if build is build_secret_report and not findings.os_family:
            expected["metadata"]["annotations"].pop(keys.OS, None)

        assert reproject(original, other, image, options) == expected


def test_projection_leaves_what_it_shares_alone() -> None:
    """Findings are built once for all workloads; none may see what another does with them."""
    original = build_vulnerability_report(WEB, NGINX, FINDINGS, ALL_FIELDS, now=NOON)
    before = deepcopy(original)

    reproject(original, WEB, container("cache", "mirror.example/nginx:other"), ALL_FIELDS)
    reproject(original, WEB, NGINX, replace(ALL_FIELDS, budget_bytes=2_500))

    assert original == before


def test_sbom_report_is_projected_from_the_one_of_the_image() -> None:
    shared = build_cluster_sbom_report(
        ImageKey(DIGEST, None), NGINX, SBOM, PLAIN, scanner_version="1", now=NOON
    )

    projected = reproject(shared, WEB, NGINX, PLAIN)

    assert projected == build_sbom_report(WEB, NGINX, SBOM, PLAIN, scanner_version="1", now=NOON)


def test_report_of_the_go_operator_can_be_projected() -> None:
    """It has none of our annotations; of its settings nothing is known, and nothing is claimed."""
    foreign = build_vulnerability_report(WEB, NGINX, FINDINGS, PLAIN, now=NOON)
    del foreign["metadata"]["annotations"]

    projected = reproject(foreign, WEB, NGINX, ReportOptions(settings_hash="s1"))

    annotations = projected["metadata"]["annotations"]
    assert keys.SETTINGS_HASH not in annotations
    assert annotations[keys.SUMMARY] == "c=1,h=1,m=0,l=0,u=0"
    assert annotations[keys.SCANNED_AT] == "2026-01-02T12:00:00Z"
    assert annotations[keys.OS] == "debian/12.4/eosl"


# choices


@pytest.mark.parametrize(
    ("vendors", "source", "own", "expected"),
    [
        ({"nvd": 3, "debian": 1}, "debian", "HIGH", Severity.LOW),
        ({"nvd": 3}, "debian", "high", Severity.HIGH),
        ({}, "", "", Severity.UNKNOWN),
        ({"nvd": 9}, "nvd", "MEDIUM", Severity.MEDIUM),
        ({"nvd": 0}, "nvd", "MEDIUM", Severity.UNKNOWN),
    ],
)
def test_severity_is_the_sources_else_trivys_own(
    vendors: dict[str, int], source: str, own: str, expected: Severity
) -> None:
    assert choose_severity(vendors, source, own) is expected


@pytest.mark.parametrize(
    ("cvss", "source", "expected"),
    [
        ({"nvd": {"V3Score": 8.1}, "redhat": {"V3Score": 8.3}}, "", 8.3),
        ({"nvd": {"V3Score": 8.1}, "redhat": {"V2Score": 8.3}}, "", 8.1),
        ({"redhat": {"V3Score": 5.0}, "ghsa": {"V3Score": 6.0}}, "", 6.0),
        ({"redhat": {"V3Score": 5.0}, "ghsa": {"V3Score": 6.0}}, "redhat", 5.0),
        ({"nvd": {"V3Score": 8.1}, "redhat": {"V3Score": 5.9}}, "nvd", 5.9),
        ({"nvd": {"V3Score": 0}}, "nvd", None),
        ({}, "nvd", None),
    ],
)
def test_score_is_chosen_in_a_fixed_order(
    cvss: dict[str, dict[str, float]], source: str, expected: float | None
) -> None:
    """The Go operator's choice is random where there are several vendors."""
    assert choose_score(cvss, source) == expected


def test_findings_are_values() -> None:
    """Two scans with the same result are equal, so nothing needs to be written."""
    assert Secret(target="a", rule_id="b", severity=Severity.LOW) == Secret(
        target="a", rule_id="b", severity=Severity.LOW
    )


@given(st.lists(st.sampled_from(Severity), max_size=20))
def test_counts_read_back_from_their_annotation(severities: list[Severity]) -> None:
    counts = SeverityCounts.of(severities)

    assert SeverityCounts.parse(str(counts)) == counts


@pytest.mark.parametrize("text", ["", "x", "c=", "c=-1", "components=4,dependencies=4", "c=1;h=2"])
def test_text_that_is_no_summary_is_none(text: str) -> None:
    assert SeverityCounts.parse(text) is None
