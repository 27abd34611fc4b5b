"""Ledger: what was sent to one endpoint, recorded in ConfigMaps, so that a restart repeats nothing."""
