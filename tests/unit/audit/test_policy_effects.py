"""Policies without effect, with the real Trivy: each is named with its reason, and no other one is.

All are tried in one ConfigMap. A reason that does not hold in another Trivy shows as a policy that is not
named.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.unit.audit.running import audit_all, auditing, failed_ids, pod, subject_of
from trivyop.audit.engine import AuditError
from trivyop.audit.policies import PolicyProblem

pytestmark = [pytest.mark.slow, pytest.mark.timeout(200)]

DENY = 'deny contains "found"'
SELECTOR = "- type: kubernetes"


def annotated(
    name: str,
    body: str = DENY,
    *,
    check: bool = True,
    severity: str = "LOW",
    more: str = "",
    selector: str = SELECTOR,
) -> str:
    """A policy with an annotation; ``more`` and ``selector`` are YAML."""
    lines = ["METADATA", f"title: {name}", "custom:"]
    lines += [f"  id: {name.upper()}"] if check else []
    lines += [f"  severity: {severity}"] if severity else []
    lines += [f"  {line}" for line in more.splitlines()]
    if selector:
        lines += ["  input:", "    selector:", *(f"    {line}" for line in selector.splitlines())]
    comment = "".join(f"# {line}\n" for line in lines)
    return f"{comment}package trivyoperator.{name}\n\nimport rego.v1\n\n{body}\n"


def legacy(name: str, *, severity: str = "LOW", selector: str = '{"type": "kubernetes"}') -> str:
    """A policy as they were written before there were annotations."""
    return f"""package trivyoperator.{name}

__rego_metadata__ := {{
  "id": "{name.upper()}",  # of ours
  "title": "braces }} and # in a text",
  "severity": "{severity}",
}}

__rego_input__ := {{"selector": [{selector}]}}

deny[msg] {{ msg := "found" }}
"""


def bare(name: str, body: str) -> str:
    return f"package trivyoperator.{name}\n\nimport rego.v1\n\n{body}\n"


# name: policy, kinds, words of the reason
IDLE: dict[str, tuple[str, str, str]] = {
    "warning": (annotated("warning", 'warn contains "x"'), "*", "its rules: warn"),
    "gatekeeper": (
        annotated("gatekeeper", 'violation contains {"msg": "x"} if input.review.object'),
        "Pod",
        "named deny or deny_... only, and it has none (its rules: violation)",
    ),
    "exempt": (annotated("exempt", 'exception contains ["deny"]'), "*", "its rules: exception"),
    "rules": (
        annotated("rules", "# deny contains is not here\nx := 1\ny if x\n  == 1"),
        "*",
        "its rules: x, y",
    ),
    "bare": (bare("bare", DENY), "*", "it has no metadata"),
    "late": (
        bare("late", "# METADATA\n# title: late\n# custom:\n#   id: LATE\n" + DENY),
        "*",
        "right before the package",
    ),
    "docker": (annotated("docker", selector="- type: dockerfile"), "*", 'the type "dockerfile"'),
    "json": (annotated("json", selector="- type: json"), "*", 'the type "json"'),
    "yaml": (annotated("yaml", selector="- type: yaml"), "*", 'the type "yaml"'),
    "rbac": (annotated("rbac", selector="- type: rbac"), "Role", 'the type "rbac"'),
    "capital": (annotated("capital", selector="- type: Kubernetes"), "*", 'the type "Kubernetes"'),
    "both": (annotated("both", selector=f"{SELECTOR}\n- type: cloud"), "*", 'the type "cloud"'),
    "oldtype": (legacy("oldtype", selector='{"type": "json"}'), "*", 'the type "json"'),
    "gone": (annotated("gone", more="deprecated: true"), "*", "deprecated"),
    "framed": (annotated("framed", more='frameworks:\n  cis:\n  - "1.1"'), "*", "frameworks"),
    "future": (annotated("future", more="minimum_trivy_version: 99.0.0"), "*", "Trivy 99.0.0 or newer"),
    "noversion": (annotated("noversion", more="minimum_trivy_version: newest"), "*", "Trivy newest"),
    "group": (
        annotated("group", selector=f"{SELECTOR}\n  subtypes:\n  - group: apps"),
        "*",
        "name no kind",
    ),
    "deployed": (
        annotated("deployed", selector=f"{SELECTOR}\n  subtypes:\n  - kind: deployment"),
        "Deployment",
        "audited is its ReplicaSet",
    ),
    "elsewhere": (
        annotated("elsewhere", selector=f"{SELECTOR}\n  subtypes:\n  - kind: service"),
        "Pod,Role",
        "are for service, and policy.elsewhere.kinds for Pod, Role",
    ),
    "checked_test": (annotated("checked_test"), "*", "ends in _test.rego"),
}
ODD: dict[str, tuple[str, str, str]] = {
    "nameless": (annotated("nameless", check=False), "*", 'have no "id"'),
    "urgent": (annotated("urgent", severity="urgent"), "*", "takes for CRITICAL"),
    "oldurgent": (legacy("oldurgent", severity="Important"), "*", "takes for CRITICAL"),
    "infra": (annotated("infra").replace("id: INFRA", "id: KCV-9001"), "*", "id begins with KCV"),
    "always": (annotated("always", "default deny := false\ndeny if input.x"), "*", "any value for a finding"),
    "importing": (
        f"{annotated('importing')}import data.acme.labels\n",
        "*",
        "imports data.acme.labels, which is neither",
    ),
}
GOOD: dict[str, tuple[str, str]] = {
    "plain": (annotated("plain"), "*"),
    "named": (annotated("named", 'deny_this contains "found"'), "*"),
    "anything": (annotated("anything", selector=""), "Pod"),
    "library": (annotated("library", more="library: true"), "Pod"),
    "oldstyle": (legacy("oldstyle", severity="low"), "Pod"),
    "pods": (
        annotated("pods", selector=f"{SELECTOR}\n  subtypes:\n  - kind: pod\n  - kind: service"),
        "workload",
    ),
    "certificate": (
        annotated("certificate", selector=f"{SELECTOR}\n  subtypes:\n  - kind: Certificate"),
        "Certificate",
    ),
    "cheap": (annotated("cheap", severity=""), "Pod"),
    "trivys": (annotated("trivys", "import data.lib.kubernetes\nimport data.k8s\n" + DENY), "Pod"),
}
CERTIFICATE: dict[str, Any] = {
    "apiVersion": "cert-manager.io/v1",
    "kind": "Certificate",
    "metadata": {"name": "web", "namespace": "shop"},
}


async def test_policies_without_effect_are_named_with_the_reason() -> None:
    data: dict[str, str] = {}
    for name, one in {**IDLE, **ODD, **GOOD}.items():
        data |= {f"policy.{name}.rego": one[0], f"policy.{name}.kinds": one[1]}
    async with auditing(data) as auditor:
        problems = {one.policy: one.message for one in auditor.problems}
        taken = {one.name for one in auditor.policies.custom}
        outcomes = await audit_all(auditor, [pod("web"), subject_of(CERTIFICATE)])
    expected = {name: words for name, (_, _, words) in {**IDLE, **ODD}.items()}

    assert problems.keys() == expected.keys()
    assert [name for name, words in expected.items() if words not in problems[name]] == []
    assert {name for name in IDLE if not problems[name].startswith("it has no effect: ")} == set()
    assert taken == ODD.keys() | GOOD.keys()
    found = [{one for one in failed_ids(outcome) if not one.startswith("AVD-")} for outcome in outcomes]
    assert {name.upper() for name in GOOD} - {"CERTIFICATE"} <= found[0]
    assert "ALWAYS" in found[0], "though its deny is false"
    assert "CERTIFICATE" in found[1]
    assert not {name.upper() for name in IDLE} & (found[0] | found[1])


async def test_severity_that_trivy_does_not_know_is_critical() -> None:
    """What the words about it say."""
    name, (text, kinds, _) = "urgent", ODD["urgent"]
    async with auditing({f"policy.{name}.rego": text, f"policy.{name}.kinds": kinds}) as auditor:
        (outcome,) = await audit_all(auditor, [pod("web")])
    assert not isinstance(outcome, AuditError)
    assert [str(one.severity) for one in outcome if one.id == "URGENT"] == ["CRITICAL"]


async def test_deny_that_is_a_function_is_refused() -> None:
    data = {"policy.called.rego": annotated("called", 'deny(x) := "x"'), "policy.called.kinds": "*"}
    async with auditing(data) as auditor:
        (problem,) = auditor.problems
        assert auditor.policies.custom == ()
    assert "used as reference, not called" in problem.message


async def test_policy_that_others_import_stays_though_it_has_no_effect() -> None:
    """A library under the name of a policy."""
    data = {
        "policy.owners.rego": bare("owners", "owner(x) := x.metadata.labels.owner"),
        "policy.owners.kinds": "Pod",
        "policy.owned.rego": annotated(
            "owned", 'deny contains "no owner" if not data.trivyoperator.owners.owner(input)'
        ),
        "policy.owned.kinds": "Pod",
    }
    async with auditing(data) as auditor:
        problems = {one.policy: one.message for one in auditor.problems}
        (outcome,) = await audit_all(auditor, [pod("web")])
    assert problems.keys() == {"owners"}
    assert "OWNED" in failed_ids(outcome)


async def test_version_that_has_no_effect_leaves_the_former_in_force() -> None:
    """A policy with a mistake changes no report."""
    good = {"policy.plain.rego": annotated("plain"), "policy.plain.kinds": "Pod"}
    bad = good | {"policy.plain.rego": annotated("plain", 'warn contains "x"')}
    async with auditing(good) as auditor:
        before = auditor.policies_hash("Pod")
        seen: asyncio.Queue[tuple[PolicyProblem, ...]] = asyncio.Queue()
        auditor.add_problem_handler(seen.put_nowait)
        auditor.set_policies(bad)
        assert [one.policy for one in await seen.get()] == ["plain"]
        assert auditor.policies_hash("Pod") == before
        (outcome,) = await audit_all(auditor, [pod("web")])
    assert "PLAIN" in failed_ids(outcome)
