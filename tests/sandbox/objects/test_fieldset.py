from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from trivyop.sandbox.apiserver.objects.fieldset import (
    SELF,
    FieldSet,
    difference,
    intersection,
    is_member,
    key_element,
    paths,
    union,
)

NODES = st.recursive(
    st.just({}),
    lambda inner: st.dictionaries(st.sampled_from(["f:a", "f:b", 'v:"x"']), inner, min_size=1).flatmap(
        lambda children: st.sampled_from([children, {SELF: {}, **children}])
    ),
)
SETS = st.dictionaries(st.sampled_from(["f:a", "f:b", 'k:{"name":"x"}']), NODES)


def members(node: FieldSet, prefix: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
    """The set as a set, which is what the functions are measured by."""
    found: set[tuple[str, ...]] = set()
    for element, child in node.items():
        if element == SELF:
            continue
        path = (*prefix, element)
        if is_member(child):
            found.add(path)
        found |= members(child, path)
    return found


@given(SETS, SETS)
def test_the_operations_are_those_of_sets(left: Any, right: Any) -> None:
    assert members(union(left, right)) == members(left) | members(right)
    assert members(difference(left, right)) == members(left) - members(right)
    assert members(intersection(left, right)) == members(left) & members(right)


@given(SETS)
def test_nothing_is_left_of_a_set_without_itself(held: Any) -> None:
    assert difference(held, held) == {}
    assert union(held, held) == held


def test_paths_are_written_as_conflicts_show_them() -> None:
    held = {
        "f:spec": {'k:{"port":80,"protocol":"TCP"}': {SELF: {}, "f:name": {}}, 'v:"x/y"': {}},
        "f:data": {},
    }

    assert paths(held) == [
        ".data",
        '.spec[port=80,protocol="TCP"]',
        '.spec[port=80,protocol="TCP"].name',
        '.spec[="x/y"]',
    ]


def test_keys_are_sorted_and_absent_ones_left_out() -> None:
    assert key_element(("name",), {"name": 'a"b'}, {}) == 'k:{"name":"a\\"b"}'
    assert key_element(("protocol", "port"), {"port": 80, "protocol": "TCP"}, {}) == (
        'k:{"port":80,"protocol":"TCP"}'
    )
    assert key_element(("protocol", "port"), {"port": 80}, {}) == 'k:{"port":80}'
    assert key_element(("protocol", "port"), {"port": 80}, {"protocol": "TCP"}) == (
        'k:{"port":80,"protocol":"TCP"}'
    )
