"""Policies that share a package, with the real Trivy: each reports what it would report alone."""

from __future__ import annotations

import pytest

from tests.unit.audit.running import audit_all, auditing, failed_ids, pod, subject_of
from trivyop.audit.engine import AuditError, Outcome

pytestmark = [pytest.mark.slow, pytest.mark.timeout(200)]

LACKS = "lacks(what, key) if not input.metadata[what][key]"
PACKAGE = "trivyoperator.policy.k8s.custom"
CARED_FOR = subject_of(
    {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "good",
            "namespace": "shop",
            "labels": {"team": "a"},
            "annotations": {"owner": "b"},
        },
        "spec": {"containers": [{"name": "web", "image": "nginx"}]},
    }
)


def annotated(name: str, body: str, package: str = PACKAGE) -> str:
    return f"""# METADATA
# title: Title of {name}
# description: About {name}.
# custom:
#   id: {name}
#   severity: {"LOW" if name < "n" else "HIGH"}
#   input:
#     selector:
#     - type: kubernetes
package {package}

import rego.v1

{body}
"""


def legacy(name: str, body: str, package: str = PACKAGE) -> str:
    severity = "LOW" if name < "n" else "HIGH"
    return f"""package {package}

__rego_metadata__ := {{"id": "{name}", "title": "Title of {name}", "severity": "{severity}"}}

{body}
"""


def config(kinds: str = "Workload", **policies: str) -> dict[str, str]:
    data = {f"policy.{name}.rego": text for name, text in policies.items()}
    return data | {f"policy.{name}.kinds": kinds for name in policies}


def own(outcome: Outcome | AuditError) -> dict[str, tuple[str, str, str]]:
    """Title, severity and message of what custom policies found, by id."""
    assert not isinstance(outcome, AuditError)
    return {
        one.id: (one.title, str(one.severity), one.message)
        for one in outcome
        if not one.success and not one.id.startswith("AVD-")
    }


ANNOTATED = config(
    team=annotated("team", 'deny contains "no team" if not input.metadata.labels.team'),
    owner=annotated("owner", 'deny contains "no owner" if not input.metadata.annotations.owner'),
)
LEGACY = config(
    team=legacy("team", 'deny[res] { not input.metadata.labels.team; res := {"msg": "no team"} }'),
    owner=legacy("owner", 'deny[msg] { not input.metadata.annotations.owner; msg := "no owner" }'),
)
MIXED = {key: (ANNOTATED if "team" in key else LEGACY)[key] for key in ANNOTATED}
SAME_HELPER = config(  # in one package one would find what the other one is for, or they would not compile
    team=annotated(
        "team", 'default bad := false\nbad if not input.metadata.labels.team\ndeny contains "no team" if bad'
    ),
    owner=annotated(
        "owner",
        'default bad := false\nbad if not input.metadata.annotations.owner\ndeny contains "no owner" if bad',
    ),
)
SAME_AND_SHARED = config(  # what one needs of the other comes without what both have
    team=annotated(
        "team",
        'default bad := false\nbad if not input.metadata.labels.team\ndeny contains words("team") if bad',
    ),
    owner=annotated(
        "owner",
        "default bad := false\nbad if not input.metadata.annotations.owner\n"
        'words(what) := sprintf("no %s", [what])\ndeny contains words("owner") if bad',
    ),
)
SHARED_HELPERS = config(  # each way: a function, a rule, a set to which both add
    team=annotated(
        "team",
        'lacks(what, key) if not input.metadata[what][key]\nkeys contains "team"\n'
        'deny contains word if { lacks("labels", "team"); word := words }',
    ),
    owner=annotated(
        "owner", 'words := "no team"\ndeny contains msg if { lacks("annotations", "owner"); msg := no_owner }'
    ),
    words=annotated(
        "words", 'no_owner := sprintf("no %s", ["owner"])\ndeny contains "never" if count(keys) != 1'
    ),
)
BY_PATH = config(
    team=annotated("team", f'deny contains "no team" if data.{PACKAGE}.lacks("labels", "team")'),
    owner=annotated(
        "owner",
        "lacks(what, key) if not input.metadata[what][key]\n"
        'deny contains "no owner" if lacks("annotations", "owner")',
    ),
)
WITH_LIBRARY = {
    "library.lacks.rego": f"package {PACKAGE}\n\nimport rego.v1\n\n{LACKS}\n",
    **config(
        team=annotated("team", 'deny contains "no team" if lacks("labels", "team")'),
        owner=annotated("owner", 'deny contains "no owner" if lacks("annotations", "owner")'),
    ),
}
QUOTED = 'trivyoperator["my-team"].rules'
IN_QUOTES = config(
    team=annotated("team", 'deny contains "no team" if lacks("labels", "team")', QUOTED),
    owner=annotated(
        "owner",
        f'{LACKS}\ndeny contains "no owner" if lacks("annotations", "owner")',
        QUOTED,
    ),
)
DOCUMENTED = config(  # the library that the documentation of the Go operator uses
    team=legacy(
        "team",
        "import data.lib.result\n"
        'deny[res] { not input.metadata.labels.team; res := result.new("no team", input.metadata) }',
    ),
    owner=legacy(
        "owner",
        "import data.lib.result as answer\n"
        'deny[res] { not input.metadata.annotations.owner; res := answer.new("no owner", input) }',
    ),
)


@pytest.mark.parametrize(
    "data",
    [
        ANNOTATED,
        LEGACY,
        MIXED,
        SAME_HELPER,
        SAME_AND_SHARED,
        SHARED_HELPERS,
        BY_PATH,
        WITH_LIBRARY,
        IN_QUOTES,
        DOCUMENTED,
    ],
    ids=[
        "annotated",
        "legacy",
        "mixed",
        "same-helper",
        "same-and-shared",
        "shared-helpers",
        "by-path",
        "library",
        "quotes",
        "documented",
    ],
)
async def test_policies_of_one_package_each_report(data: dict[str, str]) -> None:
    async with auditing(data) as auditor:
        assert auditor.problems == ()
        bad, good = await audit_all(auditor, [pod("web"), CARED_FOR])

    assert own(bad) == {
        "team": ("Title of team", "HIGH", "no team"),
        "owner": ("Title of owner", "HIGH", "no owner"),
    }
    assert own(good) == {}
    assert not isinstance(good, AuditError)
    assert {"team", "owner"} <= {one.id for one in good}


async def test_ten_policies_of_one_package_each_report() -> None:
    """One of them with a mistake, which is named by its line in the ConfigMap."""
    names = [f"p{number}" for number in range(10)]
    policies = {name: annotated(name, f'deny contains "{name}"') for name in names}
    broken = annotated("broken", "deny contains nothing(1)")
    async with auditing(config(**policies, broken=broken)) as auditor:
        (problem,) = auditor.problems
        (outcome,) = await audit_all(auditor, [pod("web")])

    assert [one for one in failed_ids(outcome) if not one.startswith("AVD-")] == names
    assert problem.policy == "broken"
    assert problem.message.startswith("policy.broken.rego:14: ")


async def test_policies_of_one_package_keep_to_their_kinds() -> None:
    data = ANNOTATED | {"policy.team.kinds": "Role"}
    async with auditing(data) as auditor:
        (outcome,) = await audit_all(auditor, [pod("web")])
        assert auditor.policies_hash("Role") != auditor.policies_hash("Service")
    assert own(outcome).keys() == {"owner"}


async def test_helper_of_a_broken_policy_costs_only_those_that_use_it() -> None:
    data = config(
        team=annotated("team", 'deny contains "no team" if lacks("team")'),
        owner=annotated("owner", "lacks(key) if not input.metadata.labels[key]\ndeny contains nothing(1)"),
        plain=annotated("plain", 'deny contains "plain"'),
    )
    async with auditing(data) as auditor:
        problems = {one.policy: one.message for one in auditor.problems}
        (outcome,) = await audit_all(auditor, [pod("web")])
    assert own(outcome).keys() == {"plain"}
    assert {"team", "owner"} <= problems.keys()
    assert "nothing" in problems["owner"]
