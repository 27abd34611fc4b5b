"""Settings that were chosen for a part that is off, or that this version does not have: named, each with why.

Promises: pure; nothing is said of a setting that has its default value.
Not here: keys that are not known, or never have an effect (``load.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from trivyop.settings.choices import TrivyCommand, TrivyMode
from trivyop.settings.values import SETTINGS, Settings

_MISSING = {
    "alternate storage": "reports as files are not part of this version",
}


@dataclass(frozen=True, slots=True)
class _Part:
    """Settings that have no effect while something holds. ``paths`` are theirs, or end in a dot for a
    group."""

    why: str
    is_off: Callable[[Settings], bool]
    paths: tuple[str, ...]
    but: tuple[str, ...] = ()

    def has(self, path: str) -> bool:
        return path not in self.but and any(
            path.startswith(one) if one.endswith(".") else path == one for one in self.paths
        )


_PARTS = (
    _Part(
        "trivy.mode is Standalone",
        lambda settings: settings.trivy.mode is TrivyMode.STANDALONE,
        (
            "trivy.server_url",
            "trivy.server_token",
            "trivy.server_token_header",
            "trivy.server_custom_headers",
            "trivy.server_insecure",
            "trivy.client_server_skip_update",
        ),
    ),
    _Part(
        "trivy.serverToken is not set",
        lambda settings: not settings.trivy.server_token,
        ("trivy.server_token_header",),
    ),
    _Part(
        "trivy.command is image",
        lambda settings: settings.trivy.command is TrivyCommand.IMAGE,
        ("trivy.filesystem_scan_cache_dir",),
    ),
    _Part(
        "trivy.ignoreFile is not set",
        lambda settings: not settings.trivy.ignore_file.strip(),
        ("trivy.ignore_file_name",),
    ),
    _Part(
        "OPERATOR_VULNERABILITY_SCANNER_ENABLED is false",
        lambda settings: not settings.operator.vulnerability_scanner_enabled,
        ("trivy.vuln_types", "trivy.ignore_unfixed", "reports.additional_vulnerability_fields"),
    ),
    _Part(
        "OPERATOR_CONFIG_AUDIT_SCANNER_ENABLED is false",
        lambda settings: not settings.audit.config_audit_enabled,
        ("audit.", "node_collector."),
        but=("audit.config_audit_enabled",),
    ),
    _Part(
        "OPERATOR_INFRA_ASSESSMENT_SCANNER_ENABLED is false",
        lambda settings: not settings.audit.infra_assessment_enabled,
        ("node_collector.",),
    ),
    _Part(
        "OPERATOR_RBAC_ASSESSMENT_SCANNER_ENABLED is false",
        lambda settings: not settings.audit.rbac_assessment_enabled,
        ("audit.merge_rbac_findings",),
    ),
    _Part(
        "OPERATOR_CONCURRENT_NODE_COLLECTOR_LIMIT is 0",
        lambda settings: settings.node_collector.concurrency_limit == 0,
        ("node_collector.",),
        but=("node_collector.concurrency_limit",),
    ),
    _Part(
        "OPERATOR_METRICS_BIND_ADDRESS is 0",
        lambda settings: settings.metrics.bind_address == "0",
        ("metrics.",),
        but=("metrics.bind_address",),
    ),
    _Part(
        "OPERATOR_METRICS_FINDINGS_ENABLED is false",
        lambda settings: not settings.metrics.findings_enabled,
        ("metrics.",),
        but=("metrics.bind_address", "metrics.findings_enabled"),
    ),
    _Part(
        "OPERATOR_REMATCH_ENABLED is false",
        lambda settings: not settings.database.rematch_enabled,
        ("database.rematch_concurrency", "database.rematch_timeout_seconds"),
    ),
    _Part(
        "OPERATOR_LEADER_ELECTION_ENABLED is false",
        lambda settings: not settings.operator.leader_election_enabled,
        ("operator.leader_election_id",),
    ),
    _Part(
        "OPERATOR_CLUSTER_COMPLIANCE_ENABLED is false",
        lambda settings: not settings.compliance.enabled,
        ("compliance.",),
        but=("compliance.enabled",),
    ),
    _Part(
        "OPERATOR_WEBHOOK_BROADCAST_URL is not set",
        lambda settings: not settings.webhook.url,
        ("webhook.timeout_seconds", "webhook.headers"),
    ),
)


def idle_settings(settings: Settings) -> Iterator[str]:
    """What to say of each setting that was chosen and changes nothing."""
    off = [part for part in _PARTS if part.is_off(settings)]
    for declared in SETTINGS:
        if declared.ignored or settings.value_of(declared) == declared.default:
            continue
        why = _MISSING.get(declared.feature) or next(
            (part.why for part in off if part.has(declared.path)), ""
        )
        if why:
            yield f"{declared.key} has no effect: {why}"
