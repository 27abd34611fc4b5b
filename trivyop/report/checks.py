"""Checks: what an audit says about one resource, in the words of the reports.

The audit engine makes these values, the report builders read them. A check that finds several things in one
resource comes once for each; one that finds nothing comes once, as a success.
Not here: which of them a report shows (settings decide, see ``audit.py``).
"""

from __future__ import annotations

import msgspec

from trivyop.report.findings import Severity


class Check(msgspec.Struct, frozen=True, gc=False):
    """One thing found, or one check passed."""

    id: str  # as the Go operator spells it by default: "AVD-KSV-0014"
    title: str
    description: str
    remediation: str
    severity: Severity
    success: bool
    message: str = ""  # "" if it passed
