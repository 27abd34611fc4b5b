"""Kinds of reports, as tests ask for them: what scans of images make for containers, and what audits make."""

from __future__ import annotations

from trivyop.report.kinds import About, reports_about, reports_of_audits

REPORT_KINDS = reports_about(About.CONTAINER)
AUDIT_REPORT_KINDS = reports_of_audits()
