"""The metrics of the Go operator, from the reports it wrote: the same series with the same values."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import orjson
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics

from tests.kinds import AUDIT_REPORT_KINDS, REPORT_KINDS
from tests.parity.golden import GOLDEN, MISSING_IMAGE, Json, scanned, trivy_output
from tests.series import (
    EVERYTHING,
    Reporting,
    Series,
    api_server,
    label_names,
    labels_of,
    of,
    parse,
    reporting,
)
from tests.unit.controllers.series.world import World
from tests.unit.report.samples import NOON
from trivyop.kube.resources import (
    CLUSTERCOMPLIANCEREPORTS,
    EXPOSEDSECRETREPORTS,
    VULNERABILITYREPORTS,
    Resource,
)
from trivyop.report.kinds import all_families
from trivyop.report.options import ReportOptions
from trivyop.report.secret import build_secret_report
from trivyop.report.vulnerability import build_vulnerability_report
from trivyop.scan.trivy_json import parse_findings

BUILDERS = {
    VULNERABILITYREPORTS: build_vulnerability_report,
    EXPOSEDSECRETREPORTS: build_secret_report,
}
KINDS = (*REPORT_KINDS, *AUDIT_REPORT_KINDS, CLUSTERCOMPLIANCEREPORTS)
_NOT_RECORDED = "trivy-system"  # its reports changed while the recording was made
_OF_ROLES = "trivy_infraassessments_info"  # theirs goes through the reports on Roles by mistake


def stored(resource: Resource, folder: str = "") -> list[Json]:
    """The reports of a kind."""
    paths = sorted((GOLDEN / "reports" / (folder or resource.plural)).glob("*.json"))
    return [orjson.loads(path.read_bytes()) for path in paths]


def recorded() -> Series:
    """What the Go operator served, as far as its reports are at hand."""
    everything = parse((GOLDEN / "metrics.txt").read_text())
    return {
        (name, labels): value
        for (name, labels), value in everything.items()
        if ("namespace", _NOT_RECORDED) not in labels
    }


@pytest.fixture
async def served() -> AsyncGenerator[Reporting]:
    async with api_server() as (server, api), reporting(server, api) as served:
        for resource in KINDS:
            reports = [one for one in stored(resource) if one["metadata"].get("namespace") != _NOT_RECORDED]
            await served.write(resource, *reports)
        await served.until_told()
        yield served


async def test_series_and_values_are_the_go_operators(served: Reporting) -> None:
    ours, theirs = served.scrape(), recorded()

    theirs = {key: value for key, value in theirs.items() if key[0] != _OF_ROLES}
    ours = {key: value for key, value in ours.items() if key[0] != _OF_ROLES and key[0].startswith("trivy_")}
    missing, new = theirs.keys() - ours.keys(), ours.keys() - theirs.keys()
    assert (sorted(map(str, missing)), sorted(map(str, new))) == ([], [])
    assert ours == theirs
    assert len(theirs) > 600


async def test_infra_checks_are_those_of_reports_on_infrastructure(served: Reporting) -> None:
    """The Go operator shows the checks of Roles under this name, which its inventory marks as a bug."""
    ours = labels_of(served.scrape(), _OF_ROLES)

    assert {labels["resource_kind"] for labels in labels_of(recorded(), _OF_ROLES)} == {"Role"}
    assert {labels["resource_kind"] for labels in ours} == {"Pod"}
    checks = [check for one in stored(KINDS[7]) for check in one["report"]["checks"]]
    assert {labels["infra_assessment_id"] for labels in ours} == {check["checkID"] for check in checks}


async def test_labels_come_in_the_documented_order_with_help_and_type(served: Reporting) -> None:
    page = served.page()
    heads = {line for line in (GOLDEN / "metrics.txt").read_text().splitlines() if line.startswith("#")}

    assert heads <= set(page.splitlines())
    for family in all_families():
        lines = [line for line in page.splitlines() if line.startswith(f"{family.name}{{")]
        for line in lines:
            assert label_names(line) == family.labels, line


async def test_page_is_open_metrics_as_it_is(served: Reporting) -> None:
    """The text of a gauge is the same in both formats, so it is written once."""
    families = {family.name: family for family in open_metrics(served.page() + "# EOF\n")}

    assert families.keys() == {name for name, _ in served.scrape()}
    assert sum(len(family.samples) for family in families.values()) == len(served.scrape())


async def test_controls_are_told_of_reports_of_type_summary() -> None:
    async with api_server() as (server, api), reporting(server, api) as served:
        reports = stored(CLUSTERCOMPLIANCEREPORTS, "clustercompliancereports-summary")
        await served.write(CLUSTERCOMPLIANCEREPORTS, *reports)
        await served.until_told()

        controls = of(served.scrape(), "trivy_compliance_info")

    expected = {
        (report["spec"]["compliance"]["title"], control["id"]): control["totalFail"]
        for report in reports
        for control in report["status"]["summaryReport"]["controlCheck"]
        if "totalFail" in control
    }
    found = {
        (dict(labels)["title"], dict(labels)["compliance_id"]): value if ("status", "Fail") in labels else 0
        for (_, labels), value in controls.items()
    }
    assert found == expected


async def test_metadata_of_our_reports_tells_what_their_bodies_tell() -> None:
    """What is not read is no different from what is: the same reports, once without our annotations."""
    ours, bare = World(EVERYTHING), World(EVERYTHING)
    for workload, container in scanned():
        if container.image == MISSING_IMAGE:
            continue
        findings = parse_findings(trivy_output(container.image).read_bytes())
        for kind, build in BUILDERS.items():
            report = build(workload, container, findings, ReportOptions(), now=NOON)
            ours.write(kind, report)
            bare.write(kind, {**report, "metadata": {**report["metadata"], "annotations": {}}})
    for world in (ours, bare):
        await world.read_all()

    assert ours.scrape() == bare.scrape()
    assert len(ours.scrape()) > 150
    assert 0 < len(ours.reads) < len(bare.reads)
