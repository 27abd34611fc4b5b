"""Budget: makes a report small enough for the API server, and says what it cost.

A report over the budget loses something in fixed steps, until it fits: first text that only explains, then
whole findings, the lowest severities without a fix first. The counts in its summary stay those of everything.
The annotation ``keys.OMITTED`` lists what is missing: ``links,descriptions,findings=812``.

A bill of materials first loses what matching vulnerabilities does not need; ``usable_for_matching`` says
whether that was enough.

Promises: never fails, always ends, changes nothing that fits, does not change its argument. The result fits
unless the report does not fit without any findings.
Not here: what the steps are (``plans.py``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import orjson

from trivyop.report import keys
from trivyop.report.plans import Plan, plan_for

HARMLESS = frozenset({"licenses", "hashes", "layers"})  # what matching a bill of materials does without


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

    @property
    def annotation(self) -> dict[str, str]:
        """The annotation that says so; none if nothing is missing."""
        return {keys.OMITTED: str(self)} if self.fields or self.findings else {}

    def with_field(self, name: str) -> Omitted:
        return self if name in self.fields else Omitted((*self.fields, name), self.findings)

    def with_findings(self, more: int) -> Omitted:
        return Omitted(self.fields, self.findings + more)

    def in_order(self, plan: Plan) -> Omitted:
        return Omitted(plan.in_order(self.fields), self.findings)

    def __str__(self) -> str:
        return ",".join((*self.fields, *([f"findings={self.findings}"] if self.findings else [])))


def usable_for_matching(annotations: Mapping[str, str]) -> bool:
    """Whether a kept bill of materials has proved itself, and still has all that matching it needs."""
    if annotations.get(keys.MATCHABLE) != keys.MATCHABLE_VALUE:
        return False
    omitted = Omitted.of(annotations)
    return not omitted.findings and HARMLESS.issuperset(omitted.fields)


def size_of(report: Mapping[str, Any]) -> int:
    """Bytes of the report as sent."""
    return len(orjson.dumps(report))


def row_count(report: Mapping[str, Any]) -> int:
    """How many findings (or components) the report shows."""
    return len(plan_for(report["report"]).rows(report["report"]))


def fit(report: dict[str, Any], budget_bytes: int) -> dict[str, Any]:
    """Return the report, or a reduced copy that fits ``budget_bytes``."""
    if size_of(report) <= budget_bytes:
        return report
    plan = plan_for(report["report"])
    annotations: dict[str, str] = {**report["metadata"].get("annotations", {})}
    metadata = {**report["metadata"], "annotations": annotations}
    fitted = {**report, "metadata": metadata, "report": plan.copy(report["report"])}
    omitted = Omitted.of(annotations)
    for step in plan.steps:
        if step.apply(fitted["report"]):
            omitted = omitted.with_field(step.field).in_order(plan)
            annotations[keys.OMITTED] = str(omitted)
            if size_of(fitted) <= budget_bytes:
                return fitted
    _drop_rows(fitted, plan, omitted, budget_bytes)
    return fitted


def _drop_rows(fitted: dict[str, Any], plan: Plan, omitted: Omitted, budget_bytes: int) -> None:
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
