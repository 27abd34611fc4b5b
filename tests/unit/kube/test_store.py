"""Store: it holds what it was given, and its indexes never lag behind."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from trivyop.kube.resources import ObjectKey
from trivyop.kube.store import Lister, Store

A, B, C = (ObjectKey("shop", name) for name in "abc")

KEYS = st.sampled_from([A, B, C, ObjectKey("", "a")])
VALUES = st.frozensets(st.sampled_from("uvwxyz"), max_size=3)
STEPS = st.lists(
    st.one_of(st.tuples(KEYS, VALUES), st.tuples(KEYS, st.none()), st.dictionaries(KEYS, VALUES))
)


def letters() -> Store[frozenset[str]]:
    """Sets of letters, each to be found by any of its letters."""
    return Store({"letter": lambda value: value, "size": lambda value: [str(len(value))]})


@given(STEPS)
def test_indexes_find_exactly_what_a_search_would(steps: list[object]) -> None:
    store, model = letters(), dict[ObjectKey, frozenset[str]]()
    for step in steps:
        match step:
            case dict():
                store.replace(step)
                model = dict(step)
            case (key, None):
                assert store.remove(key) == model.pop(key, None)
            case (key, value):
                assert store.set(key, value) == model.get(key)
                model[key] = value

        assert dict(store.items()) == model
        assert set(store) == set(store.keys()) == set(model)
        assert len(store) == len(store.values()) == len(model)
        for letter in "uvwxyz":
            expected = {key for key, value in model.items() if letter in value}
            assert set(store.keys_by_index("letter", letter)) == expected
            assert sorted(map(sorted, store.by_index("letter", letter))) == sorted(
                sorted(value) for value in model.values() if letter in value
            )
        assert set(store.index_values("letter")) == set().union(*model.values())
        assert set(store.index_values("size")) == {str(len(value)) for value in model.values()}


@given(st.dictionaries(KEYS, VALUES), st.dictionaries(KEYS, VALUES))
def test_replace_tells_each_difference_once_and_nothing_else(
    before: dict[ObjectKey, frozenset[str]], after: dict[ObjectKey, frozenset[str]]
) -> None:
    store = letters()
    store.replace(before)

    changes = store.replace(after)

    assert {key: (old, new) for key, old, new in changes} == {
        key: (before.get(key), after.get(key))
        for key in before.keys() | after.keys()
        if before.get(key) != after.get(key)
    }
    assert len(changes) == len({key for key, _, _ in changes})


def test_what_is_handed_out_is_a_snapshot() -> None:
    """A reader may write while it goes through what it read."""
    store = letters()
    store.replace({A: frozenset("u"), B: frozenset("u")})
    lister: Lister[frozenset[str]] = store

    for key in lister:
        store.remove(key)
        store.set(C, frozenset("v"))

    assert lister.keys() == [C]
