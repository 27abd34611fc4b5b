"""Workloads and findings that report tests build from, fixed ones and generated ones."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st

from trivyop.kube.resources import ObjectKey
from trivyop.report.findings import Findings, Secret, Severity, Vulnerability
from trivyop.report.options import ReportOptions
from trivyop.settings.choices import AdditionalField
from trivyop.workload.images import ContainerImage, ContainerKind
from trivyop.workload.resolve import Workload

NOON = datetime(2026, 1, 2, 12, 0, 0, 987654, tzinfo=UTC)
DIGEST = "sha256:" + "ab" * 32
ALL_FIELDS = ReportOptions(additional_fields=frozenset(AdditionalField))


def container(name: str = "web", image: str = "nginx:1.25", **more: Any) -> ContainerImage:
    known: dict[str, Any] = {"digest": DIGEST, "platform": "linux/amd64", **more}
    return ContainerImage(name, ContainerKind.REGULAR, image, **known)


def workload(name: str = "web-7b8c", *containers: ContainerImage, **more: Any) -> Workload:
    fields: dict[str, Any] = {
        "kind": "ReplicaSet",
        "api_version": "apps/v1",
        "key": ObjectKey("shop", name),
        "uid": "1234",
        "labels": {"app": "web", "team": "checkout"},
        "annotations": {},
        "containers": containers or (container(),),
        "spec_hash": "abcd",
        **more,
    }
    return Workload(**fields)


LODASH = Vulnerability(
    id="CVE-2020-8203",
    package="lodash",
    installed_version="4.17.15",
    fixed_version="4.17.19",
    severity=Severity.HIGH,
    title="prototype pollution",
    description="Long story.",
    primary_link="https://avd.aquasec.com/nvd/cve-2020-8203",
    links=("https://example.com/1",),
    published="2020-07-15T17:15:11Z",
    modified="2024-01-21T02:37:13Z",
    score=7.4,
    purl="pkg:npm/lodash@4.17.15",
    cvss={"nvd": {"V3Score": 7.4, "V3Vector": "CVSS:3.1/AV:N", "V9Score": 1.0}, "empty": {}},
    target="Node.js",
    class_name="lang-pkgs",
    package_type="node-pkg",
    package_path="app/node_modules/lodash/package.json",
)
OPENSSL = Vulnerability(
    id="CVE-2023-5363",
    package="libssl3",
    installed_version="3.0.11",
    severity=Severity.CRITICAL,
    title="Incorrect cipher key",
    target=f"index.docker.io/library/nginx@{DIGEST} (debian 12.4)",
    class_name="os-pkgs",
)
AWS_KEY = Secret(
    target="/app/.aws/credentials",
    rule_id="aws-access-key-id",
    title="AWS Access Key ID",
    severity=Severity.CRITICAL,
    category="AWS",
    match="aws_access_key_id = ****",
)
FINDINGS = Findings(
    os_family="debian",
    os_name="12.4",
    eosl=True,
    repo_digests=(f"nginx@{DIGEST}",),
    vulnerabilities=(LODASH, OPENSSL),
    secrets=(AWS_KEY,),
    scanner_version="0.76.0",
    artifact_name=f"index.docker.io/library/nginx@{DIGEST}",
    has_packages=True,
)
SBOM: dict[str, Any] = {
    "bomFormat": "CycloneDX",
    "specVersion": "1.7",
    "serialNumber": "urn:uuid:811a03e5-7dd9-4465-8599-26bfec57d751",
    "version": 1,
    "metadata": {
        "timestamp": "2026-01-02T12:00:00+00:00",
        "component": {"bom-ref": "root", "type": "container", "name": "nginx:1.25", "properties": []},
    },
    "components": [
        {
            "bom-ref": "os",
            "type": "operating-system",
            "name": "debian",
            "version": "12.4",
            "properties": [{"name": "aquasecurity:trivy:Class", "value": "os-pkgs"}],
        },
        {
            "bom-ref": "pkg:npm/lodash@4.17.15",
            "type": "library",
            "name": "lodash",
            "version": "4.17.15",
            "purl": "pkg:npm/lodash@4.17.15",
            "licenses": [{"license": {"id": "MIT"}}],
            "hashes": [{"alg": "SHA-1", "content": "00"}],
            "supplier": {"name": "x"},
            "properties": [
                {"name": "aquasecurity:trivy:PkgType", "value": "node-pkg"},
                {"name": "aquasecurity:trivy:LayerDigest", "value": DIGEST},
            ],
        },
    ],
    "dependencies": [
        {"ref": "root", "dependsOn": ["os", "pkg:npm/lodash@4.17.15"]},
        {"ref": "os", "dependsOn": []},
        {"ref": "pkg:npm/lodash@4.17.15", "dependsOn": []},
    ],
}

# generated

TEXTS = st.text(max_size=30)
SCORES = st.none() | st.floats(min_value=0, max_value=10, allow_nan=False)
CVSS = st.dictionaries(
    st.sampled_from(["nvd", "ghsa", "redhat"]),
    st.fixed_dictionaries(
        {}, optional={"V3Score": st.floats(0, 10), "V2Vector": TEXTS, "V40Score": st.floats(0, 10)}
    ),
)
VULNERABILITIES = st.builds(
    Vulnerability,
    id=st.sampled_from(["CVE-2020-1", "CVE-2021-2", "GHSA-x"]),
    package=TEXTS,
    installed_version=TEXTS,
    fixed_version=st.sampled_from(["", "1.2"]),
    severity=st.sampled_from(Severity),
    title=st.text(max_size=300),
    description=st.text(max_size=300),
    links=st.lists(TEXTS, max_size=3).map(tuple),
    published=st.sampled_from(["", "2020-07-15T17:15:11Z"]),
    score=SCORES,
    purl=TEXTS,
    cvss=CVSS,
    target=TEXTS,
    class_name=TEXTS,
    package_type=TEXTS,
    package_path=TEXTS,
)
SECRETS = st.builds(
    Secret,
    target=TEXTS,
    rule_id=TEXTS,
    title=TEXTS,
    severity=st.sampled_from(Severity),
    category=TEXTS,
    match=st.text(max_size=300),
)
MANY_FINDINGS = st.builds(
    Findings,
    os_family=st.sampled_from(["", "debian"]),
    os_name=st.sampled_from(["", "12.4"]),
    eosl=st.booleans(),
    repo_digests=st.just((f"nginx@{DIGEST}",)) | st.just(()),
    vulnerabilities=st.lists(VULNERABILITIES, max_size=12).map(tuple),
    secrets=st.lists(SECRETS, max_size=12).map(tuple),
    scanner_version=st.just("0.76.0"),
)
COMPONENTS = st.fixed_dictionaries(
    {"bom-ref": TEXTS, "type": st.sampled_from(["library", "operating-system"]), "name": TEXTS},
    optional={
        "purl": TEXTS,
        "version": TEXTS,
        "licenses": st.just([{"license": {"id": "MIT"}}]),
        "hashes": st.just([{"alg": "MD5", "content": "00"}]),
        "supplier": st.just({"name": "x", "url": ["https://example.com"]}),
        "properties": st.lists(
            st.fixed_dictionaries(
                {
                    "name": st.sampled_from(["aquasecurity:trivy:LayerDigest", "aquasecurity:trivy:PkgID"]),
                    "value": TEXTS,
                }
            ),
            max_size=3,
        ),
    },
)
SBOMS = st.fixed_dictionaries(
    {
        "bomFormat": st.just("CycloneDX"),
        "specVersion": st.just("1.7"),
        "metadata": st.fixed_dictionaries({"component": COMPONENTS}),
        "components": st.lists(COMPONENTS, max_size=12),
        "dependencies": st.lists(
            st.fixed_dictionaries({"ref": TEXTS, "dependsOn": st.lists(TEXTS, max_size=3)}), max_size=12
        ),
    }
)
DNS_LABELS = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", fullmatch=True)
SUBDOMAINS = st.lists(DNS_LABELS, min_size=1, max_size=4).map(".".join).filter(lambda name: len(name) <= 253)
