"""Our reports of a recorded cluster equal the Go operator's, field for field."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.parity.golden import MISSING_IMAGE, comparable, every_object, reports, scanned, trivy_output
from tests.unit.report.crds import check_accepted
from tests.unit.report.samples import NOON
from trivyop.report.artifact import first_digest
from trivyop.report.findings import Findings
from trivyop.report.names import report_names
from trivyop.report.options import ReportOptions
from trivyop.report.projection import reproject
from trivyop.report.sbom import build_sbom_report
from trivyop.report.secret import build_secret_report
from trivyop.report.vulnerability import build_vulnerability_report
from trivyop.scan.cyclonedx import parse_bom
from trivyop.scan.trivy_json import parse_findings
from trivyop.workload.images import ContainerImage
from trivyop.workload.resolve import Workload

OPTIONS = ReportOptions()
Build = Callable[[Workload, ContainerImage, Findings], dict[str, Any]]


def vulnerability_report(workload: Workload, container: ContainerImage, findings: Findings) -> dict[str, Any]:
    return build_vulnerability_report(workload, container, findings, OPTIONS, now=NOON)


def secret_report(workload: Workload, container: ContainerImage, findings: Findings) -> dict[str, Any]:
    return build_secret_report(workload, container, findings, OPTIONS, now=NOON)


CONTAINERS = [
    pytest.param(workload, container, id=f"{workload.kind}-{workload.key.name[:12]}-{container.container}")
    for workload, container in scanned()
    if container.image != MISSING_IMAGE
]
KINDS = [(vulnerability_report, "vulnerabilityreports"), (secret_report, "exposedsecretreports")]


@pytest.fixture(scope="module")
def bill_of_materials(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], bytes]:
    """Trivy's CycloneDX document of an image, converted by Trivy itself."""
    trivy = shutil.which("trivy", path=str(Path(sys.executable).parent)) or shutil.which("trivy")
    if trivy is None:
        pytest.skip("trivy is not installed")
    cache = tmp_path_factory.mktemp("trivy")

    def convert(image: str) -> bytes:
        source = str(trivy_output(image))
        command = [trivy, "--quiet", "--cache-dir", str(cache), "convert", "--format", "cyclonedx", source]
        return subprocess.run(command, check=True, capture_output=True).stdout

    return convert


@pytest.mark.parametrize(("build", "plural"), KINDS)
@pytest.mark.parametrize(("workload", "container"), CONTAINERS)
def test_findings_are_reported_as_the_go_operator_reports_them(
    workload: Workload, container: ContainerImage, build: Build, plural: str
) -> None:
    findings = parse_findings(trivy_output(container.image).read_bytes())

    report = build(workload, container, findings)

    check_accepted(report)
    expected = reports(plural)[f"{workload.key.namespace}/{report['metadata']['name']}"]
    assert comparable(report) == comparable(expected)


@pytest.mark.parametrize(("workload", "container"), CONTAINERS)
def test_bills_of_materials_are_the_go_operators(
    workload: Workload, container: ContainerImage, bill_of_materials: Callable[[str], bytes]
) -> None:
    """It wrote none for the clean image: its document is under 4 KiB (a bug)."""
    scanned_image = parse_findings(trivy_output(container.image).read_bytes())
    bom = parse_bom(bill_of_materials(container.image), scanner_version=scanned_image.scanner_version)

    report = build_sbom_report(
        workload,
        container,
        bom,
        OPTIONS,
        scanner_version=scanned_image.scanner_version,
        scanned_digest=first_digest(scanned_image.repo_digests),
        now=NOON,
    )

    check_accepted(report)
    expected = reports("sbomreports").get(f"{workload.key.namespace}/{report['metadata']['name']}")
    if expected is None:
        assert container.image.endswith("library/clean:1")
    else:
        assert comparable(report) == comparable(expected)


@pytest.mark.parametrize("plural", ["vulnerabilityreports", "exposedsecretreports"])
def test_one_scan_serves_all_that_run_the_image(plural: str) -> None:
    """Projected from any other report of the same image, each one is still the Go operator's."""
    build = next(build for build, of_plural in KINDS if of_plural == plural)
    expected = reports(plural)
    first: dict[str, dict[str, Any]] = {}
    for param in CONTAINERS:
        workload, container = param.values
        findings = parse_findings(trivy_output(container.image).read_bytes())
        source = first.setdefault(container.image, build(workload, container, findings))

        projected = reproject(source, workload, container, OPTIONS)

        name = f"{workload.key.namespace}/{projected['metadata']['name']}"
        assert comparable(projected) == comparable(expected[name])
    assert len(first) == 4


@pytest.mark.parametrize("plural", ["vulnerabilityreports", "exposedsecretreports"])
def test_every_report_of_the_go_operator_has_its_counterpart(plural: str) -> None:
    """Same owners, containers and names; none missing, and beside them only the image that failed."""
    ours = {
        f"{workload.key.namespace}/{name}": container
        for workload, _ in scanned()
        for container, name in report_names(
            workload.kind, workload.key.name, [each.container for each in workload.containers]
        ).items()
    }

    assert ours.keys() - reports(plural).keys() == {"shop/pod-debug-gone"}
    assert reports(plural).keys() <= ours.keys()


def test_recording_has_objects_of_every_kind() -> None:
    """Guards the tests above against an empty recording."""
    assert {kind.value for kind, _ in every_object()} == {
        "Pod",
        "ReplicaSet",
        "ReplicationController",
        "StatefulSet",
        "DaemonSet",
        "Job",
        "CronJob",
    }
    assert len(CONTAINERS) == 11
