"""The documentation says what the code says."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tools.docs.log_events import MEANINGS, find_events
from tools.docs.reference import build_failures_table, build_metrics_table, build_pages
from trivyop.report import keys
from trivyop.trivy.failures import FailureClass

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]


@pytest.mark.parametrize("page", ["settings.md", "metrics.md", "logs.md", "troubleshooting.md"])
def test_generated_tables_are_up_to_date(page: str) -> None:
    """Write them anew with ``make docs``."""
    assert (DOCS / page).read_text() == build_pages()[DOCS / page]


def test_every_class_of_failure_is_explained() -> None:
    table = build_failures_table()

    assert [line.split("`")[1] for line in table.splitlines()[2:]] == [one.value for one in FailureClass]


def test_metrics_have_their_labels_and_a_meaning() -> None:
    table = build_metrics_table()
    rows = [line.strip("|").split("|") for line in table.splitlines() if line.startswith("| `")]

    assert len(rows) > 20
    assert all(meaning.strip() for *_, meaning in rows)
    assert "| `trivyop_scan_failures_total` | counter | `class` | " in table
    assert "| `trivyop_scans` | gauge | `phase` | " in table
    assert "| `trivyop_api_requests_total` | counter | `verb`, `resource`, `code` | " in table


def test_every_log_event_has_a_meaning_and_no_meaning_is_left_over() -> None:
    """Meanings are in `tools/docs/log_events.py`."""
    assert {event.name for event in find_events()} == MEANINGS.keys()


def test_page_without_its_markers_is_an_error(tmp_path: Path) -> None:
    for page in DOCS.glob("*.md"):
        (tmp_path / page.name).write_text(page.read_text().replace("<!-- end of metrics -->", ""))

    with pytest.raises(ValueError, match=r"metrics\.md has the markers .* 0 times"):
        build_pages(tmp_path)


def test_every_annotation_of_ours_is_documented() -> None:
    documented = set(re.findall(r"^\| `(trivyop\.dev/[a-z-]+)`", (DOCS / "reports.md").read_text(), re.M))

    assert documented == {value for value in vars(keys).values() if str(value).startswith("trivyop.dev/")}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target, _, anchor in re.findall(r"\]\((?!https?:)([^)#]*)(#?)([^)]*)\)", page.read_text()):
        linked = (page.parent / target) if target else page
        assert linked.exists(), f"{page.name} links to {target}"
        headings = re.findall(r"^#+ (.+)$", linked.read_text(), re.M) if anchor else []
        assert not anchor or anchor in {heading.lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_settings_that_pages_name_exist(page: Path) -> None:
    known = (DOCS / "settings.md").read_text()

    text = page.read_text()
    for name in re.findall(r"\bOPERATOR_[A-Z_]+[A-Z]", text):
        assert f"`{name}`" in known, f"{page.name} names {name}"
    for name in re.findall(r"`((?:trivy|scanJob)\.[a-zA-Z.-]+[a-z])", text):
        assert f"`{name}" in known, f"{page.name} names {name}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_metrics_that_pages_name_exist(page: Path) -> None:
    known = (DOCS / "metrics.md").read_text()

    for name in re.findall(r"\btrivyop_[a-z_]+[a-z]\b", page.read_text()):
        assert f"| `{name}` |" in known, f"{page.name} names {name}"


@pytest.mark.parametrize(
    ("walk", "most"),
    [
        ("From a pod event to a scan Job", 12),
        ("From a result to reports, metrics and webhooks", 10),
        ("From a setting to its use", 6),
    ],
)
def test_each_stop_of_a_walk_through_the_code_exists(walk: str, most: int) -> None:
    """A stop that has moved or is called otherwise has to move on the page, too."""
    section = re.split(r"^##+ ", (DOCS / "development.md").read_text().split(f"### {walk}\n")[1], flags=re.M)[
        0
    ]
    stops = re.findall(r"^\| `([\w/]+\.py): ([\w.]+)` \|", section, re.M)

    assert 0 < len(stops) == section.count("\n| `") <= most
    for path, name in stops:
        assert name in _definitions(ast.parse((ROOT / "trivyop" / path).read_text())), f"{path} has no {name}"


def _definitions(tree: ast.Module | ast.ClassDef, prefix: str = "") -> set[str]:
    """The functions and classes of a module, with the methods of each class."""
    found = set[str]()
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            found |= {prefix + node.name, *_definitions(node, f"{prefix}{node.name}.")}
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(prefix + node.name)
    return found
