"""Trimming takes managed fields away, and nothing else, whatever strings look like."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from trivyop.kube.trimming import trim_all, trim_one

TRICKY = ['"', "\\", "}]", '}],"a":1', '}]},"spec":{', ',"managedFields":[{', '"managedFields":[{', "[", "]}"]
TEXT = st.lists(st.sampled_from([*TRICKY, "a", " "]), max_size=4).map("".join)
FIELDS = st.recursive(st.just({}), lambda below: st.dictionaries(TEXT.map("f:".__add__), below, max_size=3))
ENTRY = st.fixed_dictionaries({"manager": TEXT, "fieldsV1": FIELDS})
MAPS = st.dictionaries(TEXT, TEXT, max_size=3)
OWNERS = st.lists(st.fixed_dictionaries({"uid": TEXT}), min_size=1, max_size=2)


@st.composite
def objects(draw: st.DrawFn) -> dict[str, Any]:
    """An object whose managed fields stand anywhere in its metadata, or are missing."""
    meta = draw(
        st.fixed_dictionaries(
            {"name": TEXT},
            optional={
                "annotations": MAPS,
                "managedFields": st.lists(ENTRY, max_size=2),
                "ownerReferences": OWNERS,
            },
        )
    )
    names = draw(st.permutations(sorted(meta)))
    parts: dict[str, Any] = {"metadata": {name: meta[name] for name in names}}
    if draw(st.booleans()):
        parts["spec"] = {"list": draw(st.lists(MAPS, max_size=2)), "text": draw(TEXT)}
    return parts


def compact(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def without(value: Any) -> Any:
    """Objects without managed fields, by way of Python."""
    bare = deepcopy(value)
    for item in bare.get("items", [bare]):
        item["metadata"].pop("managedFields", None)
    return bare


@given(objects())
def test_one_object_keeps_all_but_its_managed_fields(value: dict[str, Any]) -> None:
    assert without(json.loads(trim_one(compact(value)))) == without(value)


@given(st.lists(objects(), max_size=4))
def test_no_object_of_a_list_loses_anything_else(values: list[dict[str, Any]]) -> None:
    page = {"kind": "List", "items": values}

    assert without(json.loads(trim_all(compact(page)))) == without(page)


def test_managed_fields_are_gone_wherever_servers_put_them() -> None:
    fields = [{"manager": "x", "fieldsV1": {"f:spec": {'k:{"name":"[web]"}': {}}}, "subresource": "status"}]
    last = {"metadata": {"name": "a", "managedFields": fields}, "spec": {}}
    amid = {"metadata": {"name": "b", "managedFields": fields, "uid": "u"}}
    bare = {"metadata": {"name": "c", "managedFields": fields}}

    for one in (last, amid, bare):
        assert trim_one(compact(one)) == compact(without(one))
    page = {"items": [last, amid, bare, last, bare]}
    assert trim_all(compact(page) + b"\n") == compact(without(page)) + b"\n"


def test_text_that_is_not_compact_stays_as_it_is() -> None:
    """Only what is certain is taken away: the rest costs time, and no more."""
    text = json.dumps({"metadata": {"name": "a", "managedFields": [{"manager": "x"}]}, "spec": {}}).encode()

    assert trim_one(text) is text
    assert trim_all(text) is text
