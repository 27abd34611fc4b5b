"""Deduplicator others: what goes to which webhook, in which form, how it is signed, sent and remembered."""
