from __future__ import annotations

import copy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.sandbox.objects.making import custom_kind, obj_of
from trivyop.sandbox.apiserver.objects.structural import default_in_place, prune
from trivyop.sandbox.apiserver.objects.validation import validate

REPORT = {
    "type": "object",
    "required": ["spec"],
    "properties": {
        "spec": {
            "type": "object",
            "required": ["name"],
            "properties": {
                "name": {"type": "string", "maxLength": 5, "pattern": "^[a-z]+$"},
                "size": {"type": "integer", "minimum": 1, "default": 1},
                "count": {"type": "integer", "minimum": 0},
                "level": {"type": "string", "enum": ["LOW", "HIGH"]},
                "note": {"type": "string", "nullable": True},
                "port": {"x-kubernetes-int-or-string": True},
                "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                "labels": {"type": "object", "additionalProperties": {"type": "string"}},
                "parts": {
                    "type": "array",
                    "maxItems": 2,
                    "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["id"],
                    "items": {
                        "type": "object",
                        "required": ["id"],
                        "properties": {"id": {"type": "integer"}, "kind": {"type": "string", "default": "x"}},
                    },
                },
            },
        }
    },
}
KIND = custom_kind(REPORT)
FREE = st.recursive(
    st.none() | st.booleans() | st.integers(0, 3) | st.text(max_size=2),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["spec", "name", "size", "parts", "id", "free", "z"]), inner)
    ),
)


def messages(spec: Any) -> list[str]:
    return [str(error) for error in validate(KIND.schema, obj_of(KIND, spec=spec), "")]


@given(FREE)
def test_pruning_and_defaulting_are_done_when_they_were_done_once(value: Any) -> None:
    before = copy.deepcopy(value)

    pruned = prune(KIND.schema, value, [])
    assert value == before, "the argument stays as it is"
    unknown: list[str] = []
    assert prune(KIND.schema, pruned, unknown) == pruned
    assert unknown == []

    default_in_place(KIND.schema, pruned)
    once = copy.deepcopy(pruned)
    default_in_place(KIND.schema, pruned)
    assert pruned == once


def test_unknown_fields_go_and_are_named() -> None:
    unknown: list[str] = []
    spec = {"name": "a", "typo": 1, "free": {"any": {"thing": 1}}, "parts": [{"id": 1, "x": 2}]}

    pruned = prune(KIND.schema, {"spec": spec}, unknown)

    assert pruned == {"spec": {"name": "a", "free": {"any": {"thing": 1}}, "parts": [{"id": 1}]}}
    assert unknown == ["spec.typo", "spec.parts[0].x"]


def test_null_gives_way_to_a_default_and_stays_where_it_is_allowed() -> None:
    value = {"spec": {"size": None, "note": None, "level": None, "parts": [{"id": 1}]}}

    default_in_place(KIND.schema, value)

    assert value == {"spec": {"size": 1, "note": None, "parts": [{"id": 1, "kind": "x"}]}}


def test_each_rule_of_a_schema_has_its_message() -> None:
    assert messages({"name": "a"}) == []
    assert messages({}) == ["spec.name: Required value"]
    assert messages({"name": "toolong"}) == ["spec.name: Too long: may not be more than 5 bytes"]
    assert messages({"name": "A"}) == [
        "spec.name: Invalid value: \"A\": spec.name in body should match '^[a-z]+$'"
    ]
    assert messages({"name": "a", "size": 0}) == [
        "spec.size: Invalid value: 0: spec.size in body should be greater than or equal to 1"
    ]
    assert messages({"name": "a", "count": -1}) == [
        "spec.count: Invalid value: -1: spec.count in body should be greater than or equal to 0"
    ]
    assert messages({"name": "a", "level": "MID"}) == [
        'spec.level: Unsupported value: "MID": supported values: "LOW", "HIGH"'
    ]
    assert messages({"name": "a", "labels": {"k": 1}}) == [
        'spec.labels.k: Invalid value: "integer": spec.labels.k in body must be of type string: "integer"'
    ]
    assert messages({"name": "a", "parts": [{"id": 1}, {"id": 2}, {"id": 1}]}) == [
        "spec.parts: Too many: 3: must have at most 2 items",
        'spec.parts[2]: Duplicate value: {"id":1}',
    ]


def test_a_port_may_be_a_number_or_a_name() -> None:
    assert messages({"name": "a", "port": 80}) == []
    assert messages({"name": "a", "port": "http"}) == []
    assert len(messages({"name": "a", "port": True})) == 1


def test_status_of_the_first_kind_does_not_need_a_body() -> None:
    """``report: null`` counts as absent once nulls are dropped, and so is required."""
    value: dict[str, Any] = obj_of(KIND, spec=None)

    default_in_place(KIND.schema, value)

    assert [str(e) for e in validate(KIND.schema, value, "")] == ["spec: Required value"]
