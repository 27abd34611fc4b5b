"""What garbage collection asks of an object, given the graph of owners."""

from __future__ import annotations

from trivyop.kube.resources import CONFIGMAPS, NODES, ObjectKey
from trivyop.sandbox.controllers.objects import Owner
from trivyop.sandbox.controllers.ownership import (
    FOREGROUND,
    ORPHAN,
    Delete,
    DropFinalizer,
    DropOwners,
    Entry,
    Graph,
    Keep,
    OrphanDependents,
    Step,
    next_step,
)


def entry(
    uid: str, *owners: str, blocks: bool = False, finalizers: tuple[str, ...] = (), deleting: bool = False
) -> Entry:
    references = tuple(
        Owner(api_version="v1", kind="ConfigMap", name=o, uid=o, block_owner_deletion=blocks) for o in owners
    )
    return Entry(CONFIGMAPS, ObjectKey("shop", uid), uid, "1", references, finalizers, deleting=deleting)


def graph(*entries: Entry) -> Graph:
    made = Graph()
    for one in entries:
        made.put(one)
    return made


def step(made: Graph, uid: str, *, exists: bool = False) -> Step:
    found = made.get(uid)
    assert found is not None
    return next_step(made, found, lambda _: exists)


def test_object_without_owners_stays() -> None:
    assert step(graph(entry("a")), "a") == Keep()


def test_object_goes_with_its_last_owner() -> None:
    made = graph(entry("a"), entry("child", "a"))
    assert step(made, "child") == Keep()

    made.remove("a")

    assert step(made, "child") == Delete("Background")


def test_owner_in_another_namespace_is_none() -> None:
    elsewhere = Entry(CONFIGMAPS, ObjectKey("other", "a"), "a", "1")

    assert step(graph(elsewhere, entry("child", "a")), "child") == Delete("Background")
    assert step(graph(elsewhere, entry("b"), entry("child", "a", "b")), "child") == DropOwners(
        frozenset({"a"})
    )


def test_owner_of_the_whole_cluster_owns_in_any_namespace() -> None:
    node = Entry(NODES, ObjectKey("", "a"), "a", "1")

    assert step(graph(node, entry("child", "a")), "child") == Keep()


def test_owner_that_only_the_server_knows_keeps_it() -> None:
    """A new owner's event may come after its child's."""
    assert step(graph(entry("child", "a")), "child", exists=True) == Keep()


def test_object_loses_the_owners_that_are_gone_and_stays_for_the_others() -> None:
    assert step(graph(entry("b"), entry("shared", "a", "b")), "shared") == DropOwners(frozenset({"a"}))


def test_foreground_deletion_waits_for_blocking_dependents_only() -> None:
    owner = entry("a", finalizers=(FOREGROUND,), deleting=True)
    made = graph(owner, entry("blocking", "a", blocks=True), entry("other", "a"))
    assert step(made, "a") == Keep()
    assert step(made, "blocking") == Delete("Background")

    made.remove("blocking")

    assert step(made, "a") == DropFinalizer(FOREGROUND)


def test_foreground_deletion_goes_down_the_tree() -> None:
    made = graph(
        entry("a", finalizers=(FOREGROUND,), deleting=True),
        entry("b", "a", blocks=True),
        entry("c", "b", blocks=True),
    )

    assert step(made, "b") == Delete("Foreground")


def test_orphaning_takes_the_references_off_first() -> None:
    child = entry("child", "a")
    made = graph(entry("a", finalizers=(ORPHAN,), deleting=True), child)
    assert step(made, "a") == OrphanDependents((child,))

    made.put(entry("child"))

    assert step(made, "a") == DropFinalizer(ORPHAN)


def test_object_that_is_being_deleted_is_left_alone() -> None:
    made = graph(entry("child", "a", deleting=True, finalizers=("example.com/hold",)))

    assert step(made, "child") == Keep()


def test_graph_forgets_what_it_is_told_to() -> None:
    made = graph(entry("a"), entry("child", "a"))

    made.remove("child")
    made.remove("a")

    assert len(made) == 0
    assert list(made.dependents("a")) == []
