"""Nodes and the cluster's own components: read, checked, reported; `parts` puts them together."""
