"""Settings of the vulnerability database that the operator itself keeps."""

from __future__ import annotations

from dataclasses import dataclass

from trivyop.settings import kinds
from trivyop.settings.setting import setting


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseSettings:
    """The vulnerability database the operator itself keeps, to match bills of materials again."""

    rematch_enabled: bool = setting(
        "OPERATOR_REMATCH_ENABLED",
        kinds.BOOL,
        True,
        "Refresh reports by matching the stored bill of materials against the current database. "
        "Off: by a new scan.",
        ours=True,
    )
    rematch_concurrency: int = setting(
        "OPERATOR_REMATCH_CONCURRENCY", kinds.integer(1, 64), 1, "How many of those run at a time.", ours=True
    )
    rematch_timeout_seconds: float = setting(
        "OPERATOR_REMATCH_TIMEOUT", kinds.duration(1), 120.0, "Longest run of one of those.", ours=True
    )
    refresh_interval_seconds: float = setting(
        "OPERATOR_DATABASE_REFRESH_INTERVAL",
        kinds.duration(60),
        21_600.0,
        "How often the operator looks for a new vulnerability database.",
        ours=True,
    )
    download_timeout_seconds: float = setting(
        "OPERATOR_DATABASE_DOWNLOAD_TIMEOUT", kinds.duration(1), 600.0, "Longest time to fetch it.", ours=True
    )
    trivy_program: str = setting(
        "OPERATOR_TRIVY_PROGRAM", kinds.TEXT, "trivy", "Trivy as the operator itself runs it.", ours=True
    )
    cache_dir: str = setting(
        "OPERATOR_TRIVY_CACHE_DIR",
        kinds.ABSOLUTE_PATH,
        "/tmp/trivyop",  # noqa: S108 (a volume in the operator's own pod)
        "Where the operator keeps its database.",
        ours=True,
    )
