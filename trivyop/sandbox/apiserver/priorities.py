"""Priorities: what a new pod's priority class gives it.

Promises: the words and the order of Kubernetes' Priority admission. A pod that names no class has the global
default, of several the one with the lowest value; what it says itself must be what its class says.
Not here: who is evicted for whom.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from trivyop.sandbox.apiserver import status

Obj = dict[str, Any]
GROUP: Final = "scheduling.k8s.io"
SYSTEM_CLASSES: Final = {"system-cluster-critical": 2_000_000_000, "system-node-critical": 2_000_001_000}
_PREEMPT: Final = "PreemptLowerPriority"


def admit(pod: Obj, classes: Iterable[Obj]) -> None:
    """Give a new pod its priority, in place; raises the 403 of an unknown class or of another priority."""
    spec, name = pod["spec"], pod["metadata"]["name"]
    given = _chosen(spec.get("priorityClassName"), list(classes))
    if given is None:
        why = f"no PriorityClass with name {spec['priorityClassName']} was found"
        raise status.forbidden("", "pods", name, why)
    if given:
        spec["priorityClassName"] = given["metadata"]["name"]
    computed = {
        "priority": ("integer value of priority", given.get("value", 0)),
        "preemptionPolicy": ("string value of PreemptionPolicy", given.get("preemptionPolicy", _PREEMPT)),
    }
    for field, (words, value) in computed.items():
        if spec.setdefault(field, value) != value:
            why = (
                f"the {words} ({spec[field]}) must not be provided in pod spec; "
                f"priority admission controller computed {value} from the given PriorityClass name"
            )
            raise status.forbidden("", "pods", name, why)


def _chosen(name: str | None, classes: list[Obj]) -> Obj | None:
    """Return the class of that name, None if there is none; without a name the default, {} if none is."""
    if name:
        return next((one for one in classes if one["metadata"]["name"] == name), None)
    defaults = [one for one in classes if one.get("globalDefault")]
    return min(defaults, key=lambda one: one["value"]) if defaults else {}
