"""Policies as a ConfigMap has them: a key for each policy, one for its kinds, others for libraries.

Promises: pure; what is wrong with the ConfigMap is named by key, and costs nothing but that policy.
Not here: whether a policy compiles and does anything (``examination.py``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from trivyop.audit.packages import separate, speaks_of
from trivyop.audit.policies import (
    WORKLOAD,
    WORKLOAD_KINDS,
    CustomPolicy,
    Module,
    Policies,
    PolicyProblem,
)

_LIBRARY = re.compile(r"library\.(.+)\.rego")
_POLICY = re.compile(r"policy\.(.+)\.rego")
_KINDS = re.compile(r"policy\.(.+)\.kinds")
_KNOWN_KINDS: Final = {
    kind.lower(): kind
    for kind in (
        *WORKLOAD_KINDS,
        WORKLOAD,
        "ClusterRole",
        "ClusterRoleBinding",
        "ConfigMap",
        "CustomResourceDefinition",
        "Ingress",
        "LimitRange",
        "NetworkPolicy",
        "Node",
        "PersistentVolume",
        "PersistentVolumeClaim",
        "ResourceQuota",
        "Role",
        "RoleBinding",
        "Service",
    )
}
# The documentation of the Go operator imports it; Trivy has had it as a function of its own since.
_RESULT: Final = "lib.result"
_RESULT_LIBRARY: Final = Module(
    "trivyop.result.rego",
    """\
package lib.result

import rego.v1

new(message, cause) := result.new(message, cause)
""",
)


def parse_policies(
    data: Mapping[str, str] | None,
) -> tuple[Policies, tuple[PolicyProblem, ...]]:
    """Read the ConfigMap's data (None without one): what can be tried, and what is wrong at first sight."""
    data = data or {}
    libraries: list[Module] = []
    policies: list[CustomPolicy] = []
    problems: list[PolicyProblem] = []
    for key, text in sorted(data.items()):
        if policy := _POLICY.fullmatch(key):
            name = policy[1]
            written = data.get(f"policy.{name}.kinds")
            kinds = frozenset(_kind(part.strip()) for part in (written or "").split(",") if part.strip())
            module = Module(key, text)
            if written is None:
                problems.append(
                    PolicyProblem(name, f"kinds not defined for policy: policy.{name}.kinds is missing")
                )
            elif not kinds:
                problems.append(PolicyProblem(name, f"policy.{name}.kinds names no kind"))
            elif not module.package:
                problems.append(PolicyProblem(name, f"{key} has no package"))
            else:
                policies.append(CustomPolicy(name, module, kinds))
        elif (kinds_of := _KINDS.fullmatch(key)) and f"policy.{kinds_of[1]}.rego" not in data:
            problems.append(
                PolicyProblem(kinds_of[1], f"expected policy not found: policy.{kinds_of[1]}.rego is missing")
            )
        elif _LIBRARY.fullmatch(key) or key.endswith(".rego"):
            libraries.append(Module(key, text))
    separated, shared = separate(policies, libraries)
    return Policies(separated, tuple(sorted((*libraries, *shared, *_added(policies, libraries))))), tuple(
        problems
    )


def _kind(written: str) -> str:
    """The kind as the API spells it, where it is one that is known."""
    return _KNOWN_KINDS.get(written.lower(), written)


def _added(policies: Iterable[CustomPolicy], libraries: Iterable[Module]) -> tuple[Module, ...]:
    """Libraries that policies expect to be there."""
    modules = [*(policy.module for policy in policies), *libraries]
    if any(module.package == _RESULT for module in modules):
        return ()
    return (_RESULT_LIBRARY,) if any(speaks_of(module.text, _RESULT) for module in modules) else ()
