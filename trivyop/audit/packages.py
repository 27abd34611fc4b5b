"""Policies that share a package, made such that each speaks for itself.

In Trivy all files of a package are one: it has one set of metadata, and whoever of them is asked answers with
the findings of all. Trivy 0.76 drops the second file with an annotation, and does not start at all with two
`__rego_metadata__`. So where several policies name the same package, each is given to Trivy in a package of
its own. What a file does not define itself but another file of the package does, it imports from there; for
that the package goes on to exist, with all that the files define but what makes them policies.

Promises: pure. A policy that is alone in its package stays as it is written. Lines keep their numbers. What a
file defines itself is its own: of two files with a helper of the same name each uses its own one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from trivyop.audit.policies import CustomPolicy, Module, hash_of
from trivyop.audit.rego import (
    INPUT,
    METADATA,
    Package,
    dotted,
    imports_of,
    package_of,
    rules_of,
    tokens,
    words_of,
)

_ASIDE: Final = "trivyop_separate"
_NO_WORD = re.compile(r"\W")
_DATA = re.compile(r"\bdata((?:\.\w+|\[\s*\"[^\"]*\"\s*\])+)")


def is_enforced(rule: str) -> bool:
    """Whether Trivy asks a rule of this name for findings."""
    return rule == "deny" or rule.startswith("deny_")


def separate(
    policies: Sequence[CustomPolicy], libraries: Sequence[Module]
) -> tuple[tuple[CustomPolicy, ...], tuple[Module, ...]]:
    """The policies, none in the package of another one, and libraries made of what they share."""
    separated: list[CustomPolicy] = []
    shared: list[Module] = []
    needed: dict[str, frozenset[str]] = {}  # by package
    texts = [one.text for one in libraries] + [policy.module.text for policy in policies]
    for policy in policies:
        package = package_of(policy.module.text)
        mates = [one for one in policies if one.module.package == policy.module.package]
        if package is None or len(mates) < 2:
            separated.append(policy)
            continue
        others = [one.module for one in mates if one is not policy]
        neighbours = [one for one in libraries if one.package == package.path]
        missing = _missing(policy.module.text, _own(policy.module), [*others, *neighbours])
        separated.append(_alone(policy, package, missing))
        if package.path not in needed:
            needed[package.path] = _needed(package, mates, neighbours, texts)
        if policy.name in needed[package.path]:
            shared.append(_common(policy))
    return tuple(separated), tuple(shared)


def _missing(text: str, own: set[str], others: Iterable[Module]) -> list[str]:
    """What a file uses, and only others of its package define."""
    theirs = {rule for other in others for rule in rules_of(other.text) if not _is_entry(rule)}
    return sorted((words_of(text) & theirs) - own)


def _needed(
    package: Package, mates: Sequence[CustomPolicy], neighbours: Sequence[Module], texts: Iterable[str]
) -> frozenset[str]:
    """Names of the policies of a package that others need something of."""
    if any(speaks_of(text, package.path) for text in texts):
        return frozenset(mate.name for mate in mates)
    needed: set[str] = set()
    for module in (*(mate.module for mate in mates), *neighbours):
        others = [mate for mate in mates if mate.module is not module]
        missing = set(_missing(module.text, _own(module), [mate.module for mate in others]))
        needed |= {mate.name for mate in others if missing & set(rules_of(mate.module.text))}
    return frozenset(needed)


def _own(module: Module) -> set[str]:
    """The names that a file gives a meaning."""
    return {*rules_of(module.text), *(one.name for one in imports_of(module.text))}


def speaks_of(text: str, package: str) -> bool:
    """Whether a module refers to a package by its path, or to something in it."""
    return any(
        path == package or path.startswith(f"{package}.")
        for path in (dotted(found[1]).removeprefix(".") for found in _DATA.finditer(text))
    )


def _alone(policy: CustomPolicy, package: Package, missing: Iterable[str]) -> CustomPolicy:
    text = policy.module.text
    top = package.path.partition(".")[0]
    readable = _NO_WORD.sub("_", policy.name)
    place = f"{top}.{_ASIDE}.{readable}_{hash_of([policy.name])[:6]}"
    imports = [f"import data.{package.written}.{name}\n" for name in missing]
    renamed = text[: package.start] + place + text[package.end :]
    end = ["" if text.endswith("\n") else "\n", *imports] if imports else []
    return msgspec.structs.replace(policy, module=Module(policy.module.key, renamed + "".join(end)))


def _common(policy: CustomPolicy) -> Module:
    """What a policy defines, without what makes it one."""
    text = policy.module.text
    mark = f"trivyop_{hash_of([policy.name])[:6]}_"
    parts: list[str] = []
    end, before = 0, ""
    for token in tokens(text):
        if token.kind == "word" and before != "." and _is_entry(token.text):
            parts += [text[end : token.start], mark]
            end = token.start
        before = token.text
    renamed = "".join(parts) + text[end:]
    return Module(
        f"shared.{policy.module.key}", re.sub(r"(?m)^([ \t]*#[ \t]*)METADATA", r"\1metadata", renamed)
    )


def _is_entry(rule: str) -> bool:
    return is_enforced(rule) or rule in (METADATA, INPUT)
