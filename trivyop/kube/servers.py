"""Servers: what the version of an API server tells, such as ``v1.34.2-gke.1``. Pure."""

from __future__ import annotations

import re

_VERSION = re.compile(r"v?(\d{1,4})\.(\d{1,4})(?!\d)")


def is_at_least(git_version: str, wanted: tuple[int, int]) -> bool:
    """Whether the version is of that minor release or a later one; False where it cannot be read."""
    found = _VERSION.match(git_version)
    return found is not None and (int(found[1]), int(found[2])) >= wanted
