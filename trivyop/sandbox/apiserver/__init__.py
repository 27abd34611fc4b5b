"""A Kubernetes API server in memory, for tests and the demo."""
