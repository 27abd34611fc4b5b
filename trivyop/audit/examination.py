"""Trying policies before they count: each alone first, then all together.

Trivy stops at a module with a syntax error, leaves out one that does not compile, and says so in its log
only; a module that gets in the way of its own checks makes those disappear. So what it finds on a few
samples, with a policy and without any, is compared.

Promises: of what is accepted, everything is evaluated, and Trivy's own checks say what they said before. What
is not accepted is named, with Trivy's message.
Not here: crashes that depend on the resource (``splitting.py``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final, Protocol

import msgspec

from trivyop.audit.effects import (
    missing_imports,
    never_evaluated,
    oddities,
    unknown_imports,
    why_idle,
    why_not_loaded,
)
from trivyop.audit.engine import AuditError, Batch, Check, Subject
from trivyop.audit.packages import speaks_of
from trivyop.audit.policies import (
    ANY_KIND,
    WORKLOAD,
    CustomPolicy,
    Module,
    Policies,
    PolicyProblem,
    audited_as,
)
from trivyop.audit.results import logged, without_path
from trivyop.audit.samples import SAMPLES, bare_sample

_TROUBLE = (
    "Error occurred while parsing",
    "Unable to parse check",
    "Failed to retrieve metadata from annotations",
)
_ABOUT_REGO = re.compile(r"[^\s/]+\.rego:\d+: .+", re.DOTALL)
_COMPILING = ("rego_type_error", "rego_compile_error")  # a crash whatever the resource
_PROBE_NAME: Final = "trivyop-probe"
_PROBE: Final = """\
# METADATA
# custom:
#   id: trivyop-probe
#   severity: LOW
#   input:
#     selector:
#     - type: kubernetes
package trivyop_probe

import rego.v1
"""
_PROBED: Final = 'deny contains "{path}" if not {place}\n'


class Runs(Protocol):
    """What runs Trivy."""

    async def run(
        self, subjects: tuple[Subject, ...], policies: Policies, *, debug: bool = ...
    ) -> tuple[Batch, str]: ...


async def examine(trivy: Runs, policies: Policies) -> tuple[Policies, tuple[PolicyProblem, ...]]:
    """Those policies that can be evaluated, together, and what is wrong with the others.

    A policy that is accepted may have a problem, too, if it says less than it should. ``AuditError`` when
    Trivy does not even work without them.
    """
    if not policies.custom:
        return policies, ()
    samples = samples_for(policies)
    imports = unknown_imports(policies.modules)
    batch, _ = await trivy.run(samples, _with_probe(_without_custom(policies, libraries=False), imports))
    plain, absent = _own_findings(batch), _probed(batch)
    trial = _Trial(trivy, samples, plain)
    unread = [PolicyProblem(one.key, why) for one in policies.libraries if (why := why_not_loaded(one))]
    accepted, found = policies, list[PolicyProblem]()
    if await trial.problems(policies):
        accepted, found = await trial.one_by_one(policies)
    accepted, idle = _without_idle(accepted, trial.evaluated)
    found = [*unread, *found, *idle, *_worth_a_word(accepted, absent)]
    return accepted, tuple(found)


class _Trial:
    """Runs of Trivy with some policies, compared with one that has none."""

    def __init__(
        self, trivy: Runs, samples: tuple[Subject, ...], plain: frozenset[tuple[str, Check]]
    ) -> None:
        self._trivy = trivy
        self._samples = samples
        self._plain = plain
        self.evaluated: set[str] | None = set()  # packages that Trivy asked; None if it is not known

    async def one_by_one(self, policies: Policies) -> tuple[Policies, list[PolicyProblem]]:
        """What of them can be evaluated."""
        accepted = msgspec.structs.replace(policies, custom=(), libraries=())
        found: list[PolicyProblem] = []
        for library in policies.libraries:
            wider = msgspec.structs.replace(accepted, libraries=(*accepted.libraries, library))
            problems = await self.problems(_with_probe(wider))
            if problems:
                found.append(PolicyProblem(library.key, problems[0]))
            else:
                accepted = wider
        for policy in policies.custom:  # alone first, so that it is blamed for its own faults only
            alone = msgspec.structs.replace(accepted, custom=(policy,))
            problems = await self.problems(alone)
            if not problems and accepted.custom:
                together = msgspec.structs.replace(accepted, custom=(*accepted.custom, policy))
                problems = await self.problems(together)
            if problems:
                found.append(PolicyProblem(policy.name, problems[0]))
            else:
                accepted = msgspec.structs.replace(accepted, custom=(*accepted.custom, policy))
        return accepted, found

    async def problems(self, policies: Policies) -> list[str]:
        """What Trivy says against these policies, or what they do to its own checks.

        Trivy may also be slow or killed for a moment, through no fault of theirs. So unless it names a
        module, it has to fail twice, and work without them in between.
        """
        try:
            batch, log = await self._trivy.run(self._samples, policies, debug=True)
        except AuditError as error:
            if error.everyone:
                raise  # it says nothing about the policies
            if _ABOUT_REGO.search(error.message):
                return [_worded(error.message)]
            await self._trivy.run(self._samples, _without_custom(policies))
            try:
                batch, log = await self._trivy.run(self._samples, policies, debug=True)
            except AuditError as again:
                if again.everyone:
                    raise
                return [_worded(again.message)]
        said = list(_complaints(log, {module.key for module in policies.modules}))
        said += [
            crash.message for crash in batch.crashes if any(kind in crash.message for kind in _COMPILING)
        ]
        if not said and not self._plain <= _own_findings(batch):
            said.append("it changes what checks of Trivy's own find, or keeps them from being evaluated")
        self._note(batch, policies)
        return said

    def _note(self, batch: Batch, policies: Policies) -> None:
        if batch.evaluated is None:
            self.evaluated = None
        if self.evaluated is None or batch.evaluated is None:
            return
        crashed = {crash.check for crash in batch.crashes}
        self.evaluated |= batch.evaluated
        self.evaluated |= {one.module.package for one in policies.custom if one.module.key in crashed}


def _without_idle(policies: Policies, evaluated: set[str] | None) -> tuple[Policies, list[PolicyProblem]]:
    """Those that do something, and why the others do nothing; what others refer to stays."""
    idle: dict[str, str] = {}
    for policy in policies.custom:
        if evaluated is not None and policy.module.package not in evaluated:
            idle[policy.name] = why_idle(policy)
        elif reason := never_evaluated(policy):
            idle[policy.name] = reason
    needed = {
        policy.name
        for policy in policies.custom
        if policy.name in idle
        and any(
            speaks_of(module.text, policy.module.package)
            for module in policies.modules
            if module is not policy.module
        )
    }
    return policies.without(idle.keys() - needed), [PolicyProblem(name, why) for name, why in idle.items()]


def _worth_a_word(policies: Policies, absent: frozenset[str]) -> Iterator[PolicyProblem]:
    vain = missing_imports(policies.modules, absent)
    for library in policies.libraries:
        if library.key in vain:
            yield PolicyProblem(library.key, vain[library.key])
    for policy in policies.custom:
        if policy.module.key in vain:
            yield PolicyProblem(policy.name, vain[policy.module.key])
        for oddity in oddities(policy):
            yield PolicyProblem(policy.name, oddity)


def samples_for(policies: Policies) -> tuple[Subject, ...]:
    """Something of each kind that a policy is for."""
    there = {sample.kind for sample in SAMPLES}
    named = {audited_as(kind) for policy in policies.custom for kind in policy.kinds}
    return (*SAMPLES, *(bare_sample(kind, "v1") for kind in sorted(named - there - {ANY_KIND, WORKLOAD})))


def _without_custom(policies: Policies, *, libraries: bool = True) -> Policies:
    plain = policies.without({one.name for one in policies.custom})
    return plain if libraries else msgspec.structs.replace(plain, libraries=())


def _with_probe(policies: Policies, imports: Iterable[str] = ()) -> Policies:
    """With a policy that names those of the imports that nothing defines, and finds nothing else.

    Without any policy Trivy would not read the libraries.
    """
    rules = "".join(_PROBED.format(path=path, place=_place_of(path)) for path in sorted(imports))
    module = Module("policy.trivyop-probe.rego", _PROBE + rules)
    return msgspec.structs.replace(
        policies, custom=(CustomPolicy(_PROBE_NAME, module, frozenset({ANY_KIND if rules else "none"})),)
    )


def _place_of(path: str) -> str:
    """The package that an import is about; what is in it may be a function, which has no value."""
    return ".".join(path.split(".")[:3])


def _probed(batch: Batch) -> frozenset[str]:
    """Which of the imports nothing defines."""
    return frozenset(
        check.message
        for outcome in batch.outcomes.values()
        if not isinstance(outcome, AuditError)
        for check in outcome
        if check.id == _PROBE_NAME and not check.success
    )


def _own_findings(batch: Batch) -> frozenset[tuple[str, Check]]:
    return frozenset(
        (name, check)
        for name, outcome in batch.outcomes.items()
        if not isinstance(outcome, AuditError)
        for check in outcome
        if check.id != _PROBE_NAME
    )


def _complaints(log: str, keys: set[str]) -> Iterator[str]:
    for line in log.splitlines():
        if any(trouble in line for trouble in _TROUBLE):
            values = logged(line)
            if values.get("file_path", "").rpartition("/")[2] in keys:
                yield _worded(values.get("err", line))


def _worded(message: str) -> str:
    """Of Trivy's message what is about the module, where it says so."""
    found = _ABOUT_REGO.search(message)
    return without_path(found[0] if found else message)
