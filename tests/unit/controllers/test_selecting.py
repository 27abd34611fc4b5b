"""What the settings select."""

from __future__ import annotations

import pytest

from trivyop.controllers.selecting import build_selection
from trivyop.settings import load_settings
from trivyop.workload.owners import WorkloadKind


@pytest.mark.parametrize(
    ("targets", "kinds"),
    [
        ("pod,cronjob", {WorkloadKind.POD, WorkloadKind.CRON_JOB}),
        ("ingress,job", {WorkloadKind.JOB}),
        ("ingress", set[WorkloadKind]()),
        ("", set(WorkloadKind)),
    ],
)
def test_kinds_that_are_not_targeted_are_not_scanned(targets: str, kinds: set[WorkloadKind]) -> None:
    """An Ingress runs no image, so targeting only those selects no workload."""
    environ = {"OPERATOR_NAMESPACE": "trivy-system", "OPERATOR_TARGET_WORKLOADS": targets}
    assert build_selection(load_settings(environ)).kinds == kinds
