"""What the operator tells people and Prometheus: logs, health, and the metrics of scans and reports."""
