"""Why a policy that compiles does nothing, or not what its author means.

Trivy says nothing of a check that it leaves out, or says it in its log only. Whether it evaluates a policy is
seen in a trial (``examination.py``); the reason is read from the policy's text here, by the rules of Trivy
0.76, each of which a test holds against the real one.

Promises: pure; there is a reason for every policy that is asked about.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, cast

from trivyop.audit.packages import is_enforced
from trivyop.audit.policies import ANY_KIND, WORKLOAD, WORKLOAD_KINDS, CustomPolicy, Module, audited_as
from trivyop.audit.rego import INPUT, METADATA, annotation_of, imports_of, object_of, rules_of

_TEST_SUFFIX: Final = "_test.rego"
_KUBERNETES: Final = "kubernetes"
_PLAIN: Final = re.compile(r"data\.(?!k8s\b)\w+(?:\.\w+)*")  # Trivy gives data.k8s, the cluster's version
_FALSE_BY_DEFAULT: Final = re.compile(r"^\s*default\s+deny\w*\s*:?=\s*false\b", re.MULTILINE)
_SEVERITIES: Final = ("CRITICAL", "HIGH", "MEDIUM", "LOW", "UNKNOWN")


def why_not_loaded(module: Module) -> str:
    """Why Trivy does not even read a file; "" if it does."""
    if module.key.endswith(_TEST_SUFFIX):
        return (
            f"Trivy loads no file whose name ends in {_TEST_SUFFIX}: give the key {module.key} another name"
        )
    if module.key.startswith("."):
        return f"Trivy loads no file whose name begins with a dot: give the key {module.key} another name"
    return ""


def why_idle(policy: CustomPolicy) -> str:
    """Why Trivy does not evaluate a policy."""
    reason = why_not_loaded(policy.module) or next(_reasons(policy), "")
    return f"it has no effect: {reason or 'Trivy does not evaluate it, and does not say why'}"


def never_evaluated(policy: CustomPolicy) -> str:
    """Why Trivy evaluates it on no resource of its kinds, though on others perhaps; "" if it does."""
    reason = _by_subtypes(policy, _selectors(policy))
    return f"it has no effect: {reason}" if reason else ""


def oddities(policy: CustomPolicy) -> Iterator[str]:
    """What its reports will look like otherwise than its author may expect."""
    if _FALSE_BY_DEFAULT.search(policy.module.text):
        yield "deny is false by default, and Trivy takes any value for a finding, even false: leave it out"
    metadata = _metadata(policy)
    if metadata is None:
        return
    if str(metadata.get("id", "")).removeprefix("AVD-").startswith("KCV"):
        yield "its id begins with KCV, as those of checks of the control plane: other reports leave it out"
    if not metadata.get("id"):
        yield 'its metadata have no "id": its findings have the id N/A, as those of all such policies'
    severity = metadata.get("severity")
    if severity is not None and str(severity).upper() not in _SEVERITIES:
        known = ", ".join(_SEVERITIES[:-1])
        yield f'its severity is "{severity}", which Trivy takes for CRITICAL: write one of {known}'


def missing_imports(modules: Iterable[Module], absent: frozenset[str]) -> dict[str, str]:
    """By key of the module, what it imports in vain; ``absent``: paths that nothing defines."""
    found: dict[str, str] = {}
    for module in modules:
        paths = sorted(one.path for one in imports_of(module.text) if one.path in absent)
        if paths:
            package = paths[0].removeprefix("data.")
            found[module.key] = (
                f"it imports {paths[0]}, which is neither a library of Trivy nor one in the ConfigMap: "
                f'add it as library.<name>.rego with "package {package}"'
            )
    return found


def unknown_imports(modules: Iterable[Module]) -> frozenset[str]:
    """Paths that modules import and none of them defines; they may be Trivy's own."""
    all_modules = tuple(modules)
    packages = {module.package for module in all_modules}
    paths = {one.path for module in all_modules for one in imports_of(module.text)}
    return frozenset(path for path in paths if _PLAIN.fullmatch(path) and not _is_defined(path, packages))


def _is_defined(path: str, packages: Iterable[str]) -> bool:
    wanted = path.removeprefix("data.")
    return any(
        package == wanted or package.startswith(f"{wanted}.") or wanted.startswith(f"{package}.")
        for package in packages
        if package
    )


def _reasons(policy: CustomPolicy) -> Iterator[str]:
    text = policy.module.text
    rules = rules_of(text)
    annotation = annotation_of(text)
    if annotation is None and METADATA not in rules:
        if "# METADATA" in text:
            yield "its METADATA do not stand right before the package, which is for Trivy as if it had none"
        yield "it has no metadata, and Trivy leaves out policies without: begin it with a comment METADATA"
    if not any(is_enforced(rule) for rule in rules):
        there = [rule for rule in rules if not rule.startswith("__")]
        instead = f" (its rules: {', '.join(there)})" if there else ""
        yield (
            f"Trivy asks rules named deny or deny_... only, and it has none{instead}; "
            "if other policies use them, name its key library.<name>.rego"
        )
    metadata = _metadata(policy) or {}
    if metadata.get("deprecated") is True:
        yield "its metadata say that it is deprecated"
    frameworks = metadata.get("frameworks")
    if isinstance(frameworks, dict) and frameworks and "default" not in frameworks:
        yield 'its metadata name frameworks, and "default" is none of them'
    if "minimum_trivy_version" in metadata:
        yield f"its metadata ask for Trivy {metadata['minimum_trivy_version']} or newer"
    selectors = _selectors(policy)
    for one in selectors:
        kind = one.get("type")
        if kind != _KUBERNETES:
            yield f'a selector has the type "{kind}"; all have to have the type {_KUBERNETES}'
    if reason := _by_subtypes(policy, selectors):
        yield reason


def _by_subtypes(policy: CustomPolicy, selectors: Iterable[Mapping[str, Any]]) -> str:
    """Why none of its kinds is among the subtypes of its selectors; "" if one is."""
    subtypes: list[Mapping[str, Any]] = []
    for one in selectors:
        some = one.get("subtypes")
        if not isinstance(some, list) or not some:
            return ""  # any subtype
        subtypes += [
            cast("Mapping[str, Any]", each) for each in cast("list[Any]", some) if isinstance(each, dict)
        ]
    if not subtypes:
        return ""
    # Trivy compares group and version with the kind as well.
    names = {
        str(value).lower()
        for each in subtypes
        for key, value in each.items()
        if key in ("kind", "group", "version")
    }
    nameless = not any("kind" in each for each in subtypes)
    kinds = _kinds_audited(policy.kinds)
    if kinds is None:
        idle = nameless or names <= {"deployment"}
    else:
        idle = not names & {kind.lower() for kind in kinds}
    if not idle:
        return ""
    if nameless:
        return "the subtypes of its selector name no kind, and Trivy looks at nothing else"
    if "deployment" in names:
        return "the subtypes of its selector name Deployment, but audited is its ReplicaSet: add that to them"
    return (
        f"the subtypes of its selector are for {', '.join(sorted(names))}, "
        f"and {policy.module.key.removesuffix('.rego')}.kinds for {', '.join(sorted(policy.kinds))}"
    )


def _kinds_audited(kinds: Iterable[str]) -> set[str] | None:
    """The kinds that resources have; None for any."""
    found: set[str] = set()
    for kind in kinds:
        if kind == ANY_KIND:
            return None
        found |= set(WORKLOAD_KINDS) if kind == WORKLOAD else {kind}
    return {audited_as(kind) for kind in found}


def _metadata(policy: CustomPolicy) -> dict[str, Any] | None:
    annotation = annotation_of(policy.module.text)
    if annotation is None:
        return object_of(policy.module.text, METADATA)
    custom = annotation.get("custom")
    return cast("dict[str, Any]", custom) if isinstance(custom, dict) else {}


def _selectors(policy: CustomPolicy) -> list[dict[str, Any]]:
    annotation = annotation_of(policy.module.text)
    if annotation is None:
        given: object = object_of(policy.module.text, INPUT) or {}
    else:
        given = (_metadata(policy) or {}).get("input")
    selector = cast("dict[str, Any]", given).get("selector") if isinstance(given, dict) else None
    if not isinstance(selector, list):
        return []
    return [cast("dict[str, Any]", one) for one in cast("list[Any]", selector) if isinstance(one, dict)]
