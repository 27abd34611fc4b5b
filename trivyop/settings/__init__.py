"""Every setting once: its key, type, default, meaning, and where it may be set."""

from trivyop.settings.choices import TrivyCommand, TrivyMode
from trivyop.settings.kinds import SecretText
from trivyop.settings.load import Problem, SettingsError, load_settings
from trivyop.settings.operator import TargetKind
from trivyop.settings.setting import Affects, Setting, Source
from trivyop.settings.values import SETTINGS, Settings, redacted, settings_hash

__all__ = [
    "SETTINGS",
    "Affects",
    "Problem",
    "SecretText",
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
