"""Audits that cannot be: what fails is named, is tried again when it changes, and harms no other."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import yaml
from structlog.testing import capture_logs

from tests.e2e.auditing import (
    AUDITS_ONLY,
    SECRETS_CHECK,
    auditing,
    create,
    failed,
    role,
    service,
    set_policies,
    until_report,
)
from tests.e2e.harness import NAMESPACE, TRIVY, Cluster, running_cluster, running_operator
from tests.e2e.looking import until_event, until_readiness
from tests.e2e.programs import TRIVYOP, run
from tests.e2e.test_permissions import USER, complaints, grant
from tests.patience import patience
from trivyop.audit.keeper import TRIAL
from trivyop.controllers.audits.policies import POLICIES_CONFIG
from trivyop.kube.client import PatchKind
from trivyop.kube.resources import (
    CONFIGAUDITREPORTS,
    CONFIGMAPS,
    RBACASSESSMENTREPORTS,
    ROLES,
    SERVICES,
    ObjectKey,
)

POISON = "poison"
SCRIPT = f"""#!/bin/sh
# Trivy, but for resources that it crashes on. One that was started ahead waits for them at the pipe.
[ -p inputs/.git ] && cat inputs/.git
if [ "$1" = config ] && grep -rqs {POISON} inputs; then
  echo 'FATAL	Fatal error	the resource is poisoned' >&2
  exit 1
fi
exec {TRIVY} "$@"
"""


def trivy_that_crashes(directory: Path) -> dict[str, str]:
    """The environment of an operator whose Trivy crashes on some resources."""
    program = directory / "crashing-trivy"
    program.write_text(SCRIPT)
    program.chmod(0o755)
    return {"OPERATOR_TRIVY_PROGRAM": str(program)}


async def status(cluster: Cluster, directory: Path) -> str:
    kubeconfig = directory / "kubeconfig"
    await asyncio.to_thread(kubeconfig.write_text, yaml.safe_dump(await cluster.kubeconfig()))
    done = await run(TRIVYOP, "status", "--kubeconfig", kubeconfig)
    assert (done.code, done.err) == (0, "")
    return done.out


async def test_resource_that_trivy_crashes_on_costs_only_itself(tmp_path: Path) -> None:
    """It is named in an Event, in the log, in a metric and in the status, until it is mended."""
    environ = trivy_that_crashes(tmp_path)
    async with running_cluster(tmp_path) as cluster:
        bad: dict[str, Any] = {"labels": {"is": POISON}}
        await create(cluster, ROLES, role("good"), role("bad", **bad), role("fine"))
        with capture_logs() as logs:
            async with auditing(cluster, environ) as operator:
                await until_report(cluster, RBACASSESSMENTREPORTS, "role-good", check=SECRETS_CHECK)
                await until_report(cluster, RBACASSESSMENTREPORTS, "role-fine", check=SECRETS_CHECK)
                event = await until_event(cluster, "shop", "bad", "AuditFailed")
                failing = operator.registry.get_sample_value("trivyop_audits_failed", {"reason": "scanner"})
                before = await status(cluster, tmp_path)
                mended = {"metadata": {"labels": {"is": "mended"}}}
                await cluster.api.patch(ROLES, ObjectKey("shop", "bad"), mended, kind=PatchKind.MERGE)
                await until_report(cluster, RBACASSESSMENTREPORTS, "role-bad", check=SECRETS_CHECK)
                after = await status(cluster, tmp_path)

    assert "the resource is poisoned" in event["message"]
    assert event["type"] == "Warning"
    assert failing == 1
    assert "Role shop/bad: not audited: scanner: " in before
    assert "RbacAssessmentReport" in before
    assert "not audited" not in after
    told = [line for line in logs if line["event"] == "audit_failed"]
    assert {line["resource"] for line in told} == {"Role/shop/bad"}


async def test_failed_audit_leaves_the_last_report(tmp_path: Path) -> None:
    environ = trivy_that_crashes(tmp_path)
    async with running_cluster(tmp_path) as cluster:
        await create(cluster, ROLES, role("reader"))
        async with auditing(cluster, environ):
            first = await until_report(cluster, RBACASSESSMENTREPORTS, "role-reader", check=SECRETS_CHECK)
            label = {"metadata": {"labels": {"is": POISON}}}
            await cluster.api.patch(ROLES, ObjectKey("shop", "reader"), label, kind=PatchKind.MERGE)
            await until_event(cluster, "shop", "reader", "AuditFailed")
            (left,) = await cluster.list(RBACASSESSMENTREPORTS, "shop")

    assert left["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]


async def test_broken_policy_shows_in_the_status_until_it_is_gone(tmp_path: Path) -> None:
    async with running_cluster(tmp_path) as cluster:
        await create(cluster, SERVICES, service("web"))
        await set_policies(
            cluster, {"policy.bad.rego": "package bad\n\nthis is no rego", "policy.bad.kinds": "*"}
        )
        async with auditing(cluster) as operator:
            await until_report(cluster, CONFIGAUDITREPORTS, "service-web")
            before = ""
            async with patience(60):
                while "policy bad" not in before:
                    before = await status(cluster, tmp_path)
            await cluster.api.delete(CONFIGMAPS, ObjectKey(NAMESPACE, POLICIES_CONFIG))
            await until_readiness(operator, lambda answer: "policy bad" not in answer[1])
            after = await status(cluster, tmp_path)

    assert "ConfigMap trivy-system/trivy-operator-policies-config: policy bad: " in before
    assert "policy bad" not in after


async def test_policies_that_cannot_be_tried_are_named(tmp_path: Path) -> None:
    """Without a Trivy that works no audit begins; the Event, the readiness and a metric say why."""
    program = tmp_path / "no-trivy"
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o755)
    async with running_cluster(tmp_path) as cluster:
        await set_policies(cluster, {"policy.a.rego": "package trivyoperator.a", "policy.a.kinds": "*"})
        async with auditing(cluster, {"OPERATOR_TRIVY_PROGRAM": str(program)}) as operator:
            event = await until_event(cluster, NAMESPACE, POLICIES_CONFIG, "PolicyProblem")
            await until_readiness(operator, lambda answer: "cannot be tried" in answer[1])
            broken = operator.registry.get_sample_value("trivyop_policy_problem", {"policy": TRIAL})

    assert "cannot be tried" in event["message"]
    assert broken == 1


async def test_kind_that_may_not_be_read_is_named_and_costs_only_itself(tmp_path: Path) -> None:
    """Also one that only a policy asks for; when the permission comes, it is audited."""
    async with running_cluster(tmp_path) as cluster:
        await grant(cluster, without="services")
        await create(cluster, ROLES, role("reader"))
        await create(cluster, SERVICES, service("web"))
        await set_policies(
            cluster,
            {
                "policy.maps.rego": "# METADATA\n# title: Never\n# custom:\n#   id: USR-NEVER\n"
                "#   severity: LOW\n"
                "package trivyoperator.maps\n\nimport rego.v1\n\n"
                'deny contains msg if {\n  input.kind == "Nothing"\n  msg := "never"\n}\n',
                "policy.maps.kinds": "ServiceAccount,Gadget",
            },
        )
        environ = {**AUDITS_ONLY, "OPERATOR_ACCESS_GLOBAL_SECRETS_SERVICE_ACCOUNTS": "false"}
        with capture_logs() as logs:
            async with running_operator(cluster, user=USER, environ=environ) as operator:
                report = await until_report(cluster, RBACASSESSMENTREPORTS, "role-reader")
                ready, body = await until_readiness(
                    operator, lambda answer: "serviceaccounts" in answer[1] and "Gadget" in answer[1]
                )
                reports = await cluster.list(CONFIGAUDITREPORTS)

    assert ready == 200
    assert "services: " in body
    assert "forbidden" in body
    assert SECRETS_CHECK in failed(report)
    assert reports == []
    assert len(complaints([dict(line) for line in logs], "resource=services")) <= 1
    assert not [line for line in logs if line["event"] in ("reconcile_gave_up", "reconcile_crashed")]
