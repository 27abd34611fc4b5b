"""What may be told about settings: a hash of those that change results, and a view without secrets."""

from __future__ import annotations

import hashlib
from typing import Any, cast

import orjson

from trivyop.settings.setting import Affects, Setting
from trivyop.settings.values import SETTINGS, Settings


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
