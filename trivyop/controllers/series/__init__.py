"""Series: the metrics that are counted from reports, as text; `reports` is what a server asks."""
