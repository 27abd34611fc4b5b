"""What a real Prometheus makes of the operator's metrics."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import aiohttp
import pytest

from tests.e2e.auditing import role
from tests.e2e.harness import deployment, pod, running_cluster, running_operator
from tests.e2e.looking import until_readiness
from tests.e2e.prometheus import (
    metrics_address,
    needs_prometheus,
    needs_promtool,
    promtool,
    running_prometheus,
)
from tests.series import parse, without_help
from trivyop.kube.resources import (
    CONFIGAUDITREPORTS,
    RBACASSESSMENTREPORTS,
    VULNERABILITYREPORTS,
    ObjectKey,
)

ALL_ON: Mapping[str, str] = {
    "OPERATOR_METRICS_VULN_ID_ENABLED": "true",
    "OPERATOR_METRICS_EXPOSED_SECRET_INFO_ENABLED": "true",
    "OPERATOR_METRICS_IMAGE_INFO_ENABLED": "true",
    "OPERATOR_METRICS_CONFIG_AUDIT_INFO_ENABLED": "true",
    "OPERATOR_METRICS_RBAC_ASSESSMENT_INFO_ENABLED": "true",
    "OPERATOR_METRICS_INFRA_ASSESSMENT_INFO_ENABLED": "true",
    "OPERATOR_METRICS_CLUSTER_COMPLIANCE_INFO_ENABLED": "true",
    "OPERATOR_METRICS_IMAGE_VULNERABILITY_INFO_ENABLED": "true",
}
CONTAINERS = ("shop/ReplicaSet/web/app", "shop/Pod/job/app")


OPEN_METRICS = "application/openmetrics-text;version=1.0.0"


async def scrape(url: str, accept: str = "text/plain") -> str:
    async with aiohttp.ClientSession() as session, session.get(url, headers={"Accept": accept}) as answer:
        return await answer.text()


@pytest.mark.slow
@needs_prometheus
async def test_prometheus_has_what_reports_say_through_a_restart_of_the_operator(tmp_path: Path) -> None:
    """Values agree with the reports, a join finds who runs what, and the counts have no gap."""
    async with running_cluster(tmp_path) as cluster:
        image = cluster.image("shop/web:1.0")
        await cluster.create(deployment("web", "shop", app=image), pod("job", "shop", app=image))
        async with (
            running_operator(cluster, environ=ALL_ON) as operator,
            running_prometheus(tmp_path, [await metrics_address(operator)]) as prometheus,
        ):
            await cluster.until_reported(*CONTAINERS)
            await cluster.until_settled()
            reports = await cluster.list(VULNERABILITYREPORTS)
            critical = sum(one["report"]["summary"]["criticalCount"] for one in reports)
            assert critical
            total = 'sum(trivy_image_vulnerabilities{severity="Critical"})'
            await prometheus.until(total, lambda found: [value for _, value in found] == [critical])

            users = await prometheus.until(
                "trivyop_image_used_by * on (image_digest) group_left () group by (image_digest)"
                ' (trivyop_image_vulnerability_info{severity="Critical"})'
            )
            assert {labels["resource_kind"] for labels, _ in users} == {"ReplicaSet", "Pod"}
            per_container = await prometheus.query('count(trivy_vulnerability_id{severity="Critical"})')
            per_image = await prometheus.query('count(trivyop_image_vulnerability_info{severity="Critical"})')
            assert per_container[0][1] == 2 * per_image[0][1]

            await cluster.api.delete(VULNERABILITYREPORTS, key(reports[0]))
            await cluster.until_reported(*CONTAINERS)
            (health,) = (await prometheus.get("targets"))["activeTargets"]
            assert health["lastError"] == ""
            assert await prometheus.query("trivyop_scan_coverage_ratio") != []

        # another life, elsewhere: its first page is either empty or whole
        async with (
            running_operator(cluster, environ=ALL_ON) as operator,
            aiohttp.ClientSession() as session,
        ):
            url = f"http://{await metrics_address(operator)}/metrics"
            sums: list[float] = []
            while critical not in sums:
                async with session.get(url) as answer:
                    page = parse(await answer.text())
                series = [
                    value
                    for (name, labels), value in page.items()
                    if name == "trivy_image_vulnerabilities" and ("severity", "Critical") in labels
                ]
                if series:
                    sums.append(sum(series))
        assert sums == [critical]


def key(report: Mapping[str, Mapping[str, str]]) -> ObjectKey:
    return ObjectKey(report["metadata"]["namespace"], report["metadata"]["name"])


@pytest.mark.slow
@needs_promtool
async def test_promtool_has_nothing_to_say(tmp_path: Path) -> None:
    async with running_cluster(tmp_path) as cluster:
        await cluster.create(pod("job", "shop", app=cluster.image("shop/web:1.0")), role("reader"))
        environ = {**ALL_ON, "OPERATOR_CONFIG_AUDIT_SCANNER_ENABLED": "true"}
        async with running_operator(cluster, environ=environ) as operator:
            await cluster.until_reported("shop/Pod/job/app")
            await cluster.until_settled()
            await cluster.until(len, CONFIGAUDITREPORTS, "shop")
            await cluster.until(len, RBACASSESSMENTREPORTS, "shop")
            page = await scrape(f"{operator.urls['metrics']}/metrics")

    done = await promtool("check", "metrics", text=page)

    assert (done.code, done.out, done.err) == (0, "", "")
    served = {name for name, _ in parse(page)}
    assert {"trivy_vulnerability_id", "trivy_configaudits_info", "trivy_image_info"} <= served
    assert {"trivy_resource_configaudits", "trivy_role_rbacassessments"} <= served


async def test_of_two_replicas_the_one_that_leads_tells_what_reports_say(tmp_path: Path) -> None:
    """Otherwise every sum would be twice what it is; a standby says that it is one, and is ready."""
    environ = {**ALL_ON, "OPERATOR_LEADER_ELECTION_ENABLED": "true"}
    async with running_cluster(tmp_path) as cluster:
        await cluster.create(pod("job", "shop", app=cluster.image("shop/web:1.0")))
        async with running_operator(cluster, environ=environ) as first:
            await cluster.until_reported("shop/Pod/job/app")
            async with running_operator(cluster, environ=environ) as second:
                waiting = await until_readiness(second, lambda answer: answer[0] == 200)
                leading = await until_readiness(first, lambda answer: answer[0] == 200)
                texts = [await scrape(f"{one.urls['metrics']}/metrics") for one in (first, second)]
                texts.append(await scrape(f"{first.urls['metrics']}/metrics", OPEN_METRICS))

    assert [without_help(text) for text in texts] == [[], [], []]
    pages = [parse(text) for text in texts[:2]]
    leads = [page["trivyop_leader", frozenset[tuple[str, str]]()] for page in pages]
    counted = [any(name.startswith("trivy_") for name, _ in page) for page in pages]
    assert (leads, counted) == ([1, 0], [True, False])
    assert "[i] leader: this replica leads\n" in leading[1]
    assert "[i] leader: another replica leads, or none yet\n" in waiting[1]
