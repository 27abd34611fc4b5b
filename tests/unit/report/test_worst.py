"""What is let go of very many findings would have been in no report."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.unit.report.samples import LODASH, NOON, SECRETS, VULNERABILITIES, workload
from trivyop.report import keys
from trivyop.report.budget import Omitted, size_of
from trivyop.report.findings import Findings, Secret, Severity, Vulnerability
from trivyop.report.options import ReportOptions
from trivyop.report.secret import WORST_SECRETS, build_secret_report
from trivyop.report.vulnerability import WORST_VULNERABILITIES, build_vulnerability_report
from trivyop.report.worst import Worst
from trivyop.settings.choices import AdditionalField

WEB = workload()
(NGINX,) = WEB.containers
BUDGETS = st.integers(8_000, 30_000)
FIELDS = st.sets(st.sampled_from(AdditionalField)).map(frozenset)


def worst_of(found: list[Vulnerability], budget_bytes: int | None) -> Findings:
    worst = Worst(WORST_VULNERABILITIES, budget_bytes)
    for one in found:
        worst.add(one)
    kept, left_out = worst.result()
    return Findings(scanner_version="1", vulnerabilities=kept, vulnerabilities_left_out=left_out)


def worst_secrets_of(found: list[Secret], budget_bytes: int | None) -> Findings:
    worst = Worst(WORST_SECRETS, budget_bytes)
    for one in found:
        worst.add(one)
    kept, left_out = worst.result()
    return Findings(scanner_version="1", secrets=kept, secrets_left_out=left_out)


def many(found: list[Any], times: int, **fields: Any) -> list[Any]:
    """Each of them several times, and each time another."""
    field, name = next(iter(fields.items()))
    return [replace(one, **{field: name.format(number)}) for number in range(times) for one in found]


@given(st.lists(VULNERABILITIES, max_size=8), st.integers(1, 20), BUDGETS, FIELDS)
def test_report_does_not_show_that_findings_were_let_go(
    found: list[Vulnerability], times: int, budget_bytes: int, fields: frozenset[AdditionalField]
) -> None:
    everything = many(found, times, id="CVE-{}")
    options = ReportOptions(additional_fields=fields, budget_bytes=budget_bytes)

    of_all, of_worst = (
        build_vulnerability_report(WEB, NGINX, worst_of(everything, limit), options, now=NOON)
        for limit in (None, budget_bytes)
    )

    assert of_worst == of_all


@given(st.lists(SECRETS, max_size=8), st.integers(1, 20), BUDGETS)
def test_report_does_not_show_that_secrets_were_let_go(
    found: list[Secret], times: int, budget_bytes: int
) -> None:
    everything = many(found, times, target="/{}")
    options = ReportOptions(budget_bytes=budget_bytes)

    of_all, of_worst = (
        build_secret_report(WEB, NGINX, worst_secrets_of(everything, limit), options, now=NOON)
        for limit in (None, budget_bytes)
    )

    assert of_worst == of_all


ORDERED = many([LODASH, replace(LODASH, severity=Severity.LOW, fixed_version="")], 30, id="CVE-{}")


@given(st.permutations(range(len(ORDERED))))
def test_what_is_kept_does_not_depend_on_the_scanners_order(order: list[int]) -> None:
    first, again = worst_of(ORDERED, 8_000), worst_of([ORDERED[index] for index in order], 8_000)

    assert sorted(map(repr, first.vulnerabilities)) == sorted(map(repr, again.vulnerabilities))
    assert first.vulnerabilities_left_out == again.vulnerabilities_left_out
    assert {one.severity for one in again.vulnerabilities} == {Severity.HIGH}


@given(st.lists(VULNERABILITIES, max_size=8), st.integers(1, 20), BUDGETS)
def test_every_finding_is_counted_once(found: list[Vulnerability], times: int, budget_bytes: int) -> None:
    everything = many(found, times, id="CVE-{}")

    findings = worst_of(everything, budget_bytes)

    kept = Counter(one.severity for one in findings.vulnerabilities)
    assert kept + Counter(findings.vulnerabilities_left_out.counts) == Counter(
        one.severity for one in everything
    )


def test_what_fits_is_kept_as_it_came() -> None:
    found = many([LODASH], 3, id="CVE-{}")

    findings = worst_of(found, 100_000)

    assert findings.vulnerabilities == tuple(found)
    assert findings.vulnerabilities_left_out.count == 0
    assert findings.vulnerabilities_left_out.texts == ()


def test_memory_is_bounded_in_number_and_in_text() -> None:
    """However many come: what is held at any time is two budgets of bare rows, and a budget of each text."""
    budget = 50_000
    worst = Worst(WORST_VULNERABILITIES, budget)
    held: list[int] = []
    text: list[int] = []
    for number in range(5_000):
        worst.add(replace(LODASH, id=f"CVE-{number}", description="x" * 1_000, title="t" * 500))
        kept = worst._kept
        held.append(len(kept))
        text.append(sum(len(one.description) for one in kept))

    assert max(held) * WORST_VULNERABILITIES.least_size(LODASH) <= 2 * budget + 1_000
    assert max(text) <= budget + 1_000
    kept, left_out = worst.result()
    assert len(kept) + left_out.count == 5_000
    assert left_out.texts == ("links", "descriptions", "cvss", "titles")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (frozenset[AdditionalField](), "titles"),
        (frozenset({AdditionalField.LINKS, AdditionalField.TARGET}), "links,titles"),
        (frozenset(AdditionalField), "links,descriptions,cvss,titles"),
    ],
)
def test_report_only_misses_what_it_would_show(fields: frozenset[AdditionalField], said: str) -> None:
    found = many([replace(LODASH, title="t" * 500)], 500, id="CVE-{}")
    options = ReportOptions(additional_fields=fields, budget_bytes=50_000)

    report = build_vulnerability_report(WEB, NGINX, worst_of(found, 50_000), options, now=NOON)

    rows = report["report"]["vulnerabilities"]
    assert report["metadata"]["annotations"][keys.OMITTED] == f"{said},findings={500 - len(rows)}"
    assert report["report"]["summary"]["highCount"] == 500
    assert 45_000 < size_of(report) <= 50_000


def test_finding_too_big_for_any_report_costs_only_itself() -> None:
    huge = replace(LODASH, severity=Severity.CRITICAL, fixed_version="9" * 100_000)
    options = ReportOptions(budget_bytes=10_000)

    report = build_vulnerability_report(
        WEB, NGINX, worst_of([LODASH, huge, LODASH], 10_000), options, now=NOON
    )

    assert len(report["report"]["vulnerabilities"]) == 2
    assert Omitted.of(report["metadata"]["annotations"]) == Omitted((), 1)
    assert report["report"]["summary"]["criticalCount"] == 1
