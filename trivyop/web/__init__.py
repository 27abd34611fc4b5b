"""The HTTP side of the operator: metrics and health probes."""
