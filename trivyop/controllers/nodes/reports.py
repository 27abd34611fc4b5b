"""Reports on nodes: whether one says what it should, and making it from what was read of its node.

Promises: a report is written only from checks of now on what was read last; what is known to fail with the
same checks on the same answer is remembered until the operator restarts.
Not here: when to make one (`reconciler.py`), and what it says (`trivyop.report.audit`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from trivyop.audit.engine import AuditError, AuditFailure, Outcome, Subject
from trivyop.audit.nodes.info import NodeInfo
from trivyop.audit.nodes.nodescan import NodeScanStatus
from trivyop.control.clock import Clock
from trivyop.controllers.reports import Reports
from trivyop.kube.resources import CLUSTERINFRAASSESSMENTREPORTS, NODES, ObjectKey
from trivyop.report.audit import AuditBasis, AuditOptions, AuditSubject, build_audit_report, report_name
from trivyop.report.stored import StoredReport
from trivyop.trivy.failures import FailureClass
from trivyop.workload.nodes import ClusterNode

_RESOURCE = CLUSTERINFRAASSESSMENTREPORTS
_KIND = "NodeInfo"  # as policies and checks call it
_CLASSES = {AuditFailure.TIMEOUT: FailureClass.TIMEOUT, AuditFailure.UNPARSABLE: FailureClass.PARSE}


class NodeAuditor(Protocol):
    """Evaluates checks, with the policies of the moment."""

    @property
    def version(self) -> str: ...

    async def audit(self, subject: Subject, *, urgent: bool) -> Outcome: ...

    def policies_hash(self, kind: str) -> str: ...

    def forget(self, name: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Unmade:
    """Why there is no report: a word for the state, a text for people, and what decides on retries."""

    reason: str
    message: str
    failure_class: FailureClass


class NodeReports:
    """The ClusterInfraAssessmentReports of nodes."""

    def __init__(self, reports: Reports, auditor: NodeAuditor, options: AuditOptions, clock: Clock) -> None:
        self._reports = reports
        self._auditor = auditor
        self._options = options
        self._settings_hash = options.settings_hash
        self._clock = clock
        self._in_vain: dict[str, tuple[str, str]] = {}  # what could not be evaluated, with which checks

    @property
    def is_off(self) -> bool:
        """Whether there is no place for such reports."""
        return self._reports.is_off(_RESOURCE)

    def is_current(self, node: ClusterNode, status: NodeScanStatus) -> bool:
        """Whether the report of a node says what it should."""
        report = self._of(node)
        return (
            report is not None
            and (report.spec_hash, report.policies_hash) == self.basis(status)
            and report.settings_hash == self._settings_hash
        )

    def basis(self, status: NodeScanStatus) -> tuple[str, str]:
        """What a report is made from: what was read, and the checks."""
        return status.info_hash, self._auditor.policies_hash(_KIND)

    def failed_before(self, node: str, status: NodeScanStatus) -> bool:
        """Whether it was tried with the same here, in vain."""
        return self._in_vain.get(node) == self.basis(status)

    async def make(self, node: ClusterNode, status: NodeScanStatus, info: NodeInfo) -> Unmade | None:
        """Have what was read checked, and write the report.

        Raises ``TransientError``, also if it is nobody's fault that nothing could be checked.
        """
        meta, basis = node.metadata, self.basis(status)
        try:
            checks = await self._auditor.audit(Subject(_name(meta.name), _KIND, info.document), urgent=False)
        except AuditError as error:
            if error.everyone:
                raise
            self._in_vain[meta.name] = basis
            failure_class = _CLASSES.get(error.reason, FailureClass.SCANNER)
            return Unmade(error.reason.value, error.message, failure_class)
        report = build_audit_report(
            _RESOURCE,
            AuditSubject("Node", NODES.api_version, meta.key, meta.uid, meta.labels or {}),
            checks,
            AuditBasis(*basis, scanner_version=self._auditor.version),
            self._options,
            now=self._clock.now(),
        )
        refusal = await self._reports.write_object(_RESOURCE, report)
        if refusal is not None:
            self._in_vain[meta.name] = basis
            words = f"the API server refused the report {refusal.key}: {refusal.error}"
            return Unmade("refused", words, FailureClass.ADMISSION)
        self._in_vain.pop(meta.name, None)
        return None

    async def delete(self, node: ClusterNode) -> None:
        """Delete the report of a node, if it has one."""
        report = self._of(node)
        if report is not None:
            await self._reports.delete(_RESOURCE, report)

    def forget(self, node: str) -> None:
        """The node is gone; its report goes with it."""
        self._in_vain.pop(node, None)
        self._auditor.forget(_name(node))

    def _of(self, node: ClusterNode) -> StoredReport | None:
        key = ObjectKey("", report_name(_RESOURCE, "Node", node.metadata.name))
        report = self._reports.get(_RESOURCE, key)
        return report if report is not None and report.owner_uid == node.metadata.uid else None


def _name(node: str) -> str:
    return f"Node/{node}"
