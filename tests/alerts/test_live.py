"""Dashboard and alerts in a real Prometheus that scrapes a real operator."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.alerts.definitions import filled_in, groups, queries
from tests.e2e.auditing import create, role
from tests.e2e.harness import deployment, running_cluster, running_operator
from tests.e2e.prometheus import metrics_address, needs_prometheus, running_prometheus
from trivyop.kube.resources import ROLES

AUDITS = {
    "OPERATOR_CONFIG_AUDIT_SCANNER_ENABLED": "true",
    "OPERATOR_RBAC_ASSESSMENT_SCANNER_ENABLED": "true",
}
# Panels that have nothing to show as long as nothing goes wrong.
QUIET = {
    "Scans that fail, by reason",
    "Failed attempts",
    "Failed checks by resource",
    "Exposed secrets by workload",
    "Audits that fail",
    "Policies with a problem",
    "Age of the vulnerability database",
    "Compliance, controls passed",
    "Series left out",
    "Kubernetes API",  # the connection is the test's
    "Deliveries",
    "Backlog",
    "Since the last success",
    "Not told",
}


@pytest.mark.slow
@needs_prometheus
async def test_panels_show_something_and_rules_are_evaluated(tmp_path: Path) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text(yaml.safe_dump({"groups": groups()}))
    async with running_cluster(tmp_path) as cluster:
        image = cluster.image("shop/web:1.0")
        await cluster.create(deployment("web", "shop", app=image))
        await create(cluster, ROLES, role("reader"))
        async with (
            running_operator(cluster, environ=AUDITS) as operator,
            running_prometheus(tmp_path, [await metrics_address(operator)], rule_files=[rules]) as prometheus,
        ):
            await cluster.until_reported("shop/ReplicaSet/web/app")
            await prometheus.until('sum(trivyop_image_fixable_vulnerabilities{severity="Critical"}) > 0')
            await prometheus.until("count(namespace_repository:trivyop_image_fixable_vulnerabilities:max)")
            await prometheus.until("sum(trivy_role_rbacassessments) > 0")
            await create(cluster, ROLES, role("writer"))  # audited between two readings, as a rate needs it
            await prometheus.until("sum(rate(trivyop_audit_seconds_bucket[5m])) > 0")
            shown = [(title, await prometheus.query(filled_in(query))) for title, query in queries()]
            groups_there = (await prometheus.get("rules"))["groups"]
            firing = await prometheus.query('ALERTS{alertstate="firing"}')

    assert {title for title, samples in shown if not samples} <= QUIET
    evaluated = [rule for group in groups_there for rule in group["rules"]]
    assert {(rule["health"], rule.get("lastError")) for rule in evaluated} == {("ok", None)}
    assert firing == []
