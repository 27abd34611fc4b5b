"""Images: workloads, the image scans that they need, and what comes of these."""
