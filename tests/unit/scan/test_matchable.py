"""Which bills of materials may be matched: what is not known to be right counts as wrong."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest

from trivyop.report.findings import BomLeftOut
from trivyop.scan.matchable import Filters, NotMatchable, find_problem, match_facts
from trivyop.scan.proof import Proof, read_proof
from trivyop.scan.scanfacts import ComponentFact, Linked, PackageFact, ScanFacts

LINE = '["pkg:deb/debian/a@1","CVE-1","a","1","2","HIGH","","os-pkgs"]\n'
NPM = PackageFact("node-pkg", "lang-pkgs", "JSONStream@1", "JSONStream", "pkg:npm/jsonstream@1", "a.json")


def facts(**more: object) -> ScanFacts:
    made = ScanFacts(**{"family": "debian", "os_name": "12.4", **more})  # type: ignore[arg-type]
    made.tally.add("CVE-1", "A", "1", "2", "HIGH", "", "os-pkgs")
    return made


def proof_of(text: str, ignored: set[str] | None = None) -> Proof:
    return read_proof(io.BytesIO(text.encode()), ignored or set())


def reason(
    found: ScanFacts,
    proof: Proof | None,
    *,
    left_out: BomLeftOut | None = None,
    filters: Filters | None = None,
    linked: Linked | None = None,
) -> NotMatchable | None:
    problem = find_problem(
        linked or Linked(found), {"components": []}, left_out or BomLeftOut(), proof, filters or Filters()
    )
    return problem.reason if problem else None


def test_equal_findings_prove_it_whatever_case_names_are_in() -> None:
    assert reason(facts(), proof_of(f"cache\ndone\n{LINE}")) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", NotMatchable.MATCH_FAILED),
        ("cache\n", NotMatchable.MATCH_FAILED),
        ("cache\nfailed\nFATAL no room\n", NotMatchable.MATCH_FAILED),
        (f"cache\ndone\n{LINE}not json\n", NotMatchable.MATCH_FAILED),
        (f"cache\ndone\n{LINE}[1]\n", NotMatchable.MATCH_FAILED),
        (f"cache\ndone\n{LINE}[]\n", NotMatchable.MATCH_FAILED),
        ("cache\ndone\n", NotMatchable.DIFFERS),
        (f"cache\ndone\n{LINE}{LINE}", NotMatchable.DIFFERS),
        (f"cache\ndone\n{LINE.replace('HIGH', 'LOW')}", NotMatchable.DIFFERS),
    ],
)
def test_what_is_no_proof_is_none(text: str, expected: NotMatchable) -> None:
    assert reason(facts(), proof_of(text)) is expected


def test_scan_without_a_proof_is_not_matched() -> None:
    assert reason(facts(), None) is NotMatchable.NO_PROOF


def test_findings_of_what_is_left_out_do_not_count() -> None:
    other = LINE.replace("pkg:deb/debian/a@1", "third-party")

    assert reason(facts(), proof_of(f"done\n{LINE}{other}", {"third-party"})) is None


@pytest.mark.parametrize(
    ("cache", "os_name", "expected"),
    [
        ("cache\n", "3.20.1", None),
        ('cache\n"Repository":{"Family":"alpine","Release":"3.20"}\n', "3.20.1", None),
        ('cache\n"Repository":{"Family":"alpine","Release":"edge"}\n', "edge", None),
        ("", "3.20.1", NotMatchable.PACKAGE_REPOSITORIES),
        (
            (
                'cache\n"Repository":{"Family":"alpine","Release":"3.20"}\n'
                '"Repository":{"Family":"alpine","Release":"edge"}\n'
            ),
            "3.20.1",
            NotMatchable.PACKAGE_REPOSITORIES,
        ),
        (
            'cache\n"Repository":{"Family":"alpine","Release":"3.2"}\n',
            "3.20.1",
            NotMatchable.PACKAGE_REPOSITORIES,
        ),
    ],
)
def test_alpine_has_to_be_known_to_be_of_one_release(
    cache: str, os_name: str, expected: NotMatchable | None
) -> None:
    found = facts(family="alpine", os_name=os_name)

    assert reason(found, proof_of(f"{cache}done\n{LINE}")) is expected


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (facts(extended=True), NotMatchable.EXTENDED_SUPPORT),
        (facts(supplier="rapidfort"), NotMatchable.REBUILT_PACKAGES),
    ],
)
def test_what_no_document_carries_counts_though_the_findings_are_equal(
    found: ScanFacts, expected: NotMatchable
) -> None:
    """Today's findings may be equal by accident."""
    assert reason(found, proof_of(f"done\n{LINE}")) is expected


@pytest.mark.parametrize(
    ("left_out", "expected"),
    [
        (BomLeftOut(fields=("licenses", "hashes", "layers")), None),
        (BomLeftOut(fields=("licenses", "dependencies")), NotMatchable.LEFT_OUT),
        (BomLeftOut(components=1), NotMatchable.LEFT_OUT),
    ],
)
def test_reduced_bill_of_materials(left_out: BomLeftOut, expected: NotMatchable | None) -> None:
    assert reason(facts(), proof_of(f"done\n{LINE}"), left_out=left_out) is expected


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ("severity: [HIGH]\nvulnerability: {ignore-unfixed: true}\n", None),
        ("vulnerability: {vex: [repo]}\n", NotMatchable.CONFIG_FILE),
        ("Vulnerability.VEX: oci\n", NotMatchable.CONFIG_FILE),
        ("vulnerability: {vex: []}\n", None),
        ("pkg: {relationships: [direct]}\n", NotMatchable.CONFIG_FILE),
        ("scan: {distro: alpine/3.20}\n", NotMatchable.CONFIG_FILE),
        ("ignorefile: /mine\n", NotMatchable.CONFIG_FILE),
        ("{", NotMatchable.CONFIG_FILE),
    ],
)
def test_configuration_file(config: str, expected: NotMatchable | None) -> None:
    filters = Filters(config_file=config)

    assert reason(facts(), proof_of(f"done\n{LINE}"), filters=filters) is expected


def test_package_that_stands_out_has_to_have_a_component() -> None:
    linked = Linked(facts())
    linked.facts.add_package(NPM)
    proof = proof_of(f"done\n{LINE}")

    assert reason(linked.facts, proof, linked=linked) is NotMatchable.PACKAGES_UNKNOWN

    properties = [
        ("aquasecurity:trivy:PkgID", NPM.id),
        ("aquasecurity:trivy:PkgType", NPM.type),
        ("aquasecurity:trivy:FilePath", NPM.path),
    ]
    linked.add(ComponentFact("ref", "raw", "jsonstream", NPM.purl, properties))

    assert reason(linked.facts, proof, linked=linked) is None
    assert match_facts(linked).names == {"ref": "JSONStream"}


def test_package_url_that_trivy_does_not_read_back() -> None:
    linked = Linked(facts())
    linked.add(ComponentFact("ref", "raw", "JSON", "pkg:julia/JSON@1"))

    assert reason(linked.facts, proof_of(f"done\n{LINE}"), linked=linked) is NotMatchable.PACKAGE_KINDS


def test_third_party_packages_beside_rebuilt_ones() -> None:
    """Trivy takes other advisories then, and keeps what it leaves out elsewhere."""
    linked = Linked(facts())
    third = PackageFact(
        "debian", "os-pkgs", "nginx@1", "nginx", "pkg:deb/debian/nginx@1", repository="third-party"
    )
    linked.facts.add_package(third)
    linked.facts.add_package(replace(third, id="seal-a@1", name="seal-a", repository=""))

    assert reason(linked.facts, proof_of(f"done\n{LINE}"), linked=linked) is NotMatchable.REBUILT_PACKAGES
