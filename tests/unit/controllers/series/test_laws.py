"""The law of metrics: whatever reports come and go, sums over series are sums over reports."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.series import EVERYTHING, Json, Series, of
from tests.unit.controllers.series.world import World, report, summary
from trivyop.kube.resources import (
    CONFIGAUDITREPORTS,
    EXPOSEDSECRETREPORTS,
    VULNERABILITYREPORTS,
    ObjectKey,
    Resource,
)
from trivyop.report import keys
from trivyop.report.families import (
    CONFIG_AUDITS,
    CONFIG_AUDITS_INFO,
    IMAGE_SECRETS,
    IMAGE_VULNERABILITIES,
    INFRA,
    ROLES,
    VULNERABILITY_ID,
    Family,
)
from trivyop.report.findings import Severity
from trivyop.report.kinds import kinds_counted

_COUNTS = (IMAGE_VULNERABILITIES, IMAGE_SECRETS, CONFIG_AUDITS, ROLES, INFRA)
COUNTED = {kinds_counted(family)[0]: family for family in _COUNTS}
ROWS = {VULNERABILITYREPORTS: "vulnerabilities", EXPOSEDSECRETREPORTS: "secrets"}

findings = st.lists(
    st.tuples(
        st.sampled_from([severity.value for severity in Severity]), st.text(max_size=3), st.integers(0, 3)
    ),
    max_size=6,
)
events = st.lists(
    st.tuples(
        st.sampled_from(sorted(COUNTED, key=lambda kind: kind.plural)),
        st.sampled_from(["a", "b", "c"]),
        st.sampled_from(["shop", "data"]),
        st.none() | st.tuples(findings, st.booleans(), st.sampled_from(["sha256:1", "sha256:2"])),
        st.booleans(),
    ),
    max_size=25,
)


def written(kind: Resource, name: str, namespace: str, found: Any, *, ours: bool, digest: str) -> Json:
    """A report with these findings, of ours or of the Go operator."""
    ranks = [Severity(severity).rank for severity, _, _ in found]
    counts = tuple(ranks.count(rank) for rank in range(5))
    rows = [
        {
            "severity": severity,
            "title": title,
            "vulnerabilityID": f"CVE-{number}",
            "ruleID": str(number),
            "checkID": f"KSV-{number}",
        }
        for severity, title, number in found
    ]
    registry, repository = "r.example", "shop/web"
    body = {
        "artifact": {"repository": repository, "digest": digest},
        "registry": {"server": registry},
        "summary": summary(*counts),
        ROWS.get(kind, "checks"): rows,
    }
    image = {keys.IMAGE: f"{registry}/{repository}@{digest}", keys.SCANNED_AT: str(hash(str(rows)))}
    return report(name, namespace, counts=counts if ours else None, annotations=image if ours else {}, **body)


def sums(series: Series, family: Family) -> dict[str, float]:
    """The sum over the series of each severity."""
    found: dict[str, float] = {}
    for (_, labels), value in of(series, family.name).items():
        severity = dict(labels)["severity"]
        found[severity] = found.get(severity, 0) + value
    return {severity: value for severity, value in found.items() if value}


@given(events)
@settings(deadline=None, max_examples=150)
def test_sums_over_series_are_sums_over_reports(history: list[Any]) -> None:
    asyncio.run(_play(history))


async def _play(history: list[Any]) -> None:
    world = World(EVERYTHING)
    for kind, name, namespace, change, read in history:
        key = ObjectKey(namespace, name)
        if change is not None:
            found, ours, digest = change
            world.write(kind, written(kind, name, namespace, found, ours=ours, digest=digest))
        elif (kind, key) in world.objects:
            world.delete(kind, key)
        if read:
            await world.read_all()
            world.scrape()
    await world.read_all()

    served = world.scrape()

    for kind, family in COUNTED.items():
        there = [report for (one, _), report in world.objects.items() if one is kind]
        # no more than four severities are known of what is not a vulnerability
        shown = list(Severity) if kind is VULNERABILITYREPORTS else list(Severity)[:4]
        wanted = {
            severity.title(): sum(one["report"]["summary"][f"{severity.lower()}Count"] for one in there)
            for severity in shown
        }
        assert sums(served, family) == {severity: n for severity, n in wanted.items() if n}
        assert len(of(served, family.name)) == len(there) * len(shown)
    _rows_are_shown(world, served, VULNERABILITYREPORTS, VULNERABILITY_ID, _vulnerability)
    _rows_are_shown(world, served, CONFIGAUDITREPORTS, CONFIG_AUDITS_INFO, lambda row: row["checkID"])


def _vulnerability(row: Json) -> object:
    return (row["severity"], row["title"], row["vulnerabilityID"])


def _rows_are_shown(
    world: World, served: Series, kind: Resource, family: Family, identity: Callable[[Json], object]
) -> None:
    """Each different row of each report has its series, and there are no others."""
    rows = sum(
        len({identity(row) for row in report["report"][ROWS.get(kind, "checks")]})
        for (one, _), report in world.objects.items()
        if one is kind
    )
    assert len(of(served, family.name)) == rows
