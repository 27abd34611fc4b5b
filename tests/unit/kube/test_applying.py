from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivyop.kube.applying import without_empty_maps

SCALARS = st.none() | st.booleans() | st.integers(-3, 3) | st.text("ab", max_size=2)
DOCUMENTS = st.dictionaries(
    st.sampled_from("abcd"),
    st.recursive(
        SCALARS,
        lambda inner: (
            st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abcd"), inner, max_size=3)
        ),
        max_leaves=8,
    ),
    max_size=4,
)


def fields(value: Any, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    """What a document says: the values of its fields by their path; empty maps say nothing."""
    if not isinstance(value, dict):
        return {path: value}
    return {at: leaf for name, item in value.items() for at, leaf in fields(item, (*path, name)).items()}


def maps(value: Any) -> list[dict[str, Any]]:
    """The maps of a document below its root, those in lists not counted."""
    inner = [item for item in value.values() if isinstance(item, dict)]
    return inner + [one for item in inner for one in maps(item)]


@given(DOCUMENTS)
def test_what_is_left_has_no_empty_map_and_says_the_same(document: dict[str, Any]) -> None:
    left = without_empty_maps(document)

    assert all(maps(left))
    assert fields(left) == fields(document)
    assert without_empty_maps(left) == left


@pytest.mark.parametrize(
    ("document", "left"),
    [
        ({"status": {"phase": "Failed", "os": {}}}, {"status": {"phase": "Failed"}}),
        ({"status": {"a": {"b": {"c": {}}}}}, {}),
        ({"volumes": [{"name": "x", "emptyDir": {}}]}, {"volumes": [{"name": "x", "emptyDir": {}}]}),
        ({"vulnerabilities": [], "name": ""}, {"vulnerabilities": [], "name": ""}),
    ],
)
def test_lists_and_empty_texts_stay(document: dict[str, Any], left: dict[str, Any]) -> None:
    assert without_empty_maps(document) == left
