from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivyop.sandbox.apiserver.objects.patching import json_patch, merge_patch
from trivyop.sandbox.apiserver.objects.refusals import Refused

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(0, 3) | st.text(max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner),
)


@pytest.mark.parametrize(
    ("original", "patch", "result"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_patches_do_what_rfc_7386_shows(original: Any, patch: Any, result: Any) -> None:
    assert merge_patch(original, patch) == result


@given(VALUES, VALUES)
def test_a_merge_patch_done_twice_is_done_once_and_leaves_the_original(document: Any, patch: Any) -> None:
    before = copy.deepcopy(document)

    once = merge_patch(document, patch)

    assert document == before
    assert merge_patch(once, patch) == once


@pytest.mark.parametrize(
    ("document", "operations", "result"),
    [
        ({"a": [1, 3]}, [{"op": "add", "path": "/a/1", "value": 2}], {"a": [1, 2, 3]}),
        ({"a": [1]}, [{"op": "add", "path": "/a/-", "value": 2}], {"a": [1, 2]}),
        ({"a": {"b~/": 1}}, [{"op": "remove", "path": "/a/b~0~1"}], {"a": {}}),
        ({"a": 1}, [{"op": "replace", "path": "/a", "value": None}], {"a": None}),
        ({"a": {"b": 1}}, [{"op": "move", "from": "/a/b", "path": "/c"}], {"a": {}, "c": 1}),
        ({"a": [1]}, [{"op": "copy", "from": "/a", "path": "/b"}], {"a": [1], "b": [1]}),
        ({"a": 1}, [{"op": "test", "path": "/a", "value": 1.0}], {"a": 1}),
        ({"a": 1}, [{"op": "test", "path": "/b", "value": None}], {"a": 1}),
        ({"a": 1}, [{"op": "replace", "path": "", "value": [2]}], [2]),
    ],
)
def test_json_patches_do_what_rfc_6902_says(document: Any, operations: Any, result: Any) -> None:
    before = copy.deepcopy(document)

    assert json_patch(document, operations) == result
    assert document == before


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "remove", "path": "/absent"},
        {"op": "replace", "path": "/absent", "value": 1},
        {"op": "add", "path": "/a/b/c", "value": 1},
        {"op": "add", "path": "/list/5", "value": 1},
        {"op": "add", "path": "/list/x", "value": 1},
        {"op": "add", "path": "/b"},
        {"op": "test", "path": "/a", "value": True},
        {"op": "move", "from": "/absent", "path": "/b"},
        {"op": "frobnicate", "path": "/a"},
        {"op": "add", "path": "no-slash", "value": 1},
        {"path": "/a"},
        "add",
    ],
)
def test_what_can_not_be_carried_out_is_refused_and_nothing_else_is_said(operation: Any) -> None:
    with pytest.raises(Refused) as refused:
        json_patch({"a": 1, "list": []}, [operation])
    assert refused.value.code == 422
    assert refused.value.status["details"] == {}


def test_a_patch_that_is_no_list_can_not_be_decoded() -> None:
    with pytest.raises(Refused) as refused:
        json_patch({}, {"a": 1})
    assert refused.value.code == 400
