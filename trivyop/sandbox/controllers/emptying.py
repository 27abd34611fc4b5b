"""Emptying: what a namespace that terminates says of itself while its content goes. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from trivyop.kube.resources import Resource
from trivyop.sandbox.changes import Json, set_condition


def deletion_conditions(
    conditions: Sequence[Json],
    left: Mapping[Resource, int],
    finalizers: Counter[str],
    stamp: str,
    *,
    failure: str = "",
    undiscovered: str = "",
) -> list[Json]:
    """The five conditions of a namespace in which ``left`` objects of each kind remain.

    ``finalizers`` counts what holds them; ``failure`` and ``undiscovered`` say what went wrong on the way.
    """
    remaining = ", ".join(
        f"{resource.plural}.{resource.group} has {count} resource instances"
        for resource, count in sorted(left.items(), key=lambda item: item[0].name)
        if count
    )
    holding = ", ".join(
        f"{name} in {count} resource instances" for name, count in sorted(finalizers.items()) if count
    )
    result = list(conditions)
    for type_, trouble, bad, good in (
        (
            "NamespaceDeletionDiscoveryFailure",
            undiscovered,
            "DiscoveryFailed",
            ("ResourcesDiscovered", "All resources successfully discovered"),
        ),
        (
            "NamespaceDeletionGroupVersionParsingFailure",
            "",
            "GroupVersionParsingFailed",
            ("ParsedGroupVersions", "All legacy kube types successfully parsed"),
        ),
        (
            "NamespaceDeletionContentFailure",
            failure,
            "ContentDeletionFailed",
            ("ContentDeleted", "All content successfully deleted, may be waiting on finalization"),
        ),
        (
            "NamespaceContentRemaining",
            f"Some resources are remaining: {remaining}" if remaining else "",
            "SomeResourcesRemain",
            ("ContentRemoved", "All content successfully removed"),
        ),
        (
            "NamespaceFinalizersRemaining",
            f"Some content in the namespace has finalizers remaining: {holding}" if holding else "",
            "SomeFinalizersRemain",
            ("ContentHasNoFinalizers", "All content-preserving finalizers finished"),
        ),
    ):
        reason, message = (bad, trouble) if trouble else good
        result = set_condition(
            result,
            {
                "type": type_,
                "status": "True" if trouble else "False",
                "lastTransitionTime": stamp,
                "reason": reason,
                "message": message,
            },
        )
    return result
