"""Quotas: how much there may be in a namespace.

Promises: the words of Kubernetes 1.34. What is used is counted when somebody asks for more; no controller
writes it into the status of the ResourceQuota, and none has to before a quota counts.
Not here: quotas with scopes, which hold nobody up; storage.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Any

from trivyop.sandbox.apiserver import status
from trivyop.sandbox.apiserver.objects.plain import fields_at
from trivyop.sandbox.apiserver.objects.scalars import canonical_quantity, parse_quantity

Obj = dict[str, Any]
Amounts = dict[str, Fraction]

_MUST_BE_SAID = ("cpu", "limits.cpu", "limits.memory", "memory", "requests.cpu", "requests.memory")


def check(group: str, plural: str, obj: Obj, there: Iterable[Obj], quotas: Iterable[Obj]) -> None:
    """Raise the 403 if a new object is more than a quota allows; ``there`` are those of its kind."""
    held = [one for one in quotas if not fields_at(one, "spec").get("scopes") and not _selects(one)]
    if not held:
        return
    name = obj["metadata"]["name"]
    wanted = _usage(group, plural, obj)
    limits = {resource for one in held for resource in fields_at(fields_at(one, "spec"), "hard")}
    used: Amounts = {}
    if limits.intersection(wanted):  # else all of the kind would be read for nothing
        used = _total_usage(group, plural, there)
    for quota in sorted(held, key=lambda one: one["metadata"]["name"]):
        hard: Mapping[str, str] = fields_at(fields_at(quota, "spec"), "hard")
        if (group, plural) == ("", "pods"):
            _check_said(name, quota, obj, hard)
        exceeded = sorted(
            resource
            for resource, amount in wanted.items()
            if resource in hard and used.get(resource, Fraction()) + amount > parse_quantity(hard[resource])
        )
        if exceeded:
            before = {resource: used.get(resource, Fraction()) for resource in exceeded}
            words = (
                f"exceeded quota: {quota['metadata']['name']}, requested: {_listed(wanted, exceeded)}, "
                f"used: {_listed(before, exceeded)}, limited: "
            )
            limited = ",".join(f"{resource}={hard[resource]}" for resource in exceeded)
            raise status.forbidden(group, plural, name, words + limited)


def _total_usage(group: str, plural: str, objects: Iterable[Obj]) -> Amounts:
    total: Amounts = {}
    for one in objects:
        if not _is_over(group, plural, one):
            for resource, amount in _usage(group, plural, one).items():
                total[resource] = total.get(resource, Fraction()) + amount
    return total


def _listed(amounts: Amounts, resources: list[str]) -> str:
    return ",".join(f"{resource}={_text(amounts[resource])}" for resource in resources)


def _check_said(name: str, quota: Obj, pod: Obj, hard: Mapping[str, str]) -> None:
    missing: dict[str, set[str]] = {}
    for resource in _MUST_BE_SAID:
        if resource not in hard:
            continue
        part = "limits" if resource.startswith("limits.") else "requests"
        kind = resource.rpartition(".")[2]
        for container in _containers(pod):
            if kind not in fields_at(fields_at(container, "resources"), part):
                missing.setdefault(resource, set()).add(container["name"])
    if missing:
        said = "; ".join(
            f"{resource} for: {','.join(sorted(who))}" for resource, who in sorted(missing.items())
        )
        raise status.forbidden(
            "", "pods", name, f"failed quota: {quota['metadata']['name']}: must specify {said}"
        )


def _selects(quota: Obj) -> bool:
    return bool(fields_at(quota, "spec").get("scopeSelector"))


def _is_over(group: str, plural: str, obj: Obj) -> bool:
    """A pod that has ended does not count."""
    return (group, plural) == ("", "pods") and fields_at(obj, "status").get("phase") in (
        "Succeeded",
        "Failed",
    )


def _usage(group: str, plural: str, obj: Obj) -> Amounts:
    one = Fraction(1)
    usage: Amounts = {f"count/{plural}.{group}" if group else f"count/{plural}": one}
    if not group:
        usage[plural] = one
    if (group, plural) == ("", "pods"):
        for part in ("requests", "limits"):
            for resource, amount in _sum(obj, part).items():
                usage[f"{part}.{resource}"] = amount
                if part == "requests":
                    usage[resource] = amount
    return usage


def _containers(pod: Obj) -> list[Obj]:
    return [*pod["spec"]["containers"], *(pod["spec"].get("initContainers") or ())]


def _sum(pod: Obj, part: str) -> Amounts:
    """What the pod asks for: its containers together, or the most of an init container."""
    total: Amounts = {}
    for container in pod["spec"]["containers"]:
        for resource, text in fields_at(fields_at(container, "resources"), part).items():
            total[resource] = total.get(resource, Fraction()) + parse_quantity(text)
    for container in pod["spec"].get("initContainers") or ():
        for resource, text in fields_at(fields_at(container, "resources"), part).items():
            total[resource] = max(total.get(resource, Fraction()), parse_quantity(text))
    return total


def _text(amount: Fraction) -> str:
    if amount.denominator != 1:
        return canonical_quantity(f"{-(-amount * 1000 // 1)}m")
    whole = amount.numerator
    return canonical_quantity(f"{whole // 1024}Ki" if whole and whole % 1024 == 0 else str(whole))
