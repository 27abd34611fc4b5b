"""Audits: what of the cluster is audited, when, and with which policies; `parts` puts them together."""
