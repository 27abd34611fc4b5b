"""Policies: which checks apply, Trivy's own and the user's.

A custom policy is a Rego module and the kinds it is for; a library is a module that policies import. The
package of a policy says which findings are its own, so that it finds nothing on kinds it is not for.

Promises: pure.
Not here: how they are read from a ConfigMap (``parsing.py``), whether a policy compiles (``examination.py``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from typing import Final

import msgspec

from trivyop.audit.rego import package_of

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


def audited_as(kind: str) -> str:
    """The kind of what is audited where a policy names that kind."""
    return _AUDITED_AS.get(kind, kind)


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
        found = package_of(self.text)
        return found.path if found else ""


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
    return frozenset((kinds | {audited_as(kind) for kind in kinds}) - {WORKLOAD})
