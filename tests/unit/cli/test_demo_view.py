from __future__ import annotations

from pathlib import Path

import pytest

from trivyop.cli.demo_view import all_audited, further, progress
from trivyop.cli.status import Line
from trivyop.cli.status_audits import AuditsState, Tally
from trivyop.kube.resources import SBOMREPORTS, VULNERABILITYREPORTS

KUBECONFIG = Path("/demo/kubeconfig")
METRICS = "http://127.0.0.1:8080"


def line(state: str, scan: str) -> Line:
    return Line("shop", "pod/a", "app", "registry/a:1", state, image_scan=scan)


def audited(**counts: int) -> AuditsState:
    """So many reports of each kind."""
    return AuditsState(tuple(Tally(kind, count, 0, 0, 0, 0) for kind, count in counts.items()), ())


def test_all_is_audited_when_every_workload_and_some_role_has_a_report() -> None:
    """Two containers of one workload are one workload."""
    lines = [line("Succeeded", "a"), line("Succeeded", "b")]

    assert not all_audited(lines, audited(), services=0)
    assert not all_audited(lines, audited(ConfigAuditReport=1), services=0)
    assert all_audited(lines, audited(ConfigAuditReport=1, RbacAssessmentReport=1), services=0)
    assert not all_audited(lines, audited(ConfigAuditReport=1, RbacAssessmentReport=1), services=1)
    assert all_audited(lines, audited(ConfigAuditReport=2, RbacAssessmentReport=1), services=1)


def test_progress_counts_containers_scans_and_reports() -> None:
    """Two containers with one image are one scan."""
    lines = [line("Succeeded", "a"), line("Running", "b"), line("Running", "b"), line("Queued", "c")]

    text = progress(lines, {VULNERABILITYREPORTS: 1, SBOMREPORTS: 0}, audited(ConfigAuditReport=2))

    assert text == "1 of 4 containers scanned, 1 scan running, 3 reports"


def test_progress_tells_of_failures_once_there_are_any() -> None:
    lines = [line("Failed", "a"), line("Failed", "a"), line("Failed", "b")]

    assert progress(lines, {}, audited()) == "0 of 3 containers scanned, 0 scans running, 2 failed, 0 reports"


def test_programs_that_are_on_the_path_need_no_word(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("kubectl", "trivyop"):
        (tmp_path / name).touch(mode=0o755)

    monkeypatch.setenv("PATH", str(tmp_path))
    at_hand = further(KUBECONFIG, METRICS, once=False)
    monkeypatch.setenv("PATH", "/nonexistent")
    hidden = further(KUBECONFIG, METRICS, once=False)

    assert "export KUBECONFIG=/demo/kubeconfig" in at_hand
    assert "export PATH=" not in at_hand
    assert "export PATH=" in hidden


def test_cluster_that_is_about_to_go_is_not_offered() -> None:
    assert "kubeconfig" not in further(KUBECONFIG, METRICS, once=True)
