"""Storage remembers: any earlier state can be listed, and a watch from it leads to the present one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from trivyop.sandbox.apiserver.fields import fields_of
from trivyop.sandbox.apiserver.reads import Selection
from trivyop.sandbox.apiserver.selectors import matches, parse_labels
from trivyop.sandbox.apiserver.storage import Bucket, Change, Storage

NAMES = st.sampled_from(["a", "b", "c"])
NAMESPACES = st.sampled_from(["x", "x-y", "y"])
WRITES = st.lists(st.tuples(NAMESPACES, NAMES, st.sampled_from(["on", "off", None])), max_size=40)
ON = parse_labels("state=on")


def new_bucket() -> tuple[Storage, Bucket]:
    storage = Storage()
    return storage, storage.bucket("", "configmaps", fields_of("", "configmaps"))


def write(bucket: Bucket, namespace: str, name: str, state: str | None) -> None:
    """Put an object with a label, or remove it."""
    if state is not None:
        metadata = {"namespace": namespace, "name": name, "labels": {"state": state}}
        bucket.put({"metadata": metadata})
    elif stored := bucket.get(namespace, name):
        bucket.remove(stored)


def contents(bucket: Bucket, namespace: str = "") -> list[tuple[str, int]]:
    return [(stored.key, stored.rv) for stored in bucket.list(namespace)]


@given(WRITES, NAMESPACES)
def test_each_past_state_can_be_listed(writes: list[tuple[str, str, str | None]], namespace: str) -> None:
    storage, bucket = new_bucket()
    past: dict[int, list[tuple[str, int]]] = {storage.rv: []}
    for step in writes:
        write(bucket, *step)
        past[storage.rv] = contents(bucket, namespace)

    for rv, expected in past.items():
        assert [(stored.key, stored.rv) for stored in bucket.list_at(rv, namespace)] == expected


@given(WRITES)
def test_lists_are_ordered_as_keys_are(writes: list[tuple[str, str, str | None]]) -> None:
    """``x-y/a`` comes before ``x/a``, which sorting by namespace would not give."""
    _, bucket = new_bucket()
    for step in writes:
        write(bucket, *step)

    keys = [key for key, _ in contents(bucket)]
    assert keys == sorted(keys)
    assert [k for k in keys if k.startswith("x/")] == [key for key, _ in contents(bucket, "x")]


@given(WRITES, st.integers(min_value=0, max_value=40))
def test_replayed_changes_lead_to_what_is_listed(
    writes: list[tuple[str, str, str | None]], start: int
) -> None:
    """For a selective watch too: what leaves the selection is taken for deleted."""
    _, bucket = new_bucket()
    selection = Selection("", ON, ())
    for step in writes[:start]:
        write(bucket, *step)
    mirror = {s.key: s.rv for s in bucket.list() if s in selection}
    rv = bucket.list()[-1].rv if bucket.list() else 0
    rv = max([rv, *(change.rv for change in bucket.since(0))])
    for step in writes[start:]:
        write(bucket, *step)

    for change in bucket.since(rv):
        apply(change, mirror, selection)

    assert mirror == {s.key: s.rv for s in bucket.list() if matches(ON, s.labels)}


def apply(change: Change, mirror: dict[str, int], selection: Selection) -> None:
    if change.new is not None and change.new in selection:
        mirror[change.new.key] = change.new.rv
    elif change.old is not None:
        mirror.pop(change.old.key, None)


def test_what_is_stored_cannot_be_changed_from_outside() -> None:
    _, bucket = new_bucket()
    obj: dict[str, Any] = {"metadata": {"name": "a", "namespace": "x"}, "data": {"k": "v"}}
    stored = bucket.put(obj)

    obj["data"]["k"] = "changed"
    read: Mapping[str, Any] = stored.obj()
    read["data"]["k"] = "changed too"

    assert stored.obj()["data"] == {"k": "v"}
