"""Usage is one relation, seen from both sides."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from trivyop.controllers.usage import Usage, Use
from trivyop.kube.resources import ObjectKey
from trivyop.workload.owners import WorkloadKind, WorkloadRef

WORKLOADS = [WorkloadRef(WorkloadKind.POD, ObjectKey("shop", name)) for name in ("a", "b", "c")]
SCANS = ["scan-1", "scan-2", "scan-3"]
NEEDS = st.dictionaries(st.sampled_from(["app", "proxy", "init"]), st.sampled_from(SCANS))
CHANGES = st.lists(st.tuples(st.sampled_from(WORKLOADS), NEEDS), max_size=20)


def uses_of(world: dict[WorkloadRef, dict[str, str]], scan: str) -> set[Use]:
    return {
        Use(workload, container)
        for workload, needs in world.items()
        for container, need in needs.items()
        if need == scan
    }


@given(CHANGES)
def test_both_sides_tell_the_same(changes: list[tuple[WorkloadRef, dict[str, str]]]) -> None:
    usage, world = Usage(), dict[WorkloadRef, dict[str, str]]()
    for workload, needs in changes:
        usage.set(workload, needs)
        world[workload] = needs

    in_use = {scan for scan in SCANS if uses_of(world, scan)}
    assert set(usage.scans()) == in_use
    assert set(usage.workloads()) == {workload for workload, needs in world.items() if needs}
    for scan in SCANS:
        assert set(usage.of(scan)) == uses_of(world, scan)
        assert usage.count(scan) == len(usage.of(scan))
    for workload in WORKLOADS:
        assert usage.scans_of(workload) == world.get(workload, {})


@given(CHANGES, st.sampled_from(WORKLOADS), NEEDS)
def test_change_tells_of_every_scan_whose_uses_it_changes(
    changes: list[tuple[WorkloadRef, dict[str, str]]], workload: WorkloadRef, needs: dict[str, str]
) -> None:
    """Those are looked at again; any other would be left with the workloads it had."""
    usage = Usage()
    for earlier in changes:
        usage.set(*earlier)
    before = {scan: set(usage.of(scan)) for scan in SCANS}

    touched = usage.set(workload, needs)

    assert touched == {scan for scan in SCANS if set(usage.of(scan)) != before[scan]}


@given(CHANGES)
def test_nothing_is_left_when_all_are_removed(changes: list[tuple[WorkloadRef, dict[str, str]]]) -> None:
    usage = Usage()
    for change in changes:
        usage.set(*change)

    for workload in WORKLOADS:
        usage.remove(workload)

    assert not usage.scans()
    assert not usage.workloads()
