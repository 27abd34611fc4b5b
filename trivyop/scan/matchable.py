"""Matchable: whether matching a bill of materials will say what a scan of its image would.

Two questions. Is there anything that no document carries, so that a match may be wrong one day though it is
right now: the distribution's own rules for this image, settings that look at more than packages? And does it
prove itself: the scan pod has matched the document once, with its own database and settings, and found what
the scan had found?

Promises: pure; everything that is not known to be right counts as wrong. Reasons are for conditions, messages
for people.
Not here: the document (``matching.py``), and what the scan pod sends (``proof.py``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, cast

import yaml

from trivyop.report.budget import HARMLESS
from trivyop.report.findings import BomLeftOut, Sbom
from trivyop.scan.matching import MatchFacts
from trivyop.scan.podconfig import ScanVariant
from trivyop.scan.proof import Proof
from trivyop.scan.scanfacts import SYSTEM_URLS, Linked, ScanFacts
from trivyop.settings import Settings

MATCH_FACTS_BYTES = 64 * 1024


class NotMatchable(StrEnum):
    """Why a result is refreshed by a scan; texts are reasons of a condition."""

    ADOPTED = "Adopted"
    NO_PROOF = "NoProof"
    MATCH_FAILED = "MatchFailed"
    DIFFERS = "Differs"
    EXTENDED_SUPPORT = "ExtendedSupport"
    REBUILT_PACKAGES = "RebuiltPackages"
    PACKAGE_REPOSITORIES = "PackageRepositories"
    PACKAGE_KINDS = "PackageKinds"
    PACKAGES_UNKNOWN = "PackagesUnknown"
    IGNORE_POLICY = "IgnorePolicy"
    IGNORE_FILE = "IgnoreFile"
    CONFIG_FILE = "ConfigFile"
    LEFT_OUT = "LeftOut"
    OTHER_TRIVY = "OtherTrivy"
    NO_BILL_OF_MATERIALS = "NoBillOfMaterials"


@dataclass(frozen=True, slots=True)
class Problem:
    """What stands against matching."""

    reason: NotMatchable
    message: str


@dataclass(frozen=True, slots=True)
class Filters:
    """Settings of a scan that choose findings, as texts; "" for none."""

    policy: str = ""
    ignore_file: str = ""
    config_file: str = ""


_KINDS = frozenset(
    {
        *(
            "apk",
            "deb",
            "rpm",
            "composer",
            "maven",
            "gem",
            "conda",
            "pypi",
            "golang",
            "npm",
            "cargo",
            "nuget",
        ),
        *("swift", "cocoapods", "hex", "conan", "pub", "bitnami", "k8s", "oci"),
    }
)  # what Trivy reads back, of the package URLs that it writes
_CHANGES_IN_CONFIG = (
    *("vulnerability.vex", "vex", "pkg.relationships", "pkg.include-dev-deps", "image.removed-pkgs"),
    *("scan.distro", "distro", "module", "ignorefile", "ignore-policy"),
)
_ONLY_IN_A_SCAN = re.compile(r"\b(UID|BOMRef|Fingerprint)\b")
_OF_URLS = re.compile(r"\b(PURL|PkgIdentifier)\b")


def filters_of(settings: Settings, variant: ScanVariant) -> Filters:
    """The settings that choose findings of images that are scanned in the way of ``variant``."""
    trivy = settings.trivy
    policy = trivy.ignore_policies.get(variant.ignore_policy, "")
    return Filters(policy, trivy.ignore_file, trivy.config_file)


def match_facts(linked: Linked) -> MatchFacts:
    """What is to be kept with the bill of materials."""
    return MatchFacts(
        family=linked.facts.family,
        os_name=linked.facts.os_name,
        third_party=tuple(sorted(linked.third_party)),
        names=linked.names,
        purls=linked.purls,
    )


def find_problem(
    linked: Linked, sbom: Sbom, left_out: BomLeftOut, proof: Proof | None, filters: Filters
) -> Problem | None:
    """The first thing that stands against matching; None for nothing."""
    return next(_problems(linked, sbom, left_out, proof, filters), None)


def _problems(
    linked: Linked, sbom: Sbom, left_out: BomLeftOut, proof: Proof | None, filters: Filters
) -> Iterator[Problem]:
    facts = linked.facts
    yield from _of_the_system(facts, proof)
    yield from _of_packages(linked, sbom, left_out)
    yield from _of_filters(filters, linked, left_out)
    if proof is None:
        yield Problem(NotMatchable.NO_PROOF, "the scan pod did not match its bill of materials")
    elif proof.findings is None:
        why = proof.failure or "it ended early"
        yield Problem(NotMatchable.MATCH_FAILED, f"matching in the scan pod failed: {why}"[:500])
    elif proof.findings != facts.tally:
        found, expected = proof.findings.count, facts.tally.count
        counts = f"{found} findings instead of {expected}" if found != expected else "other findings"
        yield Problem(NotMatchable.DIFFERS, f"a match of the bill of materials has {counts}")


def _of_the_system(facts: ScanFacts, proof: Proof | None) -> Iterator[Problem]:
    if facts.extended:
        yield Problem(
            NotMatchable.EXTENDED_SUPPORT,
            f"{facts.family} {facts.os_name} has extended support, which no bill of materials says",
        )
    if facts.supplier:
        yield Problem(
            NotMatchable.REBUILT_PACKAGES,
            f"its packages were rebuilt by {facts.supplier}, which no bill of materials says",
        )
    if facts.family == "alpine":
        releases = proof.releases if proof is not None else None
        if releases is None:
            yield Problem(
                NotMatchable.PACKAGE_REPOSITORIES,
                "which release of Alpine its packages come from is not known here",
            )
        elif others := {_minor(one) for one in releases} - {_minor(facts.os_name)}:
            yield Problem(
                NotMatchable.PACKAGE_REPOSITORIES,
                f"packages of Alpine {facts.os_name} come from repositories of {', '.join(sorted(others))}",
            )
    if facts.third_party and (facts.has_special or facts.family == "echo"):
        yield Problem(
            NotMatchable.REBUILT_PACKAGES,
            "some of its packages were rebuilt, and some come from other repositories",
        )


def _of_packages(linked: Linked, sbom: Sbom, left_out: BomLeftOut) -> Iterator[Problem]:
    if kinds := sorted(linked.kinds - _KINDS):
        yield Problem(
            NotMatchable.PACKAGE_KINDS, f"Trivy cannot read packages of type {', '.join(kinds)} back"
        )
    if linked.missing:
        yield Problem(
            NotMatchable.PACKAGES_UNKNOWN, f"{linked.missing} packages are not in the bill of materials"
        )
    if left_out.components or not HARMLESS.issuperset(left_out.fields):
        yield Problem(NotMatchable.LEFT_OUT, "the bill of materials is too large to be kept whole")
    if len(match_facts(linked).encode()) > MATCH_FACTS_BYTES:
        yield Problem(NotMatchable.LEFT_OUT, "too much would have to be kept with the bill of materials")
    if "dependencies" in sbom and (count := _loose_packages(sbom)):
        yield Problem(NotMatchable.PACKAGES_UNKNOWN, f"{count} packages depend on each other in a circle")


def _loose_packages(sbom: Sbom) -> int:
    """How many packages no dependency leads to, so that Trivy loses which file they are in."""
    components: list[dict[str, Any]] = sbom.get("components") or []
    dependencies: list[dict[str, Any]] = sbom.get("dependencies") or []
    root: dict[str, Any] = sbom.get("metadata", {}).get("component") or {}
    depends: dict[str, list[str]] = {one["ref"]: one.get("dependsOn", []) for one in dependencies}
    applications = [str(one["bom-ref"]) for one in components if one.get("type") == "application"]
    if not applications:
        return 0
    todo = [str(root.get("bom-ref", "")), *applications]
    reached = set(todo)
    while todo:
        new = [ref for ref in depends.get(todo.pop(), []) if ref not in reached]
        reached.update(new)
        todo += new
    return sum(
        not one["purl"].startswith(SYSTEM_URLS) and one["bom-ref"] not in reached
        for one in components
        if one.get("purl")
    )


def _of_filters(filters: Filters, linked: Linked, left_out: BomLeftOut) -> Iterator[Problem]:
    if filters.policy and (word := _ONLY_IN_A_SCAN.search(filters.policy)):
        yield Problem(
            NotMatchable.IGNORE_POLICY, f"trivy.ignorePolicy looks at {word[0]}, which a match has another of"
        )
    if linked.purls and filters.policy and _OF_URLS.search(filters.policy):
        yield Problem(
            NotMatchable.IGNORE_POLICY, "trivy.ignorePolicy looks at package URLs, and some are in other case"
        )
    if filters.policy and "layers" in left_out.fields and "Layer" in filters.policy:
        yield Problem(
            NotMatchable.IGNORE_POLICY, "trivy.ignorePolicy looks at layers, for which there was no room"
        )
    if linked.purls and "purls" in filters.ignore_file:
        yield Problem(
            NotMatchable.IGNORE_FILE, "trivy.ignoreFile names package URLs, and some are in other case"
        )
    if filters.config_file and (key := _changing_key(filters.config_file)):
        yield Problem(
            NotMatchable.CONFIG_FILE, f"trivy.configFile has {key}, which looks at more than packages"
        )


def _changing_key(config_file: str) -> str:
    """The key in a configuration file of Trivy that a match may take otherwise than a scan; "" for none."""
    try:
        document = yaml.safe_load(config_file)
    except yaml.YAMLError:
        return "an error"
    for path in _paths(document, ""):
        for key in _CHANGES_IN_CONFIG:
            if path == key or path.startswith(f"{key}."):
                return key
    return ""


def _paths(value: Any, path: str) -> Iterator[str]:
    if not isinstance(value, Mapping):
        if value not in (None, "", [], False):
            yield path
        return
    for key, inner in cast("Mapping[Any, Any]", value).items():
        yield from _paths(inner, f"{path}.{key}".lower().lstrip("."))


def _minor(release: str) -> str:
    return ".".join(release.removeprefix("v").split(".")[:2])
