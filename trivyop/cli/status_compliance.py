"""The part of `trivyop status` about compliance: how the cluster meets each standard, and what is wrong."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from trivyop.cli.tables import show_table
from trivyop.compliance.resource import ComplianceReport, SaidStatus, Summary
from trivyop.compliance.status import VALID
from trivyop.errors import TerminalError
from trivyop.kube.client import Api
from trivyop.kube.resources import CLUSTERCOMPLIANCEREPORTS

_HEADER = ("SPECIFICATION", "PASSED", "FAILED", "MANUAL", "NOT EVALUATED", "UPDATED", "NEXT RUN")


@dataclass(frozen=True, slots=True)
class Standing:
    """How the cluster meets one specification."""

    name: str
    said: SaidStatus


async def read_compliance(api: Api) -> list[Standing]:
    """Read it, sorted by name; what is not installed, or may not be read, counts as empty."""
    try:
        listed = await api.list(CLUSTERCOMPLIANCEREPORTS, type=ComplianceReport)
    except TerminalError:
        return []
    found = (Standing(report.key.name, SaidStatus.parse(report.status)) for report in listed.items)
    return sorted(found, key=lambda one: one.name)


def show_compliance(standings: Iterable[Standing]) -> str:
    """A line for each specification, and what is wrong with it."""
    standings = list(standings)
    if not standings:
        return ""
    problems = [
        f"{one.name}: {valid.message}"
        for one in standings
        if (valid := one.said.condition(VALID)) and valid.status != "True"
    ]
    parts = [show_table(_HEADER, [_cells(one) for one in standings]), "\n".join(problems)]
    return "\n\n".join(part for part in parts if part)


def _cells(one: Standing) -> tuple[str, ...]:
    said = one.said
    summary = said.summary
    return (one.name, *_counts(summary), said.updated if summary else "never", said.next_run or "-")


def _counts(summary: Summary | None) -> tuple[str, ...]:
    if summary is None:
        return ("-",) * 4
    counts = (
        summary.pass_count,
        summary.fail_count,
        summary.manual_count,
        summary.not_evaluated_count + summary.not_applicable_count,
    )
    return tuple(map(str, counts))
