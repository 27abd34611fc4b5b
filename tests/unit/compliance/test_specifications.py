"""The built-in specifications: each control by itself; none passes unless something was looked at."""

from __future__ import annotations

import orjson
import pytest

from tests.parity.golden import GOLDEN
from tests.unit.compliance.reports import (
    NAMES,
    RESOURCES,
    audit_report,
    circumstances,
    findings_of,
    healthy,
    sort_for,
    spec_document,
    specification,
)
from tests.unit.report.crds import check_accepted
from trivyop.compliance.evaluation import Result, Scanner, evaluate
from trivyop.compliance.findings import Findings
from trivyop.compliance.scopes import scope_of
from trivyop.report.checkids import canonical, reported

# name: controls, of which people have to look at, and distinct checks
SIZES = {
    "eks-cis-1.4": (51, 24, 36),
    "k8s-cis-1.23": (116, 8, 115),
    "k8s-nsa-1.0": (27, 4, 22),
    "k8s-pss-baseline-0.1": (11, 0, 13),
    "k8s-pss-restricted-0.1": (17, 0, 19),
    "rke2-cis-1.24": (116, 8, 115),
}
# "Host Namespaces" asks for KSV-0008 alone there, though the host's network and processes are meant as well.
ADDED = {"AVD-KSV-0009", "AVD-KSV-0010"}


def test_there_are_six() -> None:
    assert set(NAMES) == SIZES.keys()


@pytest.mark.parametrize("name", NAMES)
def test_specification_is_valid(name: str) -> None:
    document = spec_document(name)

    found = specification(document)

    check_accepted(document)
    checks = {check for control in found.controls for check in control.checks}
    assert found.problems == ()
    assert found.name == found.id == name
    assert (
        len(found.controls),
        sum(not control.checks for control in found.controls),
        len(checks),
    ) == SIZES[name]
    assert all(control.description for control in found.controls)


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("k8s")])
def test_controls_are_those_of_trivy_operator(name: str) -> None:
    recorded = orjson.loads((GOLDEN / f"reports/clustercompliancereports/{name}.json").read_bytes())

    def facts(control: dict[str, object]) -> dict[str, object]:
        checks = [reported(canonical(check["id"])) for check in control.get("checks", ())]
        kept = {
            field: control.get(field) for field in ("id", "name", "severity", "defaultStatus", "commands")
        }
        return {**kept, "checks": [check for check in checks if check not in ADDED or "pss" not in name]}

    theirs = recorded["spec"]["compliance"]["controls"]
    ours = spec_document(name)["spec"]["compliance"]["controls"]
    assert [facts(control) for control in ours] == [facts(control) for control in theirs]
    assert not {control["description"] for control in ours} & {
        control["description"] for control in theirs
    }  # the sentences are ours


@pytest.mark.parametrize("name", NAMES)
def test_nothing_collected_passes_no_control(name: str) -> None:
    found = specification(spec_document(name))

    answers = list(evaluate(found.controls, Findings(), circumstances(found)))

    assert {answer.result for answer in answers} <= {Result.MANUAL, Result.NOT_EVALUATED}
    assert all(answer.reason for answer in answers if answer.result is Result.NOT_EVALUATED)


@pytest.mark.parametrize("name", NAMES)
def test_scanners_that_are_off_pass_no_control(name: str) -> None:
    """Reports of before they were switched off may still be there."""
    found = specification(spec_document(name))
    off = circumstances(found, scanners_off=frozenset(Scanner))

    answers = list(evaluate(found.controls, findings_of(*healthy()), off))

    assert {answer.result for answer in answers} <= {Result.MANUAL, Result.NOT_EVALUATED}


@pytest.mark.parametrize("name", NAMES)
def test_healthy_cluster_passes_every_control_that_is_automated(name: str) -> None:
    found = specification(spec_document(name))

    answers = list(evaluate(found.controls, findings_of(*healthy()), circumstances(found)))

    assert {answer.result for answer in answers if answer.control.checks} == {Result.PASS}


@pytest.mark.parametrize("name", NAMES)
def test_one_failing_check_fails_exactly_the_controls_that_have_it(name: str) -> None:
    """For every control that is automated, and each of its checks; few checks answer several controls."""
    found = specification(spec_document(name))
    tried = 0
    for control in found.controls:
        for check in control.checks:
            sort = sort_for(scope_of(check))
            others = healthy(*(one for one in RESOURCES if one != sort))
            findings = findings_of(*others, audit_report(sort, [reported(check)]))

            answers = list(evaluate(found.controls, findings, circumstances(found)))

            failed = {answer.control.id for answer in answers if answer.result is Result.FAIL}
            assert failed == {one.id for one in found.controls if check in one.checks}
            assert control.id in failed
            tried += 1
    assert tried >= len({check for control in found.controls for check in control.checks})
