"""All settings as one frozen value, and the list of every setting.

``Settings()`` is what an installation gets that sets nothing.
"""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass, field
from typing import Any, cast

import orjson

from trivyop.settings.database import DatabaseSettings
from trivyop.settings.features import (
    AuditSettings,
    ComplianceSettings,
    NodeCollectorSettings,
    WebhookSettings,
)
from trivyop.settings.operator import MetricsSettings, OperatorSettings
from trivyop.settings.reports import ReportSettings
from trivyop.settings.scan_job import ScanJobSettings
from trivyop.settings.setting import Affects, Setting, settings_of
from trivyop.settings.trivy import TrivySettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Every setting, grouped by what it is about. Shared by all parts: read it, never change it."""

    operator: OperatorSettings = field(default_factory=OperatorSettings)
    metrics: MetricsSettings = field(default_factory=MetricsSettings)
    reports: ReportSettings = field(default_factory=ReportSettings)
    scan_job: ScanJobSettings = field(default_factory=ScanJobSettings)
    trivy: TrivySettings = field(default_factory=TrivySettings)
    database: DatabaseSettings = field(default_factory=DatabaseSettings)
    audit: AuditSettings = field(default_factory=AuditSettings)
    node_collector: NodeCollectorSettings = field(default_factory=NodeCollectorSettings)
    compliance: ComplianceSettings = field(default_factory=ComplianceSettings)
    webhook: WebhookSettings = field(default_factory=WebhookSettings)
    warnings: tuple[str, ...] = field(
        default=(), compare=False
    )  # what ``load_settings`` found odd, for the log
    given: frozenset[str] = field(
        default=frozenset(), compare=False
    )  # keys that were there, defaults included

    def value_of(self, declared: Setting) -> Any:
        group, _, name = declared.path.partition(".")
        return getattr(getattr(self, group), name)

    def is_set(self, key: str) -> bool:
        """Whether somebody chose the value of a setting; else what Trivy does by itself may count."""
        declared = _BY_KEY[key]
        return key in self.given or self.value_of(declared) != declared.default


GROUPS: dict[str, type] = {
    group.name: group.default_factory
    for group in dataclasses.fields(Settings)
    if isinstance(group.default_factory, type)
}

SETTINGS: tuple[Setting, ...] = tuple(
    declared for group, value_type in GROUPS.items() for declared in settings_of(value_type, f"{group}.")
)
_BY_KEY: dict[str, Setting] = {declared.key: declared for declared in SETTINGS}


def settings_hash(
    settings: Settings, *, affecting: tuple[Affects, ...] = (Affects.SCAN, Affects.REPORT)
) -> str:
    """Hash of the settings that change what a scan finds or what a report contains; 16 hex digits.

    Equal settings have equal hashes in any process. ``affecting=(Affects.SCAN,)`` is for the findings alone.
    """
    document = {
        declared.key: _text(declared, settings.value_of(declared))
        for declared in SETTINGS
        if declared.affects in affecting
    }
    if settings.trivy.config_file:  # what is set counts before this file, also when it is set to the default
        document["given"] = " ".join(sorted(document.keys() & settings.given))
    return hashlib.sha256(orjson.dumps(document, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]


def _text(declared: Setting, value: Any) -> str | dict[str, str]:
    if declared.family or isinstance(value, dict):
        items = cast("dict[str, Any]", value)
        return {key: str(text) for key, text in items.items()}
    return declared.kind.show(value)


def redacted(settings: Settings) -> dict[str, str]:
    """Settings that differ from the default, by key, as texts; a secret is ``***``."""
    shown: dict[str, str] = {}
    for declared in SETTINGS:
        value = settings.value_of(declared)
        if value == declared.default:
            continue
        if declared.family:
            shown.update(
                {f"{declared.key}{rest}": str(declared.kind.show(text)) for rest, text in value.items()}
            )
        else:
            shown[declared.key] = "***" if declared.secret else declared.kind.show(value)
    return shown
