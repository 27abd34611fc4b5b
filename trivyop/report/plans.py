"""Plans: what reports can do without, by what they list, in the order in which they lose it.

A plan's steps take something from all rows (the findings, or the components of a bill of materials); its
importance says which rows go first when that was not enough. A row is changed only at its own keys, never
within their values, so that copies of rows may share those.
Not here: when a step is due (``budget.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from trivyop.report.findings import Severity

Row = dict[str, Any]
Body = dict[str, Any]
"""The ``report`` part of a report."""


class Rows(StrEnum):
    """What reports list, as the field of the body is called."""

    VULNERABILITIES = "vulnerabilities"
    SECRETS = "secrets"
    COMPONENTS = "components"
    CHECKS = "checks"
    CONTROLS = "controls"  # of a report on compliance, which has a status in the place of a body


TEXT_LIMIT = 80  # characters of a title or a match that tell which one it is
MESSAGE_LIMIT = 500  # characters that say what a check found
_LAYER_PROPERTIES = frozenset({"aquasecurity:trivy:LayerDigest", "aquasecurity:trivy:LayerDiffID"})


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do without."""

    field: str  # as the annotation names it
    apply: Callable[[Body], bool]  # changes the body; False if there was nothing to do


@dataclass(frozen=True, slots=True)
class Plan:
    """What one kind of report can do without."""

    steps: tuple[Step, ...]
    rows: Callable[[Body], list[Row]]
    importance: Callable[[Row], tuple[int, ...]]  # smaller is kept longer
    copy: Callable[[Body], Body]  # one that steps may change

    def in_order(self, fields: Iterable[str]) -> tuple[str, ...]:
        """The fields in the order of the steps, those of no step last."""
        steps = [step.field for step in self.steps]
        return tuple(sorted(fields, key=lambda field: steps.index(field) if field in steps else len(steps)))


def shortened(text: str) -> str:
    """A title or a match, as far as a report that is too large shows it."""
    return text if len(text) <= TEXT_LIMIT else text[: TEXT_LIMIT - 1] + "…"


def _severity_rank(row: Row) -> int:
    return Severity.parse(row["severity"]).rank


def _clear_links(row: Row) -> bool:
    had_links = bool(row["links"])
    row["links"] = []  # always present, for the sake of those who read it
    return had_links


def _without(field: str) -> Callable[[Row], bool]:
    return lambda row: row.pop(field, None) is not None


def _shortened(field: str) -> Callable[[Row], bool]:
    def shorten(row: Row) -> bool:
        before = row[field]
        row[field] = shortened(before)
        return row[field] is not before

    return shorten


def _without_layers(row: Row) -> bool:
    properties = row.get("properties", [])
    kept = [entry for entry in properties if entry.get("name") not in _LAYER_PROPERTIES]
    if len(kept) == len(properties):
        return False
    row["properties"] = kept
    return True


def _in_each(rows: Callable[[Body], list[Row]], change: Callable[[Row], bool]) -> Callable[[Body], bool]:
    def apply(report: Body) -> bool:
        changes = [change(row) for row in rows(report)]
        return any(changes)

    return apply


def _vulnerabilities(report: Body) -> list[Row]:
    return report["vulnerabilities"]


def _secrets(report: Body) -> list[Row]:
    return report["secrets"]


def _components(report: Body) -> list[Row]:
    return report["components"].setdefault("components", [])


def _all_components(report: Body) -> list[Row]:
    root = report["components"].get("metadata", {}).get("component")
    return _components(report) + ([root] if root else [])


def _drop_dependencies(report: Body) -> bool:
    return bool(report["components"].pop("dependencies", None))


def _checks(report: Body) -> list[Row]:
    return report["checks"]


def _drop_passed(report: Body) -> bool:
    failed = [row for row in report["checks"] if not row["success"]]
    if len(failed) == len(report["checks"]):
        return False
    report["checks"] = failed
    return True


def _shorten_messages(row: Row) -> bool:
    before = row.get("messages")
    if not before:
        return False
    row["messages"] = [text[:MESSAGE_LIMIT] for text in before]
    return row["messages"] != before


def _copy_rows(field: str) -> Callable[[Body], Body]:
    return lambda report: {**report, field: [dict(row) for row in report[field]]}


def _copy_bom(report: Body) -> Body:
    bom = _copy_rows("components")({"components": [], **report["components"]})
    metadata = bom.get("metadata", {})
    if metadata.get("component"):
        bom["metadata"] = {**metadata, "component": dict(metadata["component"])}
    return {**report, "components": bom}


_VULNERABILITIES = Plan(
    steps=(
        Step("links", _in_each(_vulnerabilities, _clear_links)),
        Step("descriptions", _in_each(_vulnerabilities, _without("description"))),
        Step("cvss", _in_each(_vulnerabilities, _without("cvss"))),
        Step("titles", _in_each(_vulnerabilities, _shortened("title"))),
    ),
    rows=_vulnerabilities,
    importance=lambda row: (_severity_rank(row), not row["fixedVersion"]),
    copy=_copy_rows("vulnerabilities"),
)
_SECRETS = Plan(
    steps=(
        Step("matches", _in_each(_secrets, _shortened("match"))),
        Step("titles", _in_each(_secrets, _shortened("title"))),
    ),
    rows=_secrets,
    importance=lambda row: (_severity_rank(row),),
    copy=_copy_rows("secrets"),
)
SBOM_PLAN = Plan(
    steps=(
        Step("licenses", _in_each(_all_components, _without("licenses"))),
        Step("hashes", _in_each(_all_components, _without("hashes"))),
        Step("layers", _in_each(_all_components, _without_layers)),
        Step("suppliers", _in_each(_all_components, _without("supplier"))),
        Step("dependencies", _drop_dependencies),
        Step("properties", _in_each(_all_components, _without("properties"))),
    ),
    rows=_components,
    importance=lambda row: (row.get("type") != "operating-system",),
    copy=_copy_bom,
)
_CHECKS = Plan(
    steps=(
        Step("passed", _drop_passed),
        Step("descriptions", _in_each(_checks, _without("description"))),
        Step("remediations", _in_each(_checks, _without("remediation"))),
        Step("messages", _in_each(_checks, _shorten_messages)),
    ),
    rows=_checks,
    importance=lambda row: (row["success"], _severity_rank(row)),
    copy=_copy_rows("checks"),
)
_PLANS: Mapping[Rows, Plan] = {
    Rows.VULNERABILITIES: _VULNERABILITIES,
    Rows.SECRETS: _SECRETS,
    Rows.COMPONENTS: SBOM_PLAN,
    Rows.CHECKS: _CHECKS,
}


def plan_for(body: Mapping[str, Any]) -> Plan:
    """The plan for a report, by what its body lists."""
    return next(plan for rows, plan in _PLANS.items() if rows in body)
