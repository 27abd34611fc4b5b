"""One setting: the key users know, how its text is read, its default, its meaning, where it may be set.

A setting is declared exactly once, as the default of a dataclass field: ``setting(...)`` has the type of the
field's value, and hides a ``Setting`` in the field's metadata. ``settings_of`` finds them again.

Not here: reading texts from anywhere (``load.py``).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Any, Final, TypeVar, cast

from trivyop.settings.kinds import Kind

T = TypeVar("T")

_METADATA_KEY: Final = "setting"


class Source(Enum):
    """Where a setting may be set; the value says it in words."""

    ENV = "environment of the operator"
    CONFIG = "ConfigMap `trivy-operator`"
    SECRET = "Secret `trivy-operator`"  # noqa: S105 (the name of an object)
    TRIVY_CONFIG = "ConfigMap `trivy-operator-trivy-config`"
    TRIVY_SECRET = "Secret `trivy-operator-trivy-config`"  # noqa: S105 (the name of an object)


IN_CONFIG: Final = (Source.CONFIG, Source.SECRET)
IN_TRIVY_CONFIG: Final = (Source.TRIVY_CONFIG, Source.TRIVY_SECRET)


class Affects(StrEnum):
    """What has to be made anew when the setting changes."""

    NOTHING = "nothing"
    SCAN = "scan"  # what a scan finds
    REPORT = "report"  # what a report contains, from the same findings


@dataclass(frozen=True, slots=True)
class Setting:
    """``path`` is the attribute below ``Settings`` ("scan_job.timeout_seconds")."""

    key: str  # for a family: the prefix, and the value maps what follows it to parsed values
    path: str
    kind: Kind[Any]
    default: Any
    meaning: str
    sources: tuple[Source, ...]
    feature: str = ""  # "" is the scanning of images; others are accepted and checked all the same
    affects: Affects = Affects.NOTHING
    secret: bool = False
    required: bool = False
    family: bool = False
    ours: bool = False  # the Go operator does not know it
    ignored: str = ""  # accepted, without effect: why
    for_secret: bool = False  # belongs into a Secret, although it is read from the ConfigMap as well

    @property
    def default_text(self) -> str:
        if self.required:
            return ""
        if self.family:
            return ""
        return self.kind.show(self.default)


def setting(
    key: str,
    kind: Kind[T],
    default: T,
    meaning: str,
    *,
    sources: tuple[Source, ...] = (Source.ENV,),
    feature: str = "",
    affects: Affects = Affects.NOTHING,
    secret: bool = False,
    required: bool = False,
    ours: bool = False,
    ignored: str = "",
    for_secret: bool = False,
) -> T:
    """Declare a field's setting. What it returns at run time is a dataclass field."""
    declared = Setting(
        key,
        "",
        kind,
        default,
        meaning,
        sources,
        feature,
        affects,
        secret or for_secret,
        required,
        ours=ours,
        ignored=ignored,
        for_secret=for_secret,
    )
    return cast("T", _field(declared))


def family(
    prefix: str,
    kind: Kind[T],
    meaning: str,
    *,
    sources: tuple[Source, ...],
    affects: Affects = Affects.NOTHING,
    feature: str = "",
) -> dict[str, T]:
    """Declare a field for all keys with a prefix; it maps the rest of each key to its value."""
    declared = Setting(prefix, "", kind, {}, meaning, sources, feature, affects, family=True)
    return cast("dict[str, T]", _field(declared))


def _field(declared: Setting) -> object:
    metadata = {_METADATA_KEY: declared}
    default = declared.default
    if isinstance(default, dict):
        return dataclasses.field(
            default_factory=lambda: dict(cast("dict[str, object]", default)), metadata=metadata
        )
    return dataclasses.field(default=default, metadata=metadata)


def settings_of(value_type: type, prefix: str = "") -> Iterator[Setting]:
    """Every setting declared in a dataclass, with its path from ``prefix`` on."""
    for declared_field in dataclasses.fields(value_type):
        declared = declared_field.metadata.get(_METADATA_KEY)
        if isinstance(declared, Setting):
            yield dataclasses.replace(declared, path=f"{prefix}{declared_field.name}")
