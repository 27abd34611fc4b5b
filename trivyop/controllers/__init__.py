"""The reconcilers: the only place where workloads, scans, audits and reports meet.

Each package is one concern, and imports only what stands here, or left of it in the order
`images`, `audits`, `nodes`; `series` and `webhooks` stand by themselves:

- `images`: which scans the images of workloads need, and each scan's next step.
- `audits`: which resources are due for an audit, and their reports.
- `nodes`: how nodes are set up, and the cluster's own components.
- `series`: the metrics that are counted from reports.
- `webhooks`: what happens to reports, sent to endpoints.

Each concern is a class that the manager runs (`concern`), built from one `context`.

What they share stands beside them: `informers` hold what they read, `reports` writes reports, `usage` says
who runs which image.
"""
