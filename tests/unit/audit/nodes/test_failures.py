"""Why a node could not be read, in words that help."""

from __future__ import annotations

import pytest

from trivyop.audit.nodes.failures import explain_exit, explain_reason, explained, forbidden_by
from trivyop.trivy.failures import FailureClass


@pytest.mark.parametrize(
    ("code", "reason", "message", "failure_class"),
    [
        (1, "Error", "cannot list nodes", FailureClass.SCANNER),
        (127, "Error", "", FailureClass.SCANNER_IMAGE),
        (137, "Error", "", FailureClass.OUT_OF_MEMORY),
        (137, "OOMKilled", "", FailureClass.OUT_OF_MEMORY),
        (143, "Error", "", FailureClass.INTERRUPTED),
    ],
)
def test_end_of_the_collector_has_a_class(
    code: int, reason: str, message: str, failure_class: FailureClass
) -> None:
    found = explain_exit(code, reason, message)

    assert found.failure_class is failure_class
    assert message in found.message
    assert "Trivy" not in f"{found.message} {found.remedy}"


@pytest.mark.parametrize(
    ("reason", "failure_class"),
    [
        ("DeadlineExceeded", FailureClass.TIMEOUT),
        ("ImagePullBackOff", FailureClass.SCANNER_IMAGE),
        ("Evicted", FailureClass.INTERRUPTED),
        ("FailedCreate", FailureClass.ADMISSION),
    ],
)
def test_words_of_kubernetes_have_a_class_and_a_remedy_for_nodes(
    reason: str, failure_class: FailureClass
) -> None:
    found = explain_reason(reason, "why")

    assert found.failure_class is failure_class
    assert found.remedy == explained(failure_class, "").remedy


@pytest.mark.parametrize("standard", ["baseline", "restricted"])
def test_namespace_that_forbids_host_access_is_named(standard: str) -> None:
    found = forbidden_by("trivy-system", {"pod-security.kubernetes.io/enforce": standard})

    assert found is not None
    assert found.failure_class is FailureClass.ADMISSION
    assert "trivy-system" in found.message
    assert "OPERATOR_NODE_COLLECTOR_NAMESPACE" in found.remedy


@pytest.mark.parametrize("labels", [{}, {"pod-security.kubernetes.io/enforce": "privileged"}])
def test_namespace_that_forbids_nothing_is_fine(labels: dict[str, str]) -> None:
    assert forbidden_by("trivy-system", labels) is None
