"""Compliance: how a cluster meets a standard, answered from the reports of audits. Pure."""
