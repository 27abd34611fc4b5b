"""Merge patches and conditions: what controllers write, and when they write nothing."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from trivyop.sandbox.changes import merge_patch, set_condition, without_empty

NAMES = st.sampled_from("abc")
VALUES = st.recursive(
    st.integers(0, 2) | st.booleans() | st.lists(st.integers(0, 2), max_size=2),
    lambda inner: st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)
OBJECTS = st.dictionaries(NAMES, VALUES, max_size=3)


def apply(target: Any, patch: Any) -> Any:
    """RFC 7386, as its text has it."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = apply(result.get(name), value)
    return result


@given(OBJECTS, OBJECTS)
def test_patch_makes_old_into_new(old: dict[str, Any], new: dict[str, Any]) -> None:
    assert apply(old, merge_patch(old, new)) == new


@given(OBJECTS)
def test_patch_between_equals_is_empty(same: dict[str, Any]) -> None:
    """An empty patch is not sent, so a controller that sees its own write stays quiet."""
    assert merge_patch(same, same) == {}


def test_condition_keeps_its_time_while_its_status_stays() -> None:
    old = {"type": "Ready", "status": "True", "lastTransitionTime": "then", "reason": "A"}

    [changed] = set_condition([old], {**old, "reason": "B", "lastTransitionTime": "now"})
    [turned] = set_condition([old], {**old, "status": "False", "lastTransitionTime": "now"})

    assert (changed["reason"], changed["lastTransitionTime"]) == ("B", "then")
    assert turned["lastTransitionTime"] == "now"


def test_condition_is_added_at_the_end_and_replaced_in_place() -> None:
    first, second = {"type": "A", "status": "True"}, {"type": "B", "status": "True"}

    both = set_condition([first], second)

    assert [c["type"] for c in both] == ["A", "B"]
    assert [c["status"] for c in set_condition(both, {"type": "A", "status": "False"})] == ["False", "True"]


def test_zeros_are_left_out_unless_kept() -> None:
    assert without_empty({"a": 0, "b": 0, "c": 1}, keep=("a",)) == {"a": 0, "c": 1}
