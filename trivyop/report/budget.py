"""Budget: makes a report small enough for the API server, and says what it cost.

A report over the budget loses something in fixed steps, until it fits: first text that only explains, then
whole findings, the lowest severities without a fix first. The counts in its summary stay those of everything.
The annotation ``keys.OMITTED`` lists what is missing: ``links,descriptions,findings=812``.

A bill of materials first loses what matching vulnerabilities does not need; ``usable_for_matching`` says
whether that was enough.

Promises: never fails, always ends, changes nothing that fits, does not change its argument. The result fits
unless the report does not fit without any findings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Self, cast

import orjson

from trivyop.report import keys
from trivyop.report.findings import Severity

Row = dict[str, Any]
_TEXT_LIMIT = 80  # characters of a title or a match that tell which one it is
_LAYER_PROPERTIES = frozenset({"aquasecurity:trivy:LayerDigest", "aquasecurity:trivy:LayerDiffID"})
_HARMLESS = frozenset({"licenses", "hashes", "layers"})


@dataclass(frozen=True, slots=True)
class Omitted:
    """What a report lacks: names of fields, and how many findings (components, in a bill of materials)."""

    fields: tuple[str, ...] = ()
    findings: int = 0

    @classmethod
    def of(cls, annotations: Mapping[str, str]) -> Self:
        """Read a report's annotations; nothing is omitted where there is no annotation."""
        fields: list[str] = []
        findings = 0
        for part in filter(None, annotations.get(keys.OMITTED, "").split(",")):
            name, equals, number = part.partition("=")
            if not equals:
                fields.append(name)
            elif number.isascii() and number.isdigit():
                findings += int(number)
        return cls(tuple(fields), findings)

    def with_field(self, name: str) -> Omitted:
        return self if name in self.fields else Omitted((*self.fields, name), self.findings)

    def with_findings(self, more: int) -> Omitted:
        return Omitted(self.fields, self.findings + more)

    def __str__(self) -> str:
        return ",".join((*self.fields, *([f"findings={self.findings}"] if self.findings else [])))


def usable_for_matching(annotations: Mapping[str, str]) -> bool:
    """Whether a bill of materials still has all that matching it against a vulnerability database needs."""
    omitted = Omitted.of(annotations)
    return not omitted.findings and _HARMLESS.issuperset(omitted.fields)


def size_of(report: Mapping[str, Any]) -> int:
    """Bytes of the report as sent."""
    return len(orjson.dumps(report))


def fit(report: dict[str, Any], budget_bytes: int) -> dict[str, Any]:
    """Return the report, or a reduced copy that fits ``budget_bytes``."""
    if size_of(report) <= budget_bytes:
        return report
    fitted = deepcopy(report)
    plan = _PLANS[fitted["kind"]]
    annotations = cast("dict[str, str]", fitted["metadata"].setdefault("annotations", {}))
    omitted = Omitted.of(annotations)
    for step in plan.steps:
        if step.apply(fitted["report"]):
            omitted = omitted.with_field(step.field)
            annotations[keys.OMITTED] = str(omitted)
            if size_of(fitted) <= budget_bytes:
                return fitted
    _drop_rows(fitted, plan, omitted, budget_bytes)
    return fitted


def _drop_rows(fitted: dict[str, Any], plan: _Plan, omitted: Omitted, budget_bytes: int) -> None:
    """Keep the most important rows that fit; one that no report has room for costs only itself."""
    rows = plan.rows(fitted["report"])
    everything = list(rows)
    rows.clear()
    annotations = fitted["metadata"]["annotations"]
    annotations[keys.OMITTED] = str(omitted.with_findings(len(everything)))  # as long as this text gets
    all_room = room = budget_bytes - size_of(fitted)
    kept: set[int] = set()
    for index in sorted(
        range(len(everything)), key=lambda index: (plan.importance(everything[index]), index)
    ):
        size = len(orjson.dumps(everything[index])) + 1  # and its comma
        if size > all_room:
            continue
        if size > room:
            break
        room -= size
        kept.add(index)
    rows.extend(row for index, row in enumerate(everything) if index in kept)
    annotations[keys.OMITTED] = str(omitted.with_findings(len(everything) - len(kept)))


# what each kind of report can do without


@dataclass(frozen=True, slots=True)
class _Step:
    field: str  # as the annotation names it
    apply: Callable[[dict[str, Any]], bool]  # changes the ``report`` part; False if there was nothing to do


@dataclass(frozen=True, slots=True)
class _Plan:
    steps: tuple[_Step, ...]
    rows: Callable[[dict[str, Any]], list[Row]]
    importance: Callable[[Row], tuple[int, ...]]  # smaller is kept longer


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
        if len(row[field]) <= _TEXT_LIMIT:
            return False
        row[field] = row[field][: _TEXT_LIMIT - 1] + "…"
        return True

    return shorten


def _without_layers(row: Row) -> bool:
    properties = row.get("properties", [])
    kept = [entry for entry in properties if entry.get("name") not in _LAYER_PROPERTIES]
    if len(kept) == len(properties):
        return False
    row["properties"] = kept
    return True


def _in_each(
    rows: Callable[[dict[str, Any]], list[Row]], change: Callable[[Row], bool]
) -> Callable[[dict[str, Any]], bool]:
    def apply(report: dict[str, Any]) -> bool:
        changes = [change(row) for row in rows(report)]
        return any(changes)

    return apply


def _vulnerabilities(report: dict[str, Any]) -> list[Row]:
    return report["vulnerabilities"]


def _secrets(report: dict[str, Any]) -> list[Row]:
    return report["secrets"]


def _components(report: dict[str, Any]) -> list[Row]:
    return report["components"].setdefault("components", [])


def _all_components(report: dict[str, Any]) -> list[Row]:
    root = report["components"].get("metadata", {}).get("component")
    return _components(report) + ([root] if root else [])


def _drop_dependencies(report: dict[str, Any]) -> bool:
    return bool(report["components"].pop("dependencies", None))


_VULNERABILITIES = _Plan(
    steps=(
        _Step("links", _in_each(_vulnerabilities, _clear_links)),
        _Step("descriptions", _in_each(_vulnerabilities, _without("description"))),
        _Step("cvss", _in_each(_vulnerabilities, _without("cvss"))),
        _Step("titles", _in_each(_vulnerabilities, _shortened("title"))),
    ),
    rows=_vulnerabilities,
    importance=lambda row: (_severity_rank(row), not row["fixedVersion"]),
)
_SECRETS = _Plan(
    steps=(
        _Step("matches", _in_each(_secrets, _shortened("match"))),
        _Step("titles", _in_each(_secrets, _shortened("title"))),
    ),
    rows=_secrets,
    importance=lambda row: (_severity_rank(row),),
)
_SBOM = _Plan(
    steps=(
        _Step("licenses", _in_each(_all_components, _without("licenses"))),
        _Step("hashes", _in_each(_all_components, _without("hashes"))),
        _Step("layers", _in_each(_all_components, _without_layers)),
        _Step("suppliers", _in_each(_all_components, _without("supplier"))),
        _Step("dependencies", _drop_dependencies),
        _Step("properties", _in_each(_all_components, _without("properties"))),
    ),
    rows=_components,
    importance=lambda row: (row.get("type") != "operating-system",),
)
_PLANS = {
    "VulnerabilityReport": _VULNERABILITIES,
    "ClusterVulnerabilityReport": _VULNERABILITIES,
    "ExposedSecretReport": _SECRETS,
    "SbomReport": _SBOM,
    "ClusterSbomReport": _SBOM,
}
