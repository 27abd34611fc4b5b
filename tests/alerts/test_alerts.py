"""Dashboard and alerts: rules fire as they should, ask only for metrics there are, and say what to do."""

from __future__ import annotations

import json
import re
import shutil
from functools import cache
from pathlib import Path

import pytest
import yaml

from tests.alerts.definitions import (
    COMPONENTS,
    DASHBOARD,
    RULES,
    Json,
    alerts,
    filled_in,
    groups,
    queries,
    rules,
)
from tests.e2e.programs import ROOT, run
from tests.e2e.prometheus import needs_promtool, promtool
from tools.docs.reference import build_metrics_table
from trivyop.report.kinds import all_families
from trivyop.sandbox.programs import kubectl

_METRIC = re.compile(r"(?:\b[a-z_]+:)?\btrivy(?:op)?_\w+(?::\w+)?")  # recorded ones have colons
_QUOTED = re.compile(r"`(\w+)`")
_SUFFIX = re.compile(r"_(bucket|sum|count)$")
# Of the Prometheus client, about the process; not in our reference.
_OF_THE_CLIENT = {"process_resident_memory_bytes", "process_cpu_seconds_total"}
_OF_PROMETHEUS = {"instance", "job", "le"}


@cache
def metrics() -> dict[str, frozenset[str]]:
    """Every metric of our reference with its labels, and what rules record."""
    rows = [line.split(" | ") for line in build_metrics_table().splitlines() if line.startswith("| `")]
    found = {name: frozenset(_QUOTED.findall(labels)) for row in rows for name, labels in [_cells(row)]}
    found |= {family.name: frozenset(family.labels) for family in all_families()}
    for rule in rules():
        if "record" in rule:
            found[rule["record"]] = labels_in(rule["expr"])
    return found


def _cells(row: list[str]) -> tuple[str, str]:
    return row[0].strip("| `"), row[2]


def asked_for(query: str) -> set[str]:
    """The metrics of a query, by the names that the reference has."""
    names = _METRIC.findall(query)
    return {short if (short := _SUFFIX.sub("", name)) in metrics() else name for name in names}


def labels_in(query: str) -> frozenset[str]:
    """Every label that a query selects or groups by."""
    grouped = re.findall(r"\b(?:by|on|without|ignoring) \(([^)]*)\)", query)
    selected = re.findall(r"(\w+)(?:=~|!~|!=|=)\"", query)
    return frozenset(selected) | {
        label.strip() for group in grouped for label in group.split(",") if label.strip()
    }


def write_rules(directory: Path, content: object) -> Path:
    path = directory / "rules.yaml"
    path.write_text(yaml.safe_dump({"groups": content}))
    return path


@needs_promtool
async def test_rules_are_what_prometheus_takes(tmp_path: Path) -> None:
    path = write_rules(tmp_path, groups())

    checked = await promtool("check", "rules", path)

    assert checked.code == 0, checked.out + checked.err


@needs_promtool
async def test_alerts_fire_when_they_should_and_only_then(tmp_path: Path) -> None:
    silent = groups()
    for group in silent:
        for rule in group["rules"]:
            rule.pop("annotations", None)
    write_rules(tmp_path, silent)
    shutil.copy(Path(__file__).parent / "rules_test.yaml", tmp_path)

    tested = await promtool("test", "rules", tmp_path / "rules_test.yaml")

    assert tested.code == 0, tested.out + tested.err


def test_every_alert_is_tested_to_fire_and_not_to_fire() -> None:
    cases = yaml.safe_load((Path(__file__).parent / "rules_test.yaml").read_text())["tests"]
    tested = [
        (one["alertname"], bool(one["exp_alerts"])) for case in cases for one in case["alert_rule_test"]
    ]

    assert set(tested) == {(rule["alert"], fires) for rule in alerts() for fires in (True, False)}


@needs_promtool
async def test_queries_of_the_dashboard_parse(tmp_path: Path) -> None:
    """As rules that record them, because promtool checks those."""
    recorded = [
        {"record": f"query_{number}", "expr": filled_in(query)} for number, (_, query) in enumerate(queries())
    ]
    path = write_rules(tmp_path, [{"name": "dashboard", "rules": recorded}])

    checked = await promtool("check", "rules", path)

    assert checked.code == 0, checked.out + checked.err


def test_every_metric_that_is_asked_for_is_in_the_reference() -> None:
    asked = [(rule.get("alert", "recorded"), rule["expr"]) for rule in rules()]
    found = {(name, where) for where, query in [*asked, *queries()] for name in asked_for(query)}

    assert {(name, where) for name, where in found if name not in metrics()} == set()
    assert len(found) > 50


@pytest.mark.parametrize(
    "query", sorted({*(query for _, query in queries()), *(rule["expr"] for rule in rules())})
)
def test_every_label_that_is_asked_for_is_one_of_those_metrics(query: str) -> None:
    there = {label for name in asked_for(query) for label in metrics().get(name, ())}

    assert labels_in(query) <= there | _OF_PROMETHEUS


def test_texts_speak_only_of_labels_that_are_left() -> None:
    for rule in alerts():
        spoken = set(re.findall(r"\$labels\.(\w+)", " ".join(rule["annotations"].values())))
        recorded = {label for name in asked_for(rule["expr"]) if ":" in name for label in metrics()[name]}
        assert spoken <= labels_in(rule["expr"]) | recorded, rule["alert"]
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            spoken = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
            assert spoken <= labels_in(target["expr"]) | _OF_PROMETHEUS, panel["title"]


def test_panels_ask_for_no_metrics_but_ours_and_those_of_the_process() -> None:
    for _, query in queries():
        names = set(re.findall(r"\b[a-z]+(?:_[a-z]+){2,}\b(?=[{\[ )]|$)", query))
        strange = {name for name in names if not name.startswith("trivy")}
        assert strange <= _OF_THE_CLIENT


@pytest.mark.parametrize("alert", alerts(), ids=lambda rule: rule["alert"])
def test_alert_says_what_it_means_and_where_to_read_what_to_do(alert: Json) -> None:
    page, _, anchor = alert["annotations"]["runbook"].partition("#")
    text = (ROOT / page).read_text()
    section = re.search(rf"^### {alert['alert']}\n(.*?)(?=^##|\Z)", text, re.MULTILINE | re.DOTALL)

    assert alert["labels"]["severity"] in ("warning", "critical")
    assert alert["annotations"]["summary"]
    assert alert["annotations"]["description"]
    assert anchor == alert["alert"].lower()
    assert section is not None
    assert "**What it means.**" in section[1]
    assert "**What to do.**" in section[1]


def test_page_describes_no_alert_that_is_not_there() -> None:
    described = re.findall(r"^### (\w+)$", (ROOT / "docs/alerts.md").read_text(), re.MULTILINE)

    assert described == [rule["alert"] for rule in alerts()]


def test_panels_do_not_overlap_and_say_what_they_show() -> None:
    taken: set[tuple[int, int]] = set()
    panels = DASHBOARD["panels"]
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken
        assert all(0 <= x < 24 for x, _ in cells)
        taken |= cells
        assert panel["type"] == "row" or panel["description"]
    assert len({panel["id"] for panel in panels}) == len(panels)


def test_every_panel_asks_the_data_source_that_was_chosen() -> None:
    chosen = {"type": "prometheus", "uid": "${datasource}"}

    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            assert (panel["datasource"], target["datasource"]) == (chosen, chosen)


async def test_components_add_the_rules_and_the_dashboard(tmp_path: Path) -> None:
    overlay = tmp_path / "overlay"
    overlay.mkdir()
    names = ("alerts", "grafana-dashboard")
    relative = [str(Path(*[".."] * len(overlay.parts[1:]), *(COMPONENTS / name).parts[1:])) for name in names]
    kustomization = {"kind": "Kustomization", "components": relative}
    (overlay / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))

    built = await run(kubectl(), "kustomize", overlay)

    assert built.code == 0, built.err
    objects = {one["kind"]: one for one in yaml.safe_load_all(built.out)}
    assert objects.keys() == {"PrometheusRule", "ConfigMap"}
    assert objects["PrometheusRule"] == yaml.safe_load(RULES.read_text())
    dashboard = objects["ConfigMap"]
    assert dashboard["metadata"]["name"] == "trivyop-dashboard"
    assert dashboard["metadata"]["namespace"] == "trivy-system"
    assert dashboard["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert json.loads(dashboard["data"]["trivyop.json"]) == DASHBOARD
    assert len(dashboard["data"]["trivyop.json"]) < 250_000  # kubectl apply keeps a copy in an annotation
