"""Custom policies on the sandbox, with the real Trivy: what a good one adds, and what a bad one does not."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from tests.e2e.auditing import (
    SECRETS_CHECK,
    auditing,
    basis,
    create,
    failed,
    role,
    service,
    set_policies,
    until_idle,
    until_report,
)
from tests.e2e.harness import NAMESPACE, running_cluster
from tests.e2e.looking import until_readiness
from tests.patience import patience
from trivyop.controllers.audits.policies import POLICIES_CONFIG
from trivyop.kube.resources import (
    CONFIGAUDITREPORTS,
    CONFIGMAPS,
    CRDS,
    EVENTS,
    RBACASSESSMENTREPORTS,
    ROLES,
    SERVICES,
    ObjectKey,
    Resource,
)

Json = dict[str, Any]
WIDGETS = Resource("example.com", "v1", "widgets", "Widget")


def policy(name: str, check: str, body: str, imports: str = "") -> str:
    """A policy that minds what `body` derives, with a message."""
    return f"""# METADATA
# title: {name}
# description: {name} is not as it should be.
# custom:
#   id: {check}
#   severity: HIGH
#   recommended_action: Change it.
#   input:
#     selector:
#     - type: kubernetes
package trivyoperator.{name}

import rego.v1
{imports}
deny contains msg if {{
{body}
}}
"""


LIBRARY = """package lib.names

import rego.v1

is_odd(name) if startswith(name, "odd")
"""
WITH_LIBRARY = policy(
    "odd_roles",
    "TEAM-001",
    """  input.kind == "Role"
  names.is_odd(input.metadata.name)
  msg := sprintf("%s is odd", [input.metadata.name])""",
    "import data.lib.names\n",
)
BROKEN = "package trivyoperator.broken\n\ndeny[msg] { this is no rego"
CRASHING = policy(
    "crash", "TEAM-003", '  input.kind == "Service"\n  msg := sprintf("%d", [to_number(input.metadata.name)])'
)
FOR_WIDGETS = policy(
    "widgets",
    "TEAM-004",
    '  input.kind == "Widget"\n  input.spec.size > 3\n  msg := "the widget is too large"',
)
WIDGET_CRD: Json = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "widgets.example.com"},
    "spec": {
        "group": "example.com",
        "scope": "Namespaced",
        "names": {"kind": "Widget", "listKind": "WidgetList", "plural": "widgets", "singular": "widget"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {"type": "object", "properties": {"size": {"type": "integer"}}}
                        },
                    }
                },
            }
        ],
    },
}


def widget(name: str, size: int) -> Json:
    return {
        "apiVersion": "example.com/v1",
        "kind": "Widget",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"size": size},
    }


async def test_each_policy_does_what_it_can_and_harms_no_other(tmp_path: Path) -> None:
    """One with a library, one that does not compile, one that crashes, one for a kind of the user's own."""
    policies = {
        "library.names.rego": LIBRARY,
        "policy.odd.rego": WITH_LIBRARY,
        "policy.odd.kinds": "Role",
        "policy.broken.rego": BROKEN,
        "policy.broken.kinds": "*",
        "policy.crash.rego": CRASHING,
        "policy.crash.kinds": "Service",
        "policy.widgets.rego": FOR_WIDGETS,
        "policy.widgets.kinds": "Widget",
        "policy.homeless.rego": policy("homeless", "TEAM-005", "  msg := input.kind"),
    }
    async with running_cluster(tmp_path) as cluster:
        await cluster.api.apply(CRDS, WIDGET_CRD)
        await create(cluster, ROLES, role("odd-one"), role("plain"))
        await create(cluster, SERVICES, service("web"))
        async with auditing(cluster) as operator:
            plain = await until_report(cluster, RBACASSESSMENTREPORTS, "role-plain", check=SECRETS_CHECK)
            before = await until_report(cluster, CONFIGAUDITREPORTS, "service-web")
            await set_policies(cluster, policies)
            await create(cluster, WIDGETS, widget("big", 4), widget("small", 2))
            odd = await until_report(cluster, RBACASSESSMENTREPORTS, "role-odd-one", check="TEAM-001")
            other = await until_report(cluster, RBACASSESSMENTREPORTS, "role-plain", but=plain)
            big = await until_report(cluster, CONFIGAUDITREPORTS, "widget-big", check="TEAM-004")
            small = await until_report(cluster, CONFIGAUDITREPORTS, "widget-small")
            web = await until_report(cluster, CONFIGAUDITREPORTS, "service-web")
            _, readiness = await until_readiness(operator, lambda answer: "broken" in answer[1])
            told = await until_told(cluster.list, "broken", "homeless")
            await until_idle(operator)

            await cluster.api.delete(CONFIGMAPS, ObjectKey(NAMESPACE, POLICIES_CONFIG))
            cured = await until_report(cluster, RBACASSESSMENTREPORTS, "role-odd-one", but=odd)
            await cluster.until(
                lambda reports: not any("widget" in one["metadata"]["name"] for one in reports),
                CONFIGAUDITREPORTS,
                seconds=90,
            )

    assert {SECRETS_CHECK, "TEAM-001"} <= failed(odd)
    assert failed(other) == failed(plain)
    assert failed(big) - failed(small) == {"TEAM-004"}
    assert failed(before) <= failed(web)
    assert "rego" in told["broken"]
    assert "kinds" in told["homeless"]
    assert "policy broken" in readiness
    assert failed(cured) == failed(plain)
    (row,) = [row for row in odd["report"]["checks"] if row["checkID"] == "TEAM-001"]
    assert row["messages"] == ["odd-one is odd"]
    assert row["severity"] == "HIGH"


async def test_policy_concerns_only_the_kinds_that_it_names(tmp_path: Path) -> None:
    async with running_cluster(tmp_path) as cluster:
        await create(cluster, ROLES, role("odd-one"))
        await create(cluster, SERVICES, service("web"))
        async with auditing(cluster) as operator:
            await until_report(cluster, RBACASSESSMENTREPORTS, "role-odd-one")
            untouched = await until_report(cluster, CONFIGAUDITREPORTS, "service-web")
            done = await until_idle(operator)
            await set_policies(
                cluster,
                {
                    "library.names.rego": LIBRARY,
                    "policy.odd.rego": WITH_LIBRARY,
                    "policy.odd.kinds": "Role",
                },
            )
            await until_report(cluster, RBACASSESSMENTREPORTS, "role-odd-one", check="TEAM-001")
            more = await until_idle(operator) - done
            after = await until_report(cluster, CONFIGAUDITREPORTS, "service-web")
        async with auditing(cluster) as operator:
            await create(cluster, ROLES, role("odd-two"))
            await until_report(cluster, RBACASSESSMENTREPORTS, "role-odd-two", check="TEAM-001")
            again = await until_idle(operator)
        roles = await cluster.list(ROLES)
        await set_policies(cluster, {"policy.odd.rego": BROKEN, "policy.odd.kinds": "Role"})
        async with auditing(cluster) as operator:
            await create(cluster, ROLES, role("odd-three"))
            bare = await until_report(cluster, RBACASSESSMENTREPORTS, "role-odd-three")
            broken = await until_idle(operator)
            kept = await until_report(cluster, RBACASSESSMENTREPORTS, "role-odd-one")

    assert more == len(roles) - 1  # that was made later
    assert basis(after) == basis(untouched)
    assert again == 1
    assert broken == 1, "what a policy said before it was broken stays"
    assert "TEAM-001" in failed(kept)
    assert "TEAM-001" not in failed(bare)


async def until_told(list_objects: Any, *policies: str) -> dict[str, str]:
    """The messages of the Events on the ConfigMap, by policy, once all of these have one."""
    async with patience(60):
        while True:
            events: list[Json] = await list_objects(EVENTS, NAMESPACE)
            told = {
                event["message"].split()[1].rstrip(":"): event["message"]
                for event in events
                if event["reason"] == "PolicyProblem" and event["involvedObject"]["name"] == POLICIES_CONFIG
            }
            if set(policies) <= told.keys():
                return told
            await asyncio.sleep(0.2)
