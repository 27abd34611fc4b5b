"""Matching: a bill of materials as it is given to ``trivy sbom``, so that it finds what a scan finds.

The document that reports have is CycloneDX as Trivy writes it. Read back by Trivy, packages differ from those
of the scan: they may belong to another repository, have a name in lower case, an id or a source package that
they did not have. Where Trivy reads a field that says so, the field is set; a package that the scan did not
match at all loses its URL, by which Trivy passes over it; what Trivy changes in any case is put back after.

``MatchFacts`` is what this takes beyond the document. It is kept in the ClusterSbomReport, as one property of
the component that is the image.

Promises: pure; the bill of materials that comes in is not changed.
Not here: where facts come from (``scanfacts.py``), and whether a document may be matched (``matchable.py``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from trivyop.report.findings import Findings, Sbom
from trivyop.scan.scanfacts import PACKAGE_ID, SYSTEM_URLS, is_left_out
from trivyop.trivy.failures import ParseError

PROPERTY = "trivyop.dev:match"
_REPO_DIGEST = "aquasecurity:trivy:RepoDigest"
_OS = "operating-system"
_Json = dict[str, Any]


class MatchFacts(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """What matching a bill of materials takes beyond it, by references of components."""

    artifact: str = ""  # the image as the scan called it; findings' targets are named by it
    family: str = ""  # of the operating system, which has no component where its packages are not wanted
    os_name: str = ""  # its version
    third_party: tuple[str, ...] = ()  # not the distribution's own packages
    names: Mapping[str, str] = msgspec.field(default_factory=dict[str, str])  # as their authors spell them
    purls: Mapping[str, str] = msgspec.field(default_factory=dict[str, str])  # likewise

    def encode(self) -> str:
        return msgspec.json.encode(self, order="sorted").decode()


_DECODER = msgspec.json.Decoder(MatchFacts)


def with_facts(sbom: Sbom, facts: MatchFacts) -> Sbom:
    """The bill of materials of a scan with the facts in it, and how the scan calls it; see `facts_of`."""
    root: _Json | None = sbom.get("metadata", {}).get("component")
    if root is None:
        return sbom
    facts = replace(facts, artifact=str(root.get("name", "")))
    properties = [*root.get("properties", ()), {"name": PROPERTY, "value": facts.encode()}]
    return {**sbom, "metadata": {**sbom["metadata"], "component": {**root, "properties": properties}}}


def facts_of(sbom: Sbom) -> MatchFacts:
    """The facts in a bill of materials; empty where there are none, ``ParseError`` for damaged ones."""
    for one in _root(sbom).get("properties", ()):
        if one["name"] == PROPERTY:
            try:
                return _DECODER.decode(one["value"])
            except msgspec.MsgspecError as error:
                raise ParseError(
                    f"the property {PROPERTY} of the bill of materials is damaged: {error}"
                ) from None
    return MatchFacts()


def artifact_name(sbom: Sbom) -> str:
    """The image as the scan called it; reports call it as its workload does."""
    return facts_of(sbom).artifact or str(_root(sbom).get("name", ""))


def match_document(sbom: Sbom) -> bytes:
    """The document for ``trivy sbom``."""
    facts = facts_of(sbom)
    third_party = frozenset(facts.third_party)
    components: list[_Json] = sbom.get("components") or []
    family = next((str(one.get("name", "")) for one in components if one.get("type") == _OS), "")
    made_good = [_made_good(one, facts, third_party, family) for one in components]
    return json.dumps({**sbom, "components": made_good}, separators=(",", ":")).encode()


def _made_good(component: _Json, facts: MatchFacts, third_party: frozenset[str], family: str) -> _Json:
    purl: str = component.get("purl", "")
    if not purl:
        return component
    ref: str = component.get("bom-ref", "")
    properties = [(one["name"], one.get("value", "")) for one in component.get("properties", ())]
    if ref in third_party or is_left_out(family, purl, properties):
        return {key: value for key, value in component.items() if key != "purl"}
    made = component
    if not purl.startswith(SYSTEM_URLS) and all(name != PACKAGE_ID for name, _ in properties):
        # The scan gave none. Without this, Trivy makes one up, which policies would see.
        made = {**made, "properties": [*made.get("properties", ()), {"name": PACKAGE_ID, "value": ""}]}
    if ref in facts.names:
        made = {key: value for key, value in made.items() if key != "group"} | {"name": facts.names[ref]}
    return made


def restored(findings: Findings, sbom: Sbom) -> Findings:
    """The findings of a match as a scan has them: of the image, and with the package URLs it has."""
    facts = facts_of(sbom)
    components: list[_Json] = sbom.get("components") or []
    originals = {
        str(one["purl"]): facts.purls[one["bom-ref"]]
        for one in components
        if one.get("bom-ref") in facts.purls and one.get("purl")
    }
    properties = _root(sbom).get("properties", ())
    vulnerabilities = findings.vulnerabilities
    if originals:
        vulnerabilities = tuple(
            replace(one, purl=originals.get(one.purl, one.purl)) for one in findings.vulnerabilities
        )
    return replace(
        findings,
        os_family=findings.os_family or facts.family,
        os_name=findings.os_name or facts.os_name,
        artifact_name=artifact_name(sbom),
        repo_digests=tuple(one["value"] for one in properties if one["name"] == _REPO_DIGEST),
        vulnerabilities=vulnerabilities,
        has_packages=any(one.get("purl") for one in components),
    )


def _root(sbom: Sbom) -> Mapping[str, Any]:
    return sbom.get("metadata", {}).get("component") or {}
