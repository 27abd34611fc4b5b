from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kubernetes_asyncio.client import models

from tests.sandbox.objects.making import CONFIG_MAP, DEPLOYMENT, JOB, POD, obj_of
from trivyop.sandbox.apiserver.objects.builtin import KINDS, TABLES
from trivyop.sandbox.apiserver.objects.schema import Schema
from trivyop.sandbox.apiserver.objects.typed import MismatchError, conform, zero

_PREFIXES = {
    "core": "CoreV1",
    "events": "EventsV1",
    "autoscaling2": "V2",
    "rbac": "RbacV1",
    "discovery": "DiscoveryV1",
    "authentication": "AuthenticationV1",
    "admissionregistration": "AdmissionregistrationV1",
    "apiextensions": "ApiextensionsV1",
}


def model_of(section: str, name: str) -> Any:
    """The client library's class for a struct; None for structs that it folds into their owners."""
    return getattr(models, _PREFIXES.get(section, "V1") + name, None) or getattr(models, f"V1{name}", None)


def test_the_field_tables_agree_with_the_client_librarys_models() -> None:
    """Two sources for one thing: a misspelt or forgotten field shows up here."""
    differences: dict[str, set[str]] = {}
    compared = 0
    for section, name in TABLES.structs():
        model = model_of(section, name)
        if model is None:
            continue
        compared += 1
        declared = set(model.attribute_map.values()) - {"apiVersion", "kind"}
        fields = set(TABLES.struct(section, name).properties) - {"apiVersion", "kind"}
        if fields != declared and "kind" not in TABLES.struct(section, name).properties:
            differences[f"{section} {name}"] = fields ^ declared
    assert differences == {}
    assert compared > 350


def values_of(schema: Schema, depth: int = 0) -> st.SearchStrategy[Any]:
    """Values that a client could send for a schema: some of its fields, now and then empty."""
    if schema.go or schema.properties:
        if depth > 5:
            return st.just({})
        fields = {name: values_of(child, depth + 1) for name, child in schema.properties.items()}
        return st.lists(st.sampled_from(sorted(fields) or ["-"]), max_size=4, unique=True).flatmap(
            lambda chosen: st.fixed_dictionaries({name: fields[name] for name in chosen if name in fields})
        )
    match schema.type, schema.format:
        case "array", _:
            return st.lists(values_of(schema.items or Schema(), depth + 1), max_size=2)
        case "object", _:
            inner = values_of(schema.additional or Schema(), depth + 1)
            return st.dictionaries(st.text(max_size=3), inner, max_size=2)
        case "boolean", _:
            return st.booleans()
        case "integer" | "number", _:
            return st.integers(-5, 5)
        case "string", "date-time":
            return st.just("2024-01-01T00:00:00Z")
        case "string", "micro-time":
            return st.just("2024-01-01T00:00:00.000000Z")
        case "string", "quantity":
            return st.sampled_from(["0", "1500m", "1Gi"])
        case "string", "byte":
            return st.sampled_from(["", "AAEC"])
        case "string", _:
            return st.text(max_size=3)
        case _:
            return st.integers(0, 3)


@pytest.mark.parametrize("kind", [POD, DEPLOYMENT, JOB, CONFIG_MAP], ids=lambda kind: kind.kind)
@given(data=st.data())
@settings(max_examples=25)
def test_conforming_twice_is_conforming_once(kind: Any, data: st.DataObject) -> None:
    value = data.draw(values_of(kind.schema))
    unknown: list[str] = []

    once = conform(kind.schema, value, unknown)

    assert unknown == []
    assert conform(kind.schema, once, unknown) == once


def test_unknown_fields_are_named_in_the_order_of_the_body() -> None:
    unknown: list[str] = []
    pod = obj_of(POD, spec={"containers": [{"name": "a", "imge": "x"}], "nodename": "n"}, extra=1)

    held = conform(POD.schema, pod, unknown)

    assert unknown == ["spec.containers[0].imge", "spec.nodename", "extra"]
    assert held["spec"] == {"containers": [{"name": "a", "resources": {}}]}


def test_empty_values_go_but_pointers_and_what_is_always_written_stay() -> None:
    spec = {
        "hostNetwork": False,
        "nodeName": "",
        "volumes": [],
        "enableServiceLinks": False,
        "priority": 0,
        "securityContext": {},
        "containers": None,
    }

    held = conform(POD.schema, obj_of(POD, spec=spec), [])

    assert held["spec"] == {
        "enableServiceLinks": False,
        "priority": 0,
        "securityContext": {},
        "containers": None,
    }
    assert held["status"] == {}


def test_a_value_of_the_wrong_type_is_named_as_go_names_it() -> None:
    with pytest.raises(MismatchError) as refused:
        conform(JOB.schema, obj_of(JOB, spec={"backoffLimit": "three"}), [])
    expected = "json: cannot unmarshal string into Go struct field JobSpec.spec.backoffLimit of type int32"
    assert str(refused.value) == expected


def test_the_empty_daemon_set_status_has_its_counters() -> None:
    status = zero(KINDS["apps", "v1", "daemonsets"].schema.properties["status"])

    assert status == {
        "currentNumberScheduled": 0,
        "numberMisscheduled": 0,
        "desiredNumberScheduled": 0,
        "numberReady": 0,
    }
