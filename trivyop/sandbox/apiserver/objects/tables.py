"""Tables: what ``kubectl get`` prints, as the server computes it for ``as=Table``."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trivyop.sandbox.apiserver.objects.kinds import Kind, Obj


def column_definitions(kind: Kind) -> list[dict[str, Any]]:
    """``columnDefinitions`` of the Table."""
    raise NotImplementedError


def row(kind: Kind, obj: Obj, now: datetime, include: str = "Metadata") -> dict[str, Any]:
    """One row; ``include`` is None, Metadata or Object (``?includeObject=``)."""
    raise NotImplementedError


def table(
    kind: Kind,
    objects: Sequence[Obj],
    now: datetime,
    *,
    metadata: dict[str, Any],
    include: str = "Metadata",
    columns: bool = True,
) -> dict[str, Any]:
    """The Table; ``columns=False`` leaves the definitions out, as watches do after their first event."""
    raise NotImplementedError


def partial(obj: Obj) -> Obj:
    """The object as PartialObjectMetadata (meta.k8s.io/v1)."""
    return {
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": obj["metadata"],
    }
