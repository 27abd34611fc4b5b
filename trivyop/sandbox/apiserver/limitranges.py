"""LimitRanges: the requests and limits that containers get by default, and the bounds that they must keep.

Promises: the words of Kubernetes 1.34, which forbids what is out of bounds, and finds a container invalid
whose request is above the limit that it was given by default.
Not here: limits of claims, and how the limits of a pod's init containers count in the pod's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from typing import Any

from trivyop.sandbox.apiserver import status
from trivyop.sandbox.apiserver.objects.plain import fields_at, list_at
from trivyop.sandbox.apiserver.objects.scalars import canonical_quantity, parse_quantity

Obj = dict[str, Any]
Amounts = Mapping[str, str]


def admit(pod: Obj, ranges: Iterable[Obj]) -> None:
    """Give a new pod its defaults, in place; raises the 403 or 422 if it is out of bounds."""
    limits = [limit for one in ranges for limit in list_at(fields_at(one, "spec"), "limits")]
    containers = [*(pod["spec"].get("initContainers") or ()), *pod["spec"]["containers"]]
    for limit in limits:
        if limit["type"] == "Container":
            for container in containers:
                _give_defaults(container, limit)
    errors = [error for limit in limits for error in _errors(limit, containers)]
    name = pod["metadata"]["name"]
    if errors:
        why = errors[0] if len(errors) == 1 else f"[{', '.join(dict.fromkeys(errors))}]"
        raise status.forbidden("", "pods", name, why)
    above = [error for part in ("initContainers", "containers") for error in _above_limit(pod["spec"], part)]
    if above:
        raise status.invalid("Pod", "", name, above)


def _give_defaults(container: Obj, limit: Obj) -> None:
    given = {"limits": fields_at(limit, "default"), "requests": fields_at(limit, "defaultRequest")}
    if not any(given.values()):
        return
    resources: Obj = container.setdefault("resources", {})
    for part, amounts in given.items():
        if amounts:
            resources[part] = {**amounts, **fields_at(resources, part)}


def _errors(limit: Obj, containers: list[Obj]) -> Iterator[str]:
    kind = limit["type"]
    if kind == "Container":
        holders = [fields_at(container, "resources") for container in containers]
    elif kind == "Pod":
        holders = [{part: _sum(containers, part) for part in ("requests", "limits")}]
    else:
        return
    for resources in holders:
        requests, limits = fields_at(resources, "requests"), fields_at(resources, "limits")
        for name, bound in sorted(fields_at(limit, "min").items()):
            yield from _below(kind, name, bound, requests.get(name), limits.get(name))
        for name, bound in sorted(fields_at(limit, "max").items()):
            yield from _above(kind, name, bound, requests.get(name), limits.get(name))


def _below(kind: str, name: str, bound: str, request: str | None, limit: str | None) -> Iterator[str]:
    words = f"minimum {name} usage per {kind} is {bound}"
    least = parse_quantity(bound)
    if request is None:
        yield f"{words}.  No request is specified"
    elif parse_quantity(request) < least:
        yield f"{words}, but request is {request}"
    elif limit is not None and parse_quantity(limit) < least:
        yield f"{words}, but limit is {limit}"


def _above(kind: str, name: str, bound: str, request: str | None, limit: str | None) -> Iterator[str]:
    words = f"maximum {name} usage per {kind} is {bound}"
    most = parse_quantity(bound)
    if limit is None:
        yield f"{words}.  No limit is specified"
    elif parse_quantity(limit) > most:
        yield f"{words}, but limit is {limit}"
    elif request is not None and parse_quantity(request) > most:
        yield f"{words}, but request is {request}"


def _sum(containers: list[Obj], part: str) -> dict[str, str]:
    """The amounts of all containers together; of what one of them does not say, none."""
    amounts: list[Amounts] = [fields_at(fields_at(container, "resources"), part) for container in containers]
    names = [name for name in amounts[0] if all(name in one for one in amounts)]
    return {
        name: canonical_quantity(_text(sum((parse_quantity(one[name]) for one in amounts), Fraction())))
        for name in names
    }


def _text(amount: Fraction) -> str:
    return str(amount.numerator) if amount.denominator == 1 else f"{-(-amount * 1000 // 1)}m"


def _above_limit(spec: Obj, part: str) -> Iterator[status.FieldError]:
    for index, container in enumerate(spec.get(part) or ()):
        resources = fields_at(container, "resources")
        limits = fields_at(resources, "limits")
        for name, request in fields_at(resources, "requests").items():
            if name in limits and parse_quantity(request) > parse_quantity(limits[name]):
                words = f"must be less than or equal to {name} limit of {limits[name]}"
                yield status.FieldError(
                    "FieldValueInvalid",
                    f"spec.{part}[{index}].resources.requests",
                    f'Invalid value: "{request}": {words}',
                )
