"""Check ids: one spelling for reports, and one that makes all spellings equal.

Trivy has named its checks ``KSV014``, ``AVD-KSV-0014`` and ``KSV-0014`` over time, with some slips. Reports
spell them as users' dashboards know them, ``AVD-KSV-0014``; ids of custom policies stay as they are written.

Promises: pure. Two spellings of one check have one canonical form, which is an id as Trivy writes it today.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

_SPELLING = re.compile(r"(?:AVD-)?(K[SC]V)-?0*(\d+)", re.IGNORECASE)
# Two checks got a digit too many, and kept it.
_KEPT: Final = frozenset({"01010", "01011"})
_NAMED: Final = {"no-user-pods-in-system-namespace": "KSV-0037"}
_SLIPS: Final = {"KCV0135": "KCV-0035"}  # the bundle's name for it


@lru_cache(maxsize=4096)
def canonical(check_id: str) -> str:
    """The form that all spellings of an id share: ``KSV-0014``; other ids in upper case."""
    known = _NAMED.get(check_id.lower()) or _SLIPS.get(check_id.upper())
    if known:
        return known
    found = _SPELLING.fullmatch(check_id)
    if found is None:
        return check_id.upper()
    prefix, number = found[1].upper(), found[2]
    return f"{prefix}-0{number}" if f"0{number}" in _KEPT else f"{prefix}-{number:0>4}"


def reported(check_id: str) -> str:
    """An id as reports spell it: ``AVD-KSV-0014``; ids that are not Trivy's stay as they are."""
    if _SPELLING.fullmatch(check_id) is None and check_id.lower() not in _NAMED:
        return check_id
    return f"AVD-{canonical(check_id)}"


def is_infra(check_id: str) -> bool:
    """Whether the check is about the control plane or a node; such go to infra assessments only."""
    return canonical(check_id).startswith("KCV-")
