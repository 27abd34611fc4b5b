"""What users and Prometheus see of the operator: logs, health, and the metrics of scans and reports."""
