"""References to workloads, as texts."""

from __future__ import annotations

import pytest

from trivyop.kube.resources import ObjectKey
from trivyop.workload.owners import WorkloadKind, WorkloadRef


@pytest.mark.parametrize("kind", WorkloadKind)
def test_reference_reads_what_it_wrote(kind: WorkloadKind) -> None:
    ref = WorkloadRef(kind, ObjectKey("shop", "web"))

    assert WorkloadRef.parse(str(ref)) == ref


@pytest.mark.parametrize("text", ["", "/", "Deployment/shop/web", "/shop/web"])
def test_reference_to_another_kind_is_none(text: str) -> None:
    """Reports of other programs carry labels too."""
    assert WorkloadRef.parse(text) is None
