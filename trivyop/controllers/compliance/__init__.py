"""Compliance: the status of ClusterComplianceReports, kept up to date from what reports of audits say."""
