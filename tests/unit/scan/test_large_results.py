"""Results too large for memory: read piece by piece, they say what they would say read at once."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from trivyop.report.findings import Findings, Severity
from trivyop.scan import cyclonedx, splitting, trivy_json
from trivyop.scan.cyclonedx import read_bom
from trivyop.scan.splitting import SplitError, split
from trivyop.scan.trivy_json import ExpectedImage, parse_findings, read_findings
from trivyop.trivy.failures import FailureClass, ParseError, WrongImageError

T = TypeVar("T")

GOLDEN = Path(__file__).parents[2] / "data" / "golden"
RESULTS = sorted((GOLDEN / "trivy").glob("*.json"))
BUDGET = 900 * 1024


class Dribble(io.BytesIO):
    """A file that gives a few bytes at a time."""

    def __init__(self, data: bytes, at_once: int) -> None:
        super().__init__(data)
        self.at_once = at_once

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(min(size or 0, self.at_once) if size != -1 else -1)


@contextmanager
def piece_by_piece() -> Iterator[None]:
    """Within it, nothing is small enough to be read at once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trivy_json, "WHOLE_BYTES", -1)
        patch.setattr(cyclonedx, "WHOLE_BYTES", -1)
        yield


def outcome(read: Callable[[], T]) -> T | type[ParseError]:
    try:
        return read()
    except ParseError as error:
        return type(error)


def both_ways(data: bytes, at_once: int, budget_bytes: int | None) -> tuple[Any, Any]:
    def read(file: io.BytesIO) -> Findings:
        return read_findings(file, budget_bytes=budget_bytes)

    at_once_read = outcome(lambda: read(io.BytesIO(data)))
    with piece_by_piece():
        return at_once_read, outcome(lambda: read(Dribble(data, at_once)))


# taking documents apart

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=25,
)
PATTERNS = st.lists(st.sampled_from(["a", "b", None]), max_size=4).map(tuple)
AT_ONCE = st.integers(1, 40)


def put_back(value: Any, elements: dict[tuple[Any, ...], list[Any]], path: tuple[Any, ...]) -> Any:
    if path in elements:
        assert value == []
        return elements[path]
    if isinstance(value, dict):
        return {key: put_back(inner, elements, (*path, key)) for key, inner in value.items()}
    if isinstance(value, list):
        return [put_back(inner, elements, (*path, index)) for index, inner in enumerate(value)]
    return value


@given(JSON, PATTERNS, AT_ONCE, st.sampled_from([None, 1]))
def test_pieces_and_rest_are_the_whole_document(
    document: Any, pattern: tuple[str | None, ...], at_once: int, indent: int | None
) -> None:
    elements: dict[tuple[Any, ...], list[Any]] = {}
    text = json.dumps(document, indent=indent, ensure_ascii=False, default=str)
    assume("\\ud" not in json.dumps(document))  # no character is cut in two

    rest = split(
        Dribble(text.encode(), at_once),
        pattern,
        lambda path, piece: elements.setdefault(path, []).append(json.loads(piece)),
    )

    assert put_back(json.loads(rest), elements, ()) == document
    assert all(len(path) == len(pattern) for path in elements)


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "[", "[1", "[1,", "[1,]", "[,1]", "[1 2]", "[1}", "[1] 2", "nul", '"', "[[1]"),
        *('{"a"', '{"a":', '{"a":1', '{"a":1,}', "{1:2}", "{a:1}", '{"a" 1}', '{"a":1 "b":2}', "\ufeff[]"),
        *('{"a":[{]}', '{"a":[1,{"b":]}', "[" * 100_000, '{"a":[' + "[" * 100_000),
    ],
)
@pytest.mark.parametrize("pattern", [(), (None,)])
def test_what_is_no_document_is_not_taken_apart(text: str, pattern: tuple[None, ...]) -> None:
    with pytest.raises(SplitError):
        split(io.BytesIO(text.encode()), pattern, lambda _path, _piece: None)


def test_array_that_comes_twice_is_refused() -> None:
    """Decoders take the last of two; here, both would be handed out."""
    with pytest.raises(SplitError, match='"a" as a key'):
        split(io.BytesIO(b'{"a":[1],"a":[2]}'), ("a",), lambda _path, _piece: None)


def test_text_that_is_no_text_is_told() -> None:
    with pytest.raises(SplitError, match="utf-8"):
        split(io.BytesIO(b'["\xff\xfe"]'), (), lambda _path, _piece: None)


@pytest.mark.parametrize("document", ['["?"]', '{"a": "?"}'])
def test_value_beyond_all_measure_is_refused(document: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory must not depend on what a scanned image makes Trivy say."""
    monkeypatch.setattr(splitting, "MAX_PIECE", 1_000)
    file = Dribble(document.replace("?", "x" * 5_000).encode(), 100)

    with pytest.raises(SplitError, match="more than 1000 characters"):
        split(file, (), lambda _path, _piece: None)
    assert file.tell() < 2_500


# Trivy's reports


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_recorded_results_read_the_same_both_ways(path: Path) -> None:
    whole, pieces = both_ways(path.read_bytes(), 1_000, BUDGET)

    assert pieces == whole
    assert whole == parse_findings(path.read_bytes())


TEXTS = st.text(max_size=12)
FINDINGS = st.fixed_dictionaries(
    {"VulnerabilityID": st.sampled_from(["CVE-1", "CVE-2", "CVE-3"])},
    optional={
        "PkgName": TEXTS,
        "PkgIdentifier": st.fixed_dictionaries({}, optional={"PURL": TEXTS}),
        "FixedVersion": st.sampled_from(["", "2"]),
        "Severity": st.sampled_from([*Severity, "bad"]),
        "VendorSeverity": st.dictionaries(st.sampled_from(["nvd", "ghsa"]), st.integers(-1, 6)),
        "SeveritySource": st.sampled_from(["nvd", "ghsa"]),
        "CVSS": st.dictionaries(
            st.sampled_from(["nvd", "ghsa"]),
            st.fixed_dictionaries({}, optional={"V3Score": st.floats(0, 10), "V3Vector": TEXTS}),
        ),
        "Title": st.text(max_size=200),
        "Description": st.text(max_size=200),
        "References": st.none() | st.lists(TEXTS, max_size=3),
        "PublishedDate": st.sampled_from([None, "2023-10-25T18:17:43.613Z", "never"]),
        "Layer": st.just({"DiffID": "sha256:1"}),
    },
)
SECRETS = st.fixed_dictionaries(
    {"RuleID": TEXTS}, optional={"Severity": st.sampled_from(Severity), "Match": st.text(max_size=200)}
)
LISTS = {
    "Vulnerabilities": st.none() | st.lists(FINDINGS, max_size=6),
    "Secrets": st.none() | st.lists(SECRETS, max_size=4),
    "Packages": st.none() | st.lists(st.just({"ID": "a@1"}), max_size=2),
    "Misconfigurations": st.lists(st.just({"ID": "DS-1"}), max_size=2),
    "Target": TEXTS,
    "Class": TEXTS,
    "Type": TEXTS,
}


@st.composite
def results(draw: st.DrawFn) -> dict[str, Any]:
    """One entry of a report's ``Results``, its fields in any order."""
    fields = draw(st.lists(st.sampled_from(sorted(LISTS)), unique=True))
    return {field: draw(LISTS[field]) for field in fields}


REPORTS = st.fixed_dictionaries(
    {
        "SchemaVersion": st.just(2),
        "ArtifactName": st.just("web:1"),
        "Results": st.lists(results(), max_size=4),
    },
    optional={
        "Metadata": st.just({"OS": {"Family": "debian", "Name": "12"}}),
        "Trivy": st.just({"Version": "1"}),
    },
)


@given(REPORTS, AT_ONCE, st.none() | st.integers(1, 3_000))
def test_report_reads_the_same_both_ways(
    report: dict[str, Any], at_once: int, budget_bytes: int | None
) -> None:
    whole, pieces = both_ways(json.dumps(report, indent=1).encode(), at_once, budget_bytes)

    assert pieces == whole
    assert isinstance(whole, Findings)


FIELDS = ["SchemaVersion", "ArtifactName", "Results", "Target", "Vulnerabilities", "Packages", "Secrets"]


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(FIELDS), inner),
    ),
    AT_ONCE,
)
def test_anything_else_is_refused_both_ways(results: Any, at_once: int) -> None:
    data = json.dumps({"SchemaVersion": 2, "ArtifactName": "a", "Results": results}).encode()

    whole, pieces = both_ways(data, at_once, BUDGET)

    assert pieces == whole


SMALL = min(RESULTS, key=lambda path: path.stat().st_size).read_bytes().rstrip()


@given(st.integers(0, len(SMALL) - 1))
def test_cut_report_is_never_read(end: int) -> None:
    with piece_by_piece(), pytest.raises(ParseError) as caught:
        read_findings(Dribble(SMALL[:end], 500), budget_bytes=BUDGET)
    assert caught.value.failure.failure_class is FailureClass.PARSE


def test_report_of_another_image_is_refused_before_its_findings_are_read() -> None:
    report = {"SchemaVersion": 2, "ArtifactName": "web:2", "Results": [{"Vulnerabilities": [{"no": "id"}]}]}

    with piece_by_piece(), pytest.raises(WrongImageError):
        read_findings(io.BytesIO(json.dumps(report).encode()), ExpectedImage("web:1"), budget_bytes=BUDGET)


def large_report(count: int) -> bytes:
    """A report larger than what is read at once."""
    found = [
        {
            "VulnerabilityID": f"CVE-{number}",
            "PkgName": "openssl",
            "Severity": list(Severity)[number % 5],
            "Description": "x" * 1_000,
        }
        for number in range(count)
    ]
    return json.dumps(
        {
            "SchemaVersion": 2,
            "ArtifactName": "web:1",
            "Results": [
                {"Target": "os", "Packages": [{"ID": "a"}], "Vulnerabilities": found},
                {"Target": "/key", "Secrets": [{"RuleID": "r", "Severity": "HIGH"}] * 3},
            ],
        }
    ).encode()


def test_large_report_is_counted_in_full_and_kept_in_part() -> None:
    data = large_report(10_000)
    assert len(data) > splitting.WHOLE_BYTES

    findings = read_findings(io.BytesIO(data), budget_bytes=100_000)

    kept = Counter(one.severity for one in findings.vulnerabilities)
    assert kept + Counter(findings.vulnerabilities_left_out.counts) == dict.fromkeys(Severity, 2_000)
    assert set(kept) == {Severity.CRITICAL}
    assert 300 < kept.total() < 100_000 / 165
    assert findings.vulnerabilities_left_out.texts == ("descriptions",)
    assert len(findings.secrets) == 3
    assert findings.has_packages


@pytest.mark.parametrize("end", [-1, -2, -100, -4_000_000])
def test_large_report_that_is_cut_is_refused(end: int) -> None:
    with pytest.raises(ParseError, match="within the first"):
        read_findings(io.BytesIO(large_report(10_000)[:end]), budget_bytes=BUDGET)


# bills of materials

IDS = st.sampled_from(
    ["", "pkg:npm/a@1", "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"]
)
COMPONENTS = st.fixed_dictionaries(
    {"bom-ref": IDS, "type": st.sampled_from(["library", "operating-system"])},
    optional={
        "name": TEXTS,
        "version": TEXTS,
        "licenses": st.lists(st.just({"license": {"name": "MIT"}}), max_size=2),
        "properties": st.lists(st.fixed_dictionaries({"name": TEXTS, "value": TEXTS}), max_size=3),
    },
)
BOMS = st.fixed_dictionaries(
    {"bomFormat": st.just("CycloneDX"), "specVersion": st.just("1.6")},
    optional={
        "dependencies": st.lists(
            st.fixed_dictionaries({"ref": IDS, "dependsOn": st.lists(IDS, max_size=2)}), max_size=4
        ),
        "components": st.lists(COMPONENTS, max_size=8),
        "metadata": st.fixed_dictionaries({"component": COMPONENTS}),
        "vulnerabilities": st.just([{"id": "CVE-1"}]),
    },
)


@given(BOMS, AT_ONCE, st.none() | st.integers(1, 2_000))
def test_bill_of_materials_reads_the_same_both_ways(
    document: dict[str, Any], at_once: int, budget_bytes: int | None
) -> None:
    data = json.dumps(document).encode()

    whole = read_bom(io.BytesIO(data), scanner_version="1", budget_bytes=budget_bytes)
    with piece_by_piece():
        pieces = read_bom(Dribble(data, at_once), scanner_version="1", budget_bytes=budget_bytes)

    assert pieces == whole


SMALL_BOM = json.dumps(
    {"bomFormat": "CycloneDX", "specVersion": "1.6", "components": [{"name": "a"}]}
).encode()


@given(st.integers(0, len(SMALL_BOM) - 1))
def test_cut_bill_of_materials_is_never_read(end: int) -> None:
    with piece_by_piece(), pytest.raises(ParseError, match="bill of materials"):
        read_bom(Dribble(SMALL_BOM[:end], 20), scanner_version="1", budget_bytes=BUDGET)
