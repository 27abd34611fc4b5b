"""Why a node could not be read: the classes of failed scans, in words that fit collector pods.

Promises: pure; whatever is known, there is a failure with a remedy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from trivyop.trivy.failures import Failure, FailureClass, classify, failure
from trivyop.trivy.messages import shorten

PSA_LABEL = "pod-security.kubernetes.io/enforce"
_FORBIDDING = frozenset({"baseline", "restricted"})
_EXIT_CODES = {
    126: (FailureClass.SCANNER_IMAGE, "the collector cannot be executed"),
    127: (FailureClass.SCANNER_IMAGE, "there is no collector in the image"),
    137: (FailureClass.OUT_OF_MEMORY, "the collector was killed, as a rule for its memory limit"),
    143: (FailureClass.INTERRUPTED, "the collector was stopped from outside"),
}
_REMEDIES: dict[FailureClass, str] = {
    FailureClass.ADMISSION: "Its pods need hostPID and hostPath: let them run in a namespace labelled "
    "pod-security.kubernetes.io/enforce=privileged (OPERATOR_NODE_COLLECTOR_NAMESPACE), allow them in your "
    "admission policies, or leave nodes out (OPERATOR_INFRA_ASSESSMENT_SCANNER_ENABLED=false).",
    FailureClass.UNSCHEDULABLE: "Let its pods onto the node (nodeCollector.tolerations), or leave "
    "the node out (nodeCollector.excludeNodes).",
    FailureClass.POD_START: "Look at the node, and at nodeCollector.volumes and nodeCollector.volumeMounts.",
    FailureClass.SCANNER_IMAGE: "Check node.collector.imageRef and node.collector.imagePullSecret.",
    FailureClass.TIMEOUT: "Look at the node and at its collector's pod; if it is just slow, raise "
    "OPERATOR_SCAN_JOB_TIMEOUT.",
    FailureClass.OUT_OF_MEMORY: "Raise trivy.resources.limits.memory.",
    FailureClass.DISK: "Free disk space on the node.",
    FailureClass.INTERRUPTED: "None needed: the node is read again.",
    FailureClass.PARSE: "Check that node.collector.imageRef is a node collector of version 0.3.",
    FailureClass.TOO_LARGE: "Check that node.collector.imageRef is a node collector of version 0.3.",
    FailureClass.SCANNER: "Read the message, and the log of the collector's pod.",
}


def explained(failure_class: FailureClass, message: str) -> Failure:
    """A failure of that class, with the remedy that fits nodes."""
    found = failure(failure_class, message)
    return replace(found, remedy=_REMEDIES.get(failure_class, found.remedy))


def explain_reason(reason: str, message: str) -> Failure:
    """From Kubernetes' words on a container, a pod or a Job."""
    found = classify(reason=reason, message=message)
    return explained(found.failure_class, found.message)


def explain_exit(exit_code: int, reason: str, message: str) -> Failure:
    """From how the collector's container ended."""
    if reason not in ("", "Error", "Completed"):
        return explain_reason(reason, message)
    said = shorten(" ".join(message.split())[-300:])
    failure_class, words = _EXIT_CODES.get(exit_code, (FailureClass.SCANNER, ""))
    text = ": ".join(filter(None, (f"exit code {exit_code}", words, said)))
    return explained(failure_class, text)


def forbidden_by(namespace: str, labels: Mapping[str, str]) -> Failure | None:
    """Why the pod security of a namespace does not let collectors run, as far as its labels say."""
    enforced = labels.get(PSA_LABEL, "")
    if enforced not in _FORBIDDING:
        return None
    return explained(
        FailureClass.ADMISSION, f"the namespace {namespace} enforces the pod security standard {enforced!r}"
    )
