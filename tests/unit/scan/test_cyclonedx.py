"""Bills of materials, reduced."""

from __future__ import annotations

import copy
import json
import random
from pathlib import Path
from typing import Any

import pytest

from trivyop.scan.cyclonedx import has_packages, parse_bom
from trivyop.trivy.failures import ParseError

REPORTS = Path(__file__).parents[2] / "data" / "golden" / "reports" / "sbomreports"
OS_REF = "e03d0bf4-464f-4441-9933-ac7cac05066a"
ROOT_REF = "0b8c3c2e-14a5-4bd5-a2a8-cc4ab4ba1e6f"


def document() -> dict[str, Any]:
    """What Trivy prints, cut down; fields that reports do not hold are marked ``dropped``."""
    return {
        "$schema": "dropped",
        "bomFormat": "CycloneDX",
        "specVersion": "1.7",
        "serialNumber": "urn:uuid:9006346d-4586-45b2-841f-cb1aac01cff1",
        "version": 1,
        "metadata": {
            "timestamp": "2026-11-23T14:43:23+00:00",
            "tools": {
                "components": [{"type": "application", "manufacturer": {"name": "dropped"}, "name": "trivy"}]
            },
            "component": {
                "bom-ref": ROOT_REF,
                "type": "container",
                "name": "shop/web:1.0",
                "properties": [
                    {"name": "aquasecurity:trivy:SchemaVersion", "value": "2"},
                    {"name": "aquasecurity:trivy:ImageID", "value": "sha256:1"},
                ],
            },
        },
        "components": [
            {
                "bom-ref": "pkg:deb/debian/zlib1g@1",
                "type": "library",
                "supplier": {"name": "x <x@y>"},
                "name": "zlib1g",
                "version": "1",
                "purl": "pkg:deb/debian/zlib1g@1",
                "licenses": [
                    {"license": {"id": "Zlib", "text": {"content": "dropped"}}},
                    {"expression": "MIT AND X"},
                ],
                "hashes": [{"alg": "SHA-1", "content": "ab"}],
                "copyright": "dropped",
            },
            {"bom-ref": OS_REF, "type": "operating-system", "name": "debian", "version": "12.4"},
        ],
        "dependencies": [
            {"ref": ROOT_REF, "dependsOn": [OS_REF]},
            {"ref": OS_REF, "dependsOn": ["pkg:deb/debian/zlib1g@1"]},
            {"ref": "pkg:deb/debian/zlib1g@1", "dependsOn": []},
        ],
        "vulnerabilities": [{"id": "dropped"}],
    }


def parsed(value: dict[str, Any]) -> dict[str, Any]:
    return parse_bom(json.dumps(value).encode(), scanner_version="0.76.0")


def test_only_what_reports_hold_is_kept() -> None:
    sbom = parsed(document())

    assert "dropped" not in json.dumps(sbom)
    assert list(sbom) == [
        "bomFormat",
        "specVersion",
        "serialNumber",
        "version",
        "metadata",
        "components",
        "dependencies",
    ]
    assert sbom["metadata"]["tools"]["components"] == [
        {"type": "application", "group": "aquasecurity", "name": "trivy", "version": "0.76.0"}
    ]
    zlib = next(component for component in sbom["components"] if component["name"] == "zlib1g")
    assert zlib == {
        "bom-ref": "pkg:deb/debian/zlib1g@1",
        "type": "library",
        "name": "zlib1g",
        "version": "1",
        "purl": "pkg:deb/debian/zlib1g@1",
        "supplier": {"name": "x <x@y>"},
        "hashes": [{"alg": "SHA-1", "content": "ab"}],
        "licenses": [{"license": {"id": "Zlib"}}, {"expression": "MIT AND X"}],
    }


def test_every_reference_resolves() -> None:
    sbom = parsed(document())

    refs = {component["bom-ref"] for component in sbom["components"]} | {
        sbom["metadata"]["component"]["bom-ref"]
    }
    assert {one["ref"] for one in sbom["dependencies"]} == refs
    assert {ref for one in sbom["dependencies"] for ref in one["dependsOn"]} <= refs
    assert refs.isdisjoint({OS_REF, ROOT_REF})


def test_random_identifiers_and_order_do_not_show() -> None:
    """Two scans of one image give one bill of materials, so nothing is written again."""
    text = json.dumps(document())
    text = text.replace(OS_REF, "11111111-1111-4111-8111-111111111111").replace("9006346d", "00000000")
    other = json.loads(text.replace(ROOT_REF, "22222222-2222-4222-8222-222222222222"))
    for name in ("components", "dependencies"):
        random.Random(2).shuffle(other[name])
        other[name].reverse()

    assert parsed(other) == parsed(document())


def test_equal_components_stay_two() -> None:
    value = document()
    twin = copy.deepcopy(value["components"][1]) | {"bom-ref": "33333333-3333-4333-8333-333333333333"}
    value["components"].append(twin)

    refs = [component["bom-ref"] for component in parsed(value)["components"]]
    assert len(refs) == len(set(refs)) == 3


def test_other_content_has_another_serial_number() -> None:
    changed = document()
    changed["components"][0]["version"] = "2"

    assert parsed(changed)["serialNumber"] != parsed(document())["serialNumber"]


def test_reducing_again_changes_nothing() -> None:
    sbom = parsed(document())

    assert parse_bom(json.dumps(sbom).encode(), scanner_version="0.76.0") == sbom


@pytest.mark.parametrize("path", sorted(REPORTS.glob("*.json")), ids=lambda path: path.stem)
def test_reports_of_the_go_operator_keep_all_their_fields(path: Path) -> None:
    """Their bills of materials are already reduced; ours drops nothing of them and adds nothing."""
    theirs = json.loads(path.read_text())["report"]["components"]
    ours = parse_bom(json.dumps(theirs).encode(), scanner_version="0.72.0")

    without = {"bom-ref"}
    assert ours["metadata"]["tools"] == theirs["metadata"]["tools"]
    assert sorted(map(str, (strip(one, without) for one in ours["components"]))) == sorted(
        map(str, (strip(one, without) for one in theirs["components"]))
    )
    assert len(ours["dependencies"]) == len(theirs["dependencies"])


def strip(component: dict[str, Any], names: set[str]) -> list[tuple[str, Any]]:
    return sorted((key, value) for key, value in component.items() if key not in names)


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b"{}", b"no", b'{"bomFormat": "SPDX", "specVersion": "1"}', b'{"bomFormat": "CycloneDX"}'],
)
def test_what_is_no_bill_of_materials_is_told(data: bytes) -> None:
    with pytest.raises(ParseError, match="bill of materials"):
        parse_bom(data, scanner_version="0.76.0")


def test_image_from_scratch_has_nothing_to_match() -> None:
    empty = document()
    del empty["components"], empty["dependencies"]

    sbom = parsed(empty)

    assert has_packages(parsed(document()))
    assert not has_packages(sbom)
    assert sbom["components"] == []
