"""Custom policies with the real Trivy: each does what it should, or is named, and the others still run."""

from __future__ import annotations

import asyncio
import math
import time

import pytest

from tests.unit.audit.running import (
    audit_all,
    audit_settings,
    auditing,
    failed_ids,
    pod,
    subject_of,
)
from trivyop.audit.auditor import Auditor
from trivyop.audit.engine import AuditError, Subject

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


def policy(package: str, body: str, *, check_id: str, imports: str = "import rego.v1") -> str:
    return f"""\
# METADATA
# title: {package}
# description: Says something about {package}.
# custom:
#   id: {check_id}
#   severity: HIGH
#   recommended_action: Do it.
#   input:
#     selector:
#       - type: kubernetes
package trivyoperator.{package}

{imports}

{body}
"""


TEAM = {
    "library.labels.rego": "package lib.labels\nimport rego.v1\nhas(name) if input.metadata.labels[name]\n",
    "policy.team.rego": policy(
        "team",
        'deny contains result.new("no team", input.metadata) if not labels.has("team")',
        check_id="TEAM-1",
        imports="import data.lib.labels\nimport rego.v1",
    ),
    "policy.team.kinds": "Workload",
}
SYNTAX = {
    "policy.syntax.rego": policy("syntax", "deny contains msg if { msg :=", check_id="SYNTAX-1"),
    "policy.syntax.kinds": "*",
}
UNDEFINED = {
    "policy.undefined.rego": policy(
        "undefined",
        'deny[res] { res := result.newest("x", input) }',
        check_id="UNDEFINED-1",
        imports="import data.lib.result",
    ),
    "policy.undefined.kinds": "Workload",
}
CRASH = {  # two answers for names with an odd letter
    "policy.crash.rego": policy(
        "crash",
        'f(x) := 1 if startswith(x, "odd")\nf(x) := 2 if endswith(x, "odd")\n'
        'f(x) := 3 if not contains(x, "odd")\n'
        'deny contains sprintf("%d", [f(input.metadata.name)])',
        check_id="CRASH-1",
    ),
    "policy.crash.kinds": "Pod",
}
LOOP = {
    "policy.loop.rego": policy(
        "loop",
        'deny contains "never" if {\n\tsome a in numbers.range(1, 30000)\n'
        "\tsome b in numbers.range(1, 30000)\n"
        "\tsome c in numbers.range(1, 30000)\n\ta + b + c < 0\n}",
        check_id="LOOP-1",
    ),
    "policy.loop.kinds": "*",
}
LEGACY = {
    "policy.legacy.rego": """\
package trivyoperator.legacy

__rego_metadata__ := {"id": "LEGACY-1", "title": "Old", "severity": "low", "description": "Old."}

__rego_input__ := {"selector": [{"type": "kubernetes"}]}

deny[msg] { input.kind == "Pod"; msg := "written long ago" }
""",
    "policy.legacy.kinds": " Pod , ConfigMap ",
}
WIDGET = {
    "policy.widget.rego": policy(
        "widget", 'deny contains "too big" if input.spec.size > 2', check_id="WIDGET-1"
    ),
    "policy.widget.kinds": "Widget",
}


def widget(size: int) -> Subject:
    return subject_of(
        {
            "apiVersion": "example.com/v1",
            "kind": "Widget",
            "metadata": {"name": f"w{size}", "namespace": "shop"},
            "spec": {"size": size},
        }
    )


async def custom_ids(auditor: Auditor, *subjects: Subject) -> list[list[str]]:
    outcomes = await audit_all(auditor, subjects)
    return [[one for one in failed_ids(outcome) if not one.startswith("AVD-")] for outcome in outcomes]


async def test_policies_only_add_findings() -> None:
    """What Trivy's own checks say is the same; kinds that a policy is not for have nothing of it."""
    subjects = [pod("web"), widget(3), widget(1)]
    async with auditing() as auditor:
        plain = await audit_all(auditor, subjects)
    async with auditing(TEAM | LEGACY | WIDGET) as auditor:
        outcomes = await audit_all(auditor, subjects)
        assert auditor.problems == ()

    found: list[list[str]] = []
    for before, after in zip(plain, outcomes, strict=True):
        assert not isinstance(before, AuditError)
        assert not isinstance(after, AuditError)
        assert set(before) <= set(after)
        found.append(sorted(check.id for check in set(after) - set(before) if not check.success))
    assert found == [["LEGACY-1", "TEAM-1"], ["WIDGET-1"], []]


async def test_policies_that_do_not_compile_are_named_and_the_others_run() -> None:
    """With Trivy's message, the line in it, and without the place where the file was for a moment."""
    async with auditing(TEAM | SYNTAX | UNDEFINED) as auditor:
        problems = {one.policy: one.message for one in auditor.problems}
        assert problems.keys() == {"syntax", "undefined"}
        assert problems["syntax"].startswith("policy.syntax.rego:")
        assert "rego_parse_error" in problems["syntax"]
        assert "undefined function data.lib.result.newest" in problems["undefined"]

        (ids,) = await custom_ids(auditor, pod("web"))
        assert ids == ["TEAM-1"]


async def test_library_that_does_not_compile_is_named_with_the_policies_that_need_it() -> None:
    broken = TEAM | {"library.labels.rego": "package lib.labels\n\nhas(name) {"} | LEGACY
    async with auditing(broken) as auditor:
        assert [one.policy for one in auditor.problems] == ["library.labels.rego", "team"]
        assert await custom_ids(auditor, pod("web")) == [["LEGACY-1"]]


async def test_library_in_the_place_of_trivys_own_changes_nothing() -> None:
    """Trivy would leave its own checks out that need the library."""
    clash = {
        "library.kubernetes.rego": "package lib.kubernetes\n\nimport rego.v1\n\ndefault is_pod := false\n"
    }
    async with auditing() as auditor:
        plain = await audit_all(auditor, [pod("web")])
    async with auditing(TEAM | clash) as auditor:
        outcomes = await audit_all(auditor, [pod("web")])
    assert not isinstance(outcomes[0], AuditError)
    assert not isinstance(plain[0], AuditError)
    assert set(plain[0]) <= set(outcomes[0])


async def test_policy_that_crashes_on_one_resource_is_named_and_all_others_have_its_findings() -> None:
    """Trivy itself would have no finding of the policy for any resource of the batch."""
    async with auditing(TEAM | CRASH) as auditor:
        names = ["a", "b", "odd", "c", "d"]
        ids = await custom_ids(auditor, *map(pod, names))

        assert ids == [["TEAM-1"] if name == "odd" else ["CRASH-1", "TEAM-1"] for name in names]
        (problem,) = auditor.problems
        assert problem.policy == "crash"
        assert "crashed on v1 Pod/shop/odd: policy.crash.rego:" in problem.message


async def test_endless_loop_is_named_and_the_others_run() -> None:
    """Endless is what takes many times as long as a run takes here and now."""
    async with auditing(TEAM) as auditor:
        began = time.monotonic()
        assert await custom_ids(auditor, pod("timed")) == [["TEAM-1"]]
        seconds = math.ceil(5 * (time.monotonic() - began))
    settings = audit_settings(OPERATOR_AUDIT_TIMEOUT=f"{seconds}s")
    async with auditing(TEAM | LOOP, settings=settings) as auditor:
        (problem,) = auditor.problems
        assert problem.policy == "loop"
        assert "took more than" in problem.message
        assert await custom_ids(auditor, pod("web")) == [["TEAM-1"]]


async def test_changed_policy_concerns_its_kinds_only() -> None:
    """A policy with a mistake concerns none: what was reported stays."""
    async with auditing(TEAM) as auditor:
        told: asyncio.Queue[frozenset[str] | None] = asyncio.Queue()
        auditor.add_handler(told.put_nowait)
        before = {kind: auditor.policies_hash(kind) for kind in ("Pod", "Widget")}

        auditor.set_policies(TEAM | SYNTAX)
        auditor.set_policies(TEAM | SYNTAX | WIDGET)

        assert await told.get() == {"Widget"}
        assert auditor.policies_hash("Pod") == before["Pod"]
        assert auditor.policies_hash("Widget") != before["Widget"]
        assert told.empty()


async def test_policy_that_a_change_breaks_counts_as_it_was() -> None:
    """Until it is mended, or taken away."""
    async with auditing(TEAM | LEGACY) as auditor:
        problems: asyncio.Queue[object] = asyncio.Queue()
        auditor.add_problem_handler(problems.put_nowait)
        told: asyncio.Queue[frozenset[str] | None] = asyncio.Queue()
        auditor.add_handler(told.put_nowait)
        before = auditor.policies_hash("Pod")

        auditor.set_policies(TEAM | LEGACY | {"policy.team.rego": SYNTAX["policy.syntax.rego"]})
        await problems.get()
        assert [one.policy for one in auditor.problems] == ["team"]
        assert auditor.policies_hash("Pod") == before
        assert await custom_ids(auditor, pod("web")) == [["LEGACY-1", "TEAM-1"]]
        assert told.empty()

        auditor.set_policies(LEGACY)
        assert "Pod" in (await told.get() or ())
        assert auditor.problems == ()
        assert await custom_ids(auditor, pod("web")) == [["LEGACY-1"]]


async def test_what_a_broken_policy_said_before_a_restart_is_left_open() -> None:
    broken = TEAM | LEGACY | {"policy.team.rego": SYNTAX["policy.syntax.rego"]}
    async with auditing(broken) as auditor:
        told: asyncio.Queue[frozenset[str] | None] = asyncio.Queue()
        auditor.add_handler(told.put_nowait)
        assert auditor.undecided("Pod")
        assert not auditor.undecided("Role")

        auditor.set_policies(LEGACY)
        assert await told.get() is None
        assert not auditor.undecided("Pod")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"policy.a.rego": "package a"}, "kinds not defined for policy"),
        ({"policy.a.kinds": "Pod"}, "expected policy not found"),
        ({"policy.a.rego": "package a", "policy.a.kinds": " , "}, "names no kind"),
        ({"policy.a.rego": "deny[1]", "policy.a.kinds": "Pod"}, "has no package"),
    ],
)
async def test_incomplete_policy_is_named(data: dict[str, str], expected: str) -> None:
    async with auditing(data) as auditor:
        (problem,) = auditor.problems
    assert problem.policy == "a"
    assert expected in problem.message
