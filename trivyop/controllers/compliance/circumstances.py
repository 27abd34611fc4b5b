"""Circumstances: what else controls are answered from, gathered from settings, audits and the cluster.

Promises: reads nothing but the version of the API server, and what Trivy says of its checks.
"""

from __future__ import annotations

from collections.abc import Iterable

from trivyop.compliance.evaluation import Circumstances, Scanner
from trivyop.compliance.profile import Profile, detect_profile
from trivyop.controllers.audits.concern import Auditing
from trivyop.controllers.context import ControllerContext
from trivyop.report.findings import Severity
from trivyop.settings import Settings

_CHECKED_AS = {"Node": "NodeInfo"}  # as policies and checks call it


class Surroundings:
    """What a cluster and the settings say; `auditing` is None where nothing is audited."""

    def __init__(self, context: ControllerContext, auditing: Auditing | None) -> None:
        self._api = context.api
        self._discovery = context.discovery
        self._nodes = context.informers.nodes
        self._auditing = auditing
        self._off = _scanners_off(context.settings, collects=context.collects)
        self._severities = frozenset(Severity(name.value) for name in context.settings.trivy.severities)

    async def profile(self) -> Profile:
        """What sort of cluster this is. Raises ``TransientError``."""
        version = (await self._api.version()).get("gitVersion", "")
        groups = {resource.group for resource in self._discovery.resources}
        return detect_profile(version, groups, (node.metadata.labels or {} for node in self._nodes.values()))

    async def gather(self, audited_kinds: Iterable[str]) -> Circumstances:
        """The circumstances of now; `audited_kinds` are those of which there are reports.

        Raises ``TransientError``, also if Trivy does not say which checks it has.
        """
        profile = await self.profile()
        if self._auditing is None:
            return Circumstances(
                checks={},
                scanners_off=self._off,
                severities=self._severities,
                managed_control_plane=profile.managed_control_plane,
            )
        auditor = self._auditing.auditor
        kinds = {kind: _CHECKED_AS.get(kind, kind) for kind in audited_kinds}
        return Circumstances(
            checks=await auditor.checks(),
            scanners_off=self._off,
            severities=self._severities,
            policies={
                kind: auditor.policies_hash(checked)
                for kind, checked in kinds.items()
                if not auditor.undecided(checked)
            },
            absent_kinds=self._auditing.absent_kinds(),
            managed_control_plane=profile.managed_control_plane,
        )


def _scanners_off(settings: Settings, *, collects: bool) -> frozenset[Scanner]:
    audit = settings.audit
    on = {
        Scanner.CONFIG_AUDIT: audit.config_audit_enabled,
        Scanner.RBAC_ASSESSMENT: audit.config_audit_enabled and audit.rbac_assessment_enabled,
        Scanner.INFRA_ASSESSMENT: collects,
    }
    return frozenset(scanner for scanner, enabled in on.items() if not enabled)
