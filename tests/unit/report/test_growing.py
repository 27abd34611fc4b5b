"""A bill of materials that is reduced while it grows ends as one that is reduced at the end."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.report.samples import COMPONENTS, DIGEST, NOON, SBOM, TEXTS, workload
from trivyop.report import keys
from trivyop.report.budget import Omitted, size_of, usable_for_matching
from trivyop.report.growing import GrowingBom
from trivyop.report.options import ReportOptions
from trivyop.report.sbom import build_cluster_sbom_report, build_sbom_report
from trivyop.workload.images import ImageKey

WEB = workload()
(NGINX,) = WEB.containers
ROOT = {
    "bom-ref": "root",
    "type": "container",
    "name": "nginx:1.25",
    "supplier": {"name": "x"},
    "properties": [{"name": "aquasecurity:trivy:ImageID", "value": DIGEST}],
}
DEPENDENCIES = st.fixed_dictionaries({"ref": TEXTS, "dependsOn": st.lists(TEXTS, max_size=3)})


def grown(
    components: list[dict[str, Any]], dependencies: list[dict[str, Any]], budget_bytes: int | None
) -> GrowingBom:
    bom = GrowingBom(budget_bytes)
    for component in deepcopy(components):
        bom.add_component(component)
    for dependency in dependencies:
        bom.add_dependency(dependency)
    return bom


def report_of(bom: GrowingBom, budget_bytes: int) -> dict[str, Any]:
    root = deepcopy(ROOT)
    components, dependencies, left_out = bom.result(root)
    document: dict[str, Any] = {"metadata": {"component": root}, "components": components}
    if bom.has_dependencies:
        document["dependencies"] = dependencies
    return build_sbom_report(
        WEB,
        NGINX,
        document,
        ReportOptions(budget_bytes=budget_bytes),
        scanner_version="1",
        left_out=left_out,
        now=NOON,
    )


@given(
    st.lists(COMPONENTS, max_size=8),
    st.lists(DEPENDENCIES, max_size=8),
    st.integers(1, 30),
    st.integers(6_000, 40_000),
)
def test_report_does_not_show_when_it_was_reduced(
    components: list[dict[str, Any]], dependencies: list[dict[str, Any]], times: int, budget_bytes: int
) -> None:
    many = [{**one, "bom-ref": f"{one['bom-ref']}/{n}"} for n in range(times) for one in components]
    related = [{**one, "ref": f"{one['ref']}/{n}"} for n in range(times) for one in dependencies]

    at_the_end, on_the_way = (
        report_of(grown(many, related, limit), budget_bytes) for limit in (None, budget_bytes)
    )

    assert on_the_way == at_the_end


def test_bill_of_materials_that_never_fits_is_not_built() -> None:
    """What is held at any time is two reports' worth, and the counts are of everything."""
    budget = 50_000
    library = SBOM["components"][1]
    bom = GrowingBom(budget)
    held: list[int] = []
    for number in range(3_000):
        bom.add_component({**library, "bom-ref": f"ref-{number:05}", "properties": [{"name": "x" * 200}]})
        bom.add_dependency({"ref": f"ref-{number:05}", "dependsOn": ["root"]})
        held.append(size_of(bom._body))

    components, dependencies, left_out = bom.result(None)
    report = report_of(bom, budget)

    assert max(held) <= 2 * budget + 5_000
    assert (len(components) + left_out.components, dependencies) == (3_000, [])
    assert left_out.dependencies == 3_000
    assert report["report"]["summary"] == {"componentsCount": 3_001, "dependenciesCount": 3_000}
    annotations = report["metadata"]["annotations"]
    assert Omitted.of(annotations) == Omitted(
        ("licenses", "hashes", "suppliers", "dependencies", "properties"),
        3_000 - len(report["report"]["components"]["components"]),
    )
    assert not usable_for_matching({**annotations, keys.MATCHABLE: keys.MATCHABLE_VALUE})
    assert 45_000 < size_of(report) <= budget


def test_reduced_bill_of_materials_of_an_image_says_that_it_is() -> None:
    library = SBOM["components"][1]
    bom = grown([{**library, "bom-ref": f"ref-{number}"} for number in range(1_000)], [], 20_000)
    components, _, left_out = bom.result(None)

    report = build_cluster_sbom_report(
        ImageKey(DIGEST, None),
        NGINX,
        {"components": components},
        ReportOptions(budget_bytes=20_000),
        scanner_version="1",
        left_out=left_out,
        matchable=True,
        now=NOON,
    )

    annotations = report["metadata"]["annotations"]
    kept = len(report["report"]["components"]["components"])
    assert Omitted.of(annotations).findings == 1_000 - kept
    assert not usable_for_matching(annotations)
    assert report["report"]["summary"]["componentsCount"] == 1_001


def test_component_too_big_for_any_report_costs_only_itself() -> None:
    library = SBOM["components"][1]
    bom = grown([{**library, "bom-ref": "big", "version": "1" * 100_000}, library, library], [], 10_000)

    components, _, left_out = bom.result(None)

    assert [one["bom-ref"] for one in components] == [library["bom-ref"]] * 2
    assert left_out.components == 1
