"""Every setting once: its key, type, default, meaning, and where it may be set."""

from .fingerprint import redacted, settings_hash
from .load import Problem, SettingsError, load_settings
from .operator import TargetKind
from .setting import Affects, Setting, Source
from .trivy import TrivyCommand, TrivyMode
from .values import SETTINGS, Settings

__all__ = [
    "SETTINGS",
    "Affects",
    "Problem",
    "Setting",
    "Settings",
    "SettingsError",
    "Source",
    "TargetKind",
    "TrivyCommand",
    "TrivyMode",
    "load_settings",
    "redacted",
    "settings_hash",
]
