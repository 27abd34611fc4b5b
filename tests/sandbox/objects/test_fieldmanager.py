from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sandbox.objects.making import (
    CONFIG_MAP,
    DEPLOYMENT,
    JSON,
    POD,
    SERVICE,
    apply,
    create,
    custom_kind,
    obj_of,
    write,
)
from trivyop.sandbox.apiserver.objects import writing
from trivyop.sandbox.apiserver.objects.refusals import Refused

DATA = st.dictionaries(st.sampled_from("abcd"), st.sampled_from(["1", "2"]), min_size=1)


def owned(obj: dict[str, Any]) -> dict[tuple[str, str], Any]:
    entries = obj["metadata"].get("managedFields", [])
    return {(entry["manager"], entry["operation"]): entry["fieldsV1"] for entry in entries}


def applied(live: dict[str, Any] | None, manager: str, data: dict[str, str], **more: Any) -> Any:
    return apply(CONFIG_MAP, live, obj_of(CONFIG_MAP, data=data), manager=manager, **more).obj


def test_a_created_pod_is_tracked_as_the_real_server_tracks_it() -> None:
    """Structs that are always there belong to nobody, lists that start out as null have no dot."""
    pod = create(
        POD, obj_of(POD, spec={"containers": [{"name": "a", "image": "b"}], "volumes": [{"name": "v"}]})
    )

    spec = owned(pod)["tester", "Update"]["f:spec"]
    assert "." not in spec
    assert set(spec["f:containers"]) == {'k:{"name":"a"}'}
    assert "." in spec["f:containers"]['k:{"name":"a"}']
    assert "." in spec["f:volumes"]
    assert spec["f:containers"]['k:{"name":"a"}']["f:resources"] == {}
    assert "f:tolerations" not in spec, "admission comes after the field managers"


def test_an_update_takes_what_it_changes_and_only_that() -> None:
    live = create(CONFIG_MAP, obj_of(CONFIG_MAP, data={"a": "1", "b": "1"}), manager="first")
    body = orjson.dumps({**live, "data": {"a": "2", "b": "1"}})

    new = writing.replace(CONFIG_MAP, live, body, JSON, write(manager="second", name="x")).obj

    assert owned(new) == {
        ("first", "Update"): {"f:data": {".": {}, "f:b": {}}},
        ("second", "Update"): {"f:data": {"f:a": {}}},
    }


@given(DATA)
def test_applying_the_same_twice_changes_nothing(data: dict[str, str]) -> None:
    live = applied(None, "m", data)
    live["metadata"]["resourceVersion"] = "1"

    assert applied(live, "m", data, now="2027-01-01T00:00:00Z") is live


@given(DATA, DATA)
def test_a_forced_apply_wins_and_the_rest_stays(first: dict[str, str], second: dict[str, str]) -> None:
    live = applied(None, "one", first)

    new = applied(live, "two", second, force=True)

    assert new["data"] == first | second
    assert set(owned(new)["two", "Apply"]["f:data"]) == {f"f:{key}" for key in second}


@given(DATA, DATA)
def test_what_a_manager_gives_up_goes_unless_another_has_it(
    first: dict[str, str], second: dict[str, str]
) -> None:
    live = applied(applied(None, "one", first), "two", second, force=True)

    new = applied(live, "two", {"z": "1"})

    kept = {key: value for key, value in first.items() if second.get(key, value) == value}
    assert new["data"] == kept | {"z": "1"}


@given(DATA, DATA)
def test_a_conflict_is_about_values_that_others_hold_and_that_differ(
    first: dict[str, str], second: dict[str, str]
) -> None:
    live = applied(None, "one", first)
    differing = sorted(key for key in first if key in second and first[key] != second[key])
    if not differing:
        assert applied(live, "two", second)["data"] == first | second
        return

    with pytest.raises(Refused) as refused:
        applied(live, "two", second)

    causes = refused.value.status["details"]["causes"]
    assert [cause["field"] for cause in causes] == [f".data.{key}" for key in differing]
    assert refused.value.code == 409


def test_several_conflicts_are_listed_by_manager() -> None:
    live = applied(applied(None, "one", {"a": "1", "b": "1"}), "two", {"c": "1"})

    with pytest.raises(Refused) as refused:
        applied(live, "three", {"a": "2", "b": "2", "c": "2"})

    assert refused.value.message == (
        'Apply failed with 3 conflicts: conflicts with "one":\n- .data.a\n- .data.b\n'
        'conflicts with "two":\n- .data.c'
    )


def test_items_of_a_list_with_keys_are_owned_one_by_one() -> None:
    def deployment(*containers: dict[str, Any]) -> dict[str, Any]:
        template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": list(containers)}}
        return obj_of(DEPLOYMENT, spec={"selector": {"matchLabels": {"a": "b"}}, "template": template})

    web, side = {"name": "web", "image": "web:1"}, {"name": "side", "image": "side:1"}
    live = apply(DEPLOYMENT, None, deployment(web), manager="one").obj

    both = apply(DEPLOYMENT, live, deployment(side), manager="two").obj
    assert [c["name"] for c in both["spec"]["template"]["spec"]["containers"]] == ["web", "side"]

    again = apply(DEPLOYMENT, both, deployment({"name": "web", "image": "web:1"}), manager="two").obj
    assert [c["name"] for c in again["spec"]["template"]["spec"]["containers"]] == ["web"]


def test_a_port_without_a_protocol_is_the_one_that_was_given_tcp_by_default() -> None:
    service = obj_of(SERVICE, spec={"ports": [{"port": 80}]})
    live = create(SERVICE, service)

    new = apply(SERVICE, live, service, manager="m").obj

    assert new["spec"]["ports"] == live["spec"]["ports"]
    assert set(owned(new)["m", "Apply"]["f:spec"]["f:ports"]) == {'k:{"port":80,"protocol":"TCP"}'}


def test_an_empty_entry_clears_the_managers() -> None:
    live = create(CONFIG_MAP, obj_of(CONFIG_MAP, data={"a": "1"}))
    live["metadata"]["managedFields"].append({**live["metadata"]["managedFields"][0], "manager": "other"})
    body = orjson.dumps({**live, "metadata": {**live["metadata"], "managedFields": [{}]}})

    new = writing.replace(CONFIG_MAP, live, body, JSON, write(name="x")).obj

    assert owned(new) == {}


def test_what_was_there_before_the_first_apply_has_an_owner_then() -> None:
    live = create(CONFIG_MAP, obj_of(CONFIG_MAP, data={"a": "1"}))
    del live["metadata"]["managedFields"]

    new = applied(live, "m", {"b": "1"})

    assert owned(new) == {
        ("m", "Apply"): {"f:data": {"f:b": {}}},
        ("before-first-apply", "Update"): {"f:data": {".": {}, "f:a": {}}},
    }


def test_a_field_that_nobody_can_own_is_refused() -> None:
    with pytest.raises(Refused) as refused:
        apply(CONFIG_MAP, None, obj_of(CONFIG_MAP, dta={"a": "b"}), manager="m")
    assert refused.value.code == 500
    assert refused.value.message.endswith(".dta: field not declared in schema")


_NAMED: dict[str, Any] = {
    "type": "object",
    "properties": {"family": {"type": "string"}, "name": {"type": "string"}},
}
_SPEC: dict[str, Any] = {
    "type": "object",
    "properties": {
        "phase": {"type": "string"},
        "os": {**_NAMED, "properties": {**_NAMED["properties"], "deep": _NAMED}},
        "free": {"type": "object", "additionalProperties": {"type": "string"}},
        "conditions": {
            "type": "array",
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["type"],
            "items": {"type": "object", "required": ["type"], "properties": {"type": {"type": "string"}}},
        },
        "names": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
        "atomic": {"type": "array", "items": {"type": "string"}},
        "soft": {**_NAMED, "nullable": True},
        "defaulted": {**_NAMED, "default": {"family": "none"}},
    },
}
THING = custom_kind({"type": "object", "properties": {"spec": _SPEC}})


def _thing(spec: dict[str, Any], live: dict[str, Any] | None, manager: str = "m") -> dict[str, Any]:
    made = apply(THING, live, obj_of(THING, spec=spec), manager=manager, force=True).obj
    return {**made, "metadata": {**made["metadata"], "resourceVersion": "1"}}


@pytest.mark.parametrize(
    ("first", "second", "field"),
    [
        ({"phase": "a", "os": {"family": "x", "name": "y"}}, {"phase": "a", "os": {}}, "spec.os"),
        ({"os": {"family": "x", "deep": {"name": "a"}}}, {"os": {"family": "x", "deep": {}}}, "spec.os.deep"),
        ({"os": {"family": "x", "deep": {"name": "a"}}}, {"os": {"deep": {}}}, "spec.os.deep"),
        ({"os": {"family": "x", "deep": {"name": "a"}}}, {"os": {}}, "spec.os"),
        ({"free": {"a": "b"}}, {"free": {}}, "spec.free"),
    ],
)
def test_an_empty_map_over_fields_that_one_owned_is_null_and_refused(
    first: dict[str, Any], second: dict[str, Any], field: str
) -> None:
    """As structured-merge-diff 6.3.0 merges, and as custom resources are validated after it."""
    live = _thing(first, None)

    with pytest.raises(Refused) as refused:
        _thing(second, live)

    assert refused.value.code == 422
    assert f'{field}: Invalid value: "null": {field} in body must be of type object: "null"' in str(
        refused.value.message
    )


@pytest.mark.parametrize("field", ["conditions", "names"])
def test_an_empty_list_over_items_that_one_owned_is_null_and_refused(field: str) -> None:
    items: list[Any] = [{"type": "Ready"}] if field == "conditions" else ["a"]
    live = _thing({"phase": "a", field: items}, None)

    with pytest.raises(Refused) as refused:
        _thing({"phase": "a", field: []}, live)

    assert f'spec.{field} in body must be of type array: "null"' in refused.value.message


@pytest.mark.parametrize(
    ("first", "second", "left"),
    [
        ({"phase": "a"}, {"phase": "a", "os": {}}, {"phase": "a", "os": {}}),
        ({"phase": "a", "os": {}}, {"phase": "a", "os": {}}, {"phase": "a", "os": {}}),
        ({"phase": "a", "os": {}}, {"phase": "a"}, {"phase": "a"}),
        ({"phase": "a", "os": {"family": "x"}}, {"phase": "a"}, {"phase": "a"}),
        ({"free": {"a": "b"}}, {"free": {"c": "d"}}, {"free": {"c": "d"}}),
        ({"phase": "a", "atomic": ["a"]}, {"phase": "a", "atomic": []}, {"phase": "a", "atomic": []}),
        ({"phase": "a", "soft": {"name": "x"}}, {"phase": "a", "soft": {}}, {"phase": "a", "soft": None}),
    ],
)
def test_fields_that_go_as_a_whole_leave_nothing(
    first: dict[str, Any], second: dict[str, Any], left: dict[str, Any]
) -> None:
    spec = _thing(second, _thing(first, None))["spec"]

    assert {name: value for name, value in spec.items() if name != "defaulted"} == left


def test_a_null_that_an_apply_leaves_gets_its_default() -> None:
    live = _thing({"phase": "a", "defaulted": {"name": "x"}}, None)

    assert _thing({"phase": "a", "defaulted": {}}, live)["spec"]["defaulted"] == {"family": "none"}


def test_the_last_field_of_one_manager_leaves_null_where_another_owns_the_map() -> None:
    live = _thing({"os": {"family": "x"}}, _thing({"os": {}}, None, "other"))

    with pytest.raises(Refused, match="null"):
        _thing({"phase": "a"}, live)
