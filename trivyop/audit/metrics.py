"""What audits tell Prometheus. Policies are label values: they come from one ConfigMap, and are few."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from trivyop.audit.engine import AuditFailure
from trivyop.audit.policies import PolicyProblem

_SECONDS = (0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300)
BATCH_RESULTS = ("done", "split", "failed")


class AuditMetrics:
    """Batches, failures, policies."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.batches = Counter(
            "trivyop_audit_batches_total",
            "Batches of resources audited, by result: done, split (it had to be taken apart), failed.",
            ["result"],
            registry=registry,
        )
        self.seconds = Histogram(
            "trivyop_audit_seconds",
            "How long a batch of resources took to audit.",
            buckets=_SECONDS,
            registry=registry,
        )
        self.waiting = Gauge(
            "trivyop_audits_waiting", "Resources that wait for their audit.", registry=registry
        )
        self.failed = Gauge(
            "trivyop_audits_failed",
            "Resources whose last audit failed, by reason.",
            ["reason"],
            registry=registry,
        )
        self.policy_problem = Gauge(
            "trivyop_policy_problem",
            "1 for a custom policy, or a check, that cannot say all that it should.",
            ["policy"],
            registry=registry,
        )
        self.bundle_updated = Gauge(
            "trivyop_checks_bundle_updated_timestamp_seconds",
            "When the bundle of checks in use was fetched; 0 without one.",
            registry=registry,
        )
        self.bundle_failures = Counter(
            "trivyop_checks_bundle_failures_total", "Failed attempts to fetch that bundle.", registry=registry
        )
        for result in BATCH_RESULTS:
            self.batches.labels(result)
        self.count_failed(())

    def count_failed(self, reasons: Iterable[AuditFailure]) -> None:
        tally = Tally(reasons)
        for reason in AuditFailure:
            self.failed.labels(reason.value).set(tally[reason])

    def name_problems(self, problems: Iterable[PolicyProblem]) -> None:
        self.policy_problem.clear()
        for problem in problems:
            self.policy_problem.labels(problem.policy).set(1)
