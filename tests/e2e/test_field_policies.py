"""Policies from the field on the sandbox, with the real Trivy, and the commands of the documentation."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from tests.e2e.auditing import auditing, create, failed, need_namespace, service, set_policies, until_report
from tests.e2e.field_cases import create_case
from tests.e2e.harness import NAMESPACE, Cluster, deployment, running_cluster
from tests.e2e.looking import until_readiness
from tests.e2e.programs import ROOT, Kubectl, run
from trivyop.controllers.audits.policies import POLICIES_CONFIG
from trivyop.kube.resources import CONFIGAUDITREPORTS, DEPLOYMENTS, EVENTS, SERVICES
from trivyop.report.keys import CORRECTED
from trivyop.sandbox.programs import kubectl as kubectl_program
from trivyop.sandbox.programs import trivy

Json = dict[str, Any]
POLICY = """# METADATA
# title: No owner
# custom:
#   id: TEAM-001
#   severity: MEDIUM
#   input:
#     selector:
#     - type: kubernetes
package trivyoperator.owner

import rego.v1

deny contains msg if {
  not input.metadata.labels.owner
  msg := sprintf("%s %s has no owner", [input.kind, input.metadata.name])
}
"""


async def report_with(cluster: Cluster, case: str, *checks: str) -> tuple[dict[str, Json], list[Json]]:
    """Rows by id of the report on a workload, once it has these; Events about the policies."""
    await need_namespace(cluster, "shop")
    await create_case(case, cluster)
    await cluster.api.create(DEPLOYMENTS, deployment("web", "shop", web=cluster.image("shop/web:1.0")))
    async with auditing(cluster):
        found = await cluster.until(
            lambda reports: any(
                set(checks) <= {row["checkID"] for row in report["report"]["checks"]} for report in reports
            ),
            CONFIGAUDITREPORTS,
            "shop",
            seconds=90,
        )
        events = [
            one
            for one in await cluster.list(EVENTS, NAMESPACE)
            if one["involvedObject"]["name"] == POLICIES_CONFIG
        ]
    (report,) = found
    return {row["checkID"]: row for row in report["report"]["checks"]}, events


async def test_two_policies_of_one_package_both_report(tmp_path: Path) -> None:
    async with running_cluster(tmp_path) as cluster:
        rows, events = await report_with(cluster, "two-policies-one-package", "team", "owner")

    assert (rows["team"]["title"], rows["team"]["severity"]) == ("Team", "LOW")
    assert (rows["owner"]["title"], rows["owner"]["severity"]) == ("Owner", "MEDIUM")
    assert rows["team"]["messages"] == ["no team"]
    assert rows["owner"]["messages"] == ["no owner"]
    assert events == []


async def test_library_of_documented_examples_is_there(tmp_path: Path) -> None:
    async with running_cluster(tmp_path) as cluster:
        rows, events = await report_with(cluster, "documented-library", "team")

    assert rows["team"]["messages"] == ["no team"]
    assert not rows["team"]["success"]
    assert events == []


async def test_policy_without_effect_is_named_where_users_look(tmp_path: Path) -> None:
    """In an Event on the ConfigMap and in readiness; another policy counts."""
    silent = POLICY.replace("deny", "warn").replace("owner\n\n", "silent\n\n").replace("TEAM-001", "TEAM-002")
    data = {
        "policy.owner.rego": POLICY,
        "policy.owner.kinds": "service",
        "policy.silent.rego": silent,
        "policy.silent.kinds": "Service",
    }
    async with running_cluster(tmp_path) as cluster:
        await set_policies(cluster, data)
        await create(cluster, SERVICES, service("web"))
        async with auditing(cluster) as operator:
            report = await until_report(cluster, CONFIGAUDITREPORTS, "service-web", check="TEAM-001")
            _, readiness = await until_readiness(operator, lambda answer: "silent" in answer[1])
            events = await cluster.until(
                lambda found: any(one["reason"] == "PolicyProblem" for one in found), EVENTS, NAMESPACE
            )

    assert "TEAM-002" not in {row["checkID"] for row in report["report"]["checks"]}
    assert "policy silent: it has no effect: Trivy asks rules named deny" in readiness
    words = "policy silent: it has no effect: Trivy asks rules named deny or deny_... only, and it has none"
    (message,) = (one["message"] for one in events if one["reason"] == "PolicyProblem")
    advice = "if other policies use them, name its key library.<name>.rego"
    assert message == f"{words} (its rules: warn); {advice}"


async def test_finding_that_is_plainly_false_is_not_reported(tmp_path: Path) -> None:
    """The report says what was corrected; with the correction off, it has the finding again."""
    body = deployment("web", "shop", web="registry.example/web:1", side="registry.example/side:1")
    body["spec"]["template"]["spec"]["resources"] = {"limits": {"cpu": "1"}}
    async with running_cluster(tmp_path) as cluster:
        await need_namespace(cluster, "shop")
        await cluster.api.create(DEPLOYMENTS, body)
        async with auditing(cluster):
            await cluster.until(bool, CONFIGAUDITREPORTS, "shop", seconds=90)
            (report,) = await cluster.list(CONFIGAUDITREPORTS, "shop")
        async with auditing(cluster, {"OPERATOR_AUDIT_CORRECTIONS": ""}):
            found = await cluster.until(
                lambda reports: "AVD-KSV-0011" in failed(reports[0]), CONFIGAUDITREPORTS, "shop", seconds=90
            )

    assert not {"AVD-KSV-0011", "AVD-KSV-0015"} & failed(report)
    assert {"AVD-KSV-0016", "AVD-KSV-0018"} <= failed(report)
    assert report["metadata"]["annotations"][CORRECTED] == "pod-resources: AVD-KSV-0011, AVD-KSV-0015"
    assert CORRECTED not in found[0]["metadata"]["annotations"]


async def test_kinds_of_a_policy_that_are_not_audited_are_named(tmp_path: Path) -> None:
    """Each with the reason, in an Event and in readiness; the policy counts for the others."""
    data = {"policy.owner.rego": POLICY, "policy.owner.kinds": "Service,Services,Node,CronJob"}
    async with running_cluster(tmp_path) as cluster:
        await set_policies(cluster, data)
        await create(cluster, SERVICES, service("web"))
        environ = {"OPERATOR_TARGET_WORKLOADS": "pod,replicaset"}
        async with auditing(cluster, environ) as operator:
            await until_report(cluster, CONFIGAUDITREPORTS, "service-web", check="TEAM-001")
            _, readiness = await until_readiness(operator, lambda answer: "Services" in answer[1])
            events = await cluster.until(
                lambda found: sum(one["reason"] == "PolicyProblem" for one in found) == 3, EVENTS, NAMESPACE
            )

    said = sorted(one["message"] for one in events if one["reason"] == "PolicyProblem")
    settings = "trivy.supportedConfigAuditKinds or OPERATOR_TARGET_WORKLOADS"
    assert said == [
        f"policy owner: it has no effect on CronJob, which {settings} leaves out",
        "policy owner: it has no effect on Node, and nodes are only audited by the checks of Trivy",
        "policy owner: it has no effect on Services, which the server does not have",
    ]
    assert all(message in readiness for message in said)


async def test_policy_can_be_tried_as_documented(tmp_path: Path) -> None:
    """Typed as it stands there, it finds what the policy minds in each resource."""
    page = (ROOT / "docs" / "audits.md").read_text()
    section = page.partition("### Try a policy before you ship it")[2].partition("\n### ")[0]
    script = "\n".join(re.findall(r"^    \$ (.+)$", section, re.MULTILINE))
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "owner.rego").write_text(POLICY)
    async with running_cluster(tmp_path / "cluster") as cluster:
        kubectl = Kubectl(tmp_path, await cluster.kubeconfig())
        await create(cluster, SERVICES, service("web"), service("owned", labels={"owner": "us"}))
        await cluster.api.create(DEPLOYMENTS, deployment("web", "shop", web=cluster.image("shop/web:1.0")))
        done = await run(
            *("sh", "-ec", script),
            cwd=tmp_path,
            KUBECONFIG=str(kubectl.kubeconfig),
            PATH=f"{trivy().parent}:{kubectl_program().parent}:/usr/bin:/bin",
            TRIVY_SKIP_CHECK_UPDATE="true",
            TRIVY_CACHE_DIR=str(tmp_path / "cache"),
        )

    assert done.code == 0, done.err
    assert "Deployment web has no owner" in done.out
    assert "Service web has no owner" in done.out
    assert "Service owned has no owner" not in done.out
