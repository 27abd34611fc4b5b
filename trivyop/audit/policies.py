"""Policies: which checks apply, Trivy's own and the user's, as read from a ConfigMap.

A custom policy is a Rego module and the kinds it is for; a library is a module that policies import. The
package of a policy says which findings are its own, so that it finds nothing on kinds it is not for.

Promises: pure; what is wrong with the ConfigMap is named by key, and costs nothing but that policy.
Not here: whether a policy compiles (``examination.py``).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Final

import msgspec

_LIBRARY = re.compile(r"library\.(.+)\.rego")
_POLICY = re.compile(r"policy\.(.+)\.rego")
_KINDS = re.compile(r"policy\.(.+)\.kinds")
_PACKAGE = re.compile(r"^\s*package\s+(\S+)", re.MULTILINE)
_QUOTED = re.compile(r"\[\s*\"([^\"]*)\"\s*\]")

ANY_KIND: Final = "*"
WORKLOAD: Final = "Workload"
WORKLOAD_KINDS: Final = frozenset(
    (
        "Pod",
        "ReplicaSet",
        "ReplicationController",
        "StatefulSet",
        "Deployment",
        "DaemonSet",
        "CronJob",
        "Job",
    )
)
# Reports on a Deployment are those of its current ReplicaSet.
_AUDITED_AS: Final = {"Deployment": "ReplicaSet"}


def kinds_apply(kinds: Collection[str], kind: str) -> bool:
    """Whether kinds, as they are written for a policy, include that kind."""
    return (
        ANY_KIND in kinds
        or kind in kinds
        or (WORKLOAD in kinds and kind in WORKLOAD_KINDS)
        or any(_AUDITED_AS.get(one) == kind for one in kinds)
    )


class Module(msgspec.Struct, frozen=True, order=True):
    """A file of Rego."""

    key: str  # in the ConfigMap; a valid file name, as all keys are
    text: str

    @property
    def package(self) -> str:
        """Like ``trivyoperator.team``; "" if it names none."""
        found = _PACKAGE.search(self.text)
        return _QUOTED.sub(r".\1", found[1]) if found else ""


class CustomPolicy(msgspec.Struct, frozen=True, order=True):
    """A policy of the user."""

    name: str
    module: Module
    kinds: frozenset[str]  # as written; see ``applies_to``

    def applies_to(self, kind: str) -> bool:
        return kinds_apply(self.kinds, kind)


class PolicyProblem(msgspec.Struct, frozen=True, order=True):
    """What keeps a policy from saying all it should."""

    policy: str  # its name, or that of a library, or of a check of Trivy's own
    message: str


class Policies(msgspec.Struct, frozen=True):
    """Everything that is evaluated, Trivy's own checks included."""

    custom: tuple[CustomPolicy, ...] = ()
    libraries: tuple[Module, ...] = ()
    bundle: str = ""  # directory that Trivy reads checks from, "" for those that are part of Trivy
    bundle_digest: str = ""

    @property
    def modules(self) -> tuple[Module, ...]:
        """The files to give to Trivy."""
        return (*self.libraries, *(policy.module for policy in self.custom)) if self.custom else ()

    @property
    def namespaces(self) -> tuple[str, ...]:
        """What Trivy has to evaluate beside its own."""
        tops = {policy.module.package.partition(".")[0] for policy in self.custom}
        return tuple(sorted(tops - {""}))

    def hash_for(self, kind: str) -> str:
        """What there is to know of the policies for one kind, in one word."""
        custom = [policy.module for policy in self.custom if policy.applies_to(kind)]
        parts = [self.bundle_digest]
        for module in sorted((*custom, *self.libraries) if custom else custom):
            parts += [module.key, module.text]
        return hash_of(parts)

    def without(self, names: Collection[str]) -> Policies:
        """The same without some custom policies."""
        return msgspec.structs.replace(
            self, custom=tuple(policy for policy in self.custom if policy.name not in names)
        )

    def with_former(self, former: Policies, refused: Collection[str]) -> Policies:
        """The same with what was refused of it as it was before, policies and libraries, where it was."""
        there = {policy.name for policy in self.custom} | {library.key for library in self.libraries}
        wanted = set(refused) - there
        custom = [policy for policy in former.custom if policy.name in wanted]
        libraries = [library for library in former.libraries if library.key in wanted]
        return msgspec.structs.replace(
            self,
            custom=tuple(sorted((*self.custom, *custom))) if custom else self.custom,
            libraries=tuple(sorted((*self.libraries, *libraries))) if libraries else self.libraries,
        )


def hash_of(parts: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode()
        digest.update(b"%d:" % len(data) + data)
    return digest.hexdigest()[:16]


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
            kinds = frozenset(filter(None, (part.strip() for part in (written or "").split(","))))
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
    return Policies(tuple(policies), tuple(libraries)), tuple(problems)


def kinds_concerned(before: Policies, after: Policies) -> frozenset[str] | None:
    """Kinds to audit anew; None for all, empty for none. ``Workload`` is given as the kinds it stands for."""
    if before.bundle_digest != after.bundle_digest:
        return None
    changed: set[CustomPolicy] = set(before.custom) ^ set(after.custom)
    if before.libraries != after.libraries:
        changed |= {*before.custom, *after.custom}
    kinds: set[str] = set()
    for policy in changed:
        if ANY_KIND in policy.kinds:
            return None
        kinds |= policy.kinds
    if WORKLOAD in kinds:
        kinds |= WORKLOAD_KINDS
    return frozenset((kinds | {_AUDITED_AS.get(kind, kind) for kind in kinds}) - {WORKLOAD})
