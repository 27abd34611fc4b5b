from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.sandbox.objects.making import CONFIG_MAP, POD, create, custom_kind, obj_of
from trivyop.sandbox.apiserver.objects import jsonpath, tables
from trivyop.sandbox.apiserver.objects.builtin import KINDS

LATER = datetime(2026, 1, 1, 12, 5, 30, tzinfo=UTC)
THING = {
    "metadata": {"labels": {"a.b/c": "x"}},
    "items": [{"type": "Ready", "status": "True", "n": 1}, {"type": "Other", "status": "False", "n": 2}],
}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (".metadata", [{"labels": {"a.b/c": "x"}}]),
        (r".metadata.labels.a\.b/c", ["x"]),
        (".metadata.labels['a.b/c']", ["x"]),
        ("{.items[0].type}", ["Ready"]),
        (".items[-1].n", [2]),
        (".items[*].n", [1, 2]),
        (".items[0:1].n", [1]),
        ('.items[?(@.type=="Ready")].status', ["True"]),
        (".items[?(@.type!='Ready')].status", ["False"]),
        (".items[?(@.n==2)].type", ["Other"]),
        (".absent.deeper", []),
        (".items.name", []),
        (".items[?(", []),
    ],
)
def test_paths_find_what_printer_columns_need(path: str, found: list[Any]) -> None:
    assert jsonpath.find(path, THING) == found


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: f"{kind.group}-{kind.kind}")
def test_an_object_without_anything_optional_has_a_cell_for_each_column(kind: Any) -> None:
    bare = obj_of(kind)

    row = tables.row(kind, bare, LATER)

    assert len(row["cells"]) == len(tables.column_definitions(kind))
    assert "x" in row["cells"]


def test_the_columns_of_a_custom_resource_are_typed() -> None:
    columns = [
        {"name": "Text", "type": "string", "jsonPath": ".spec.number"},
        {"name": "Number", "type": "integer", "jsonPath": ".spec.number"},
        {"name": "Wrong", "type": "integer", "jsonPath": ".spec.text"},
        {"name": "Absent", "type": "string", "jsonPath": ".spec.absent"},
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp", "priority": 1},
        {"name": "Map", "type": "string", "jsonPath": ".spec.map"},
    ]
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    kind = custom_kind(schema, additionalPrinterColumns=columns)
    thing = create(kind, obj_of(kind, spec={"number": 3, "text": "t", "map": {"a": [1]}}))

    row = tables.row(kind, thing, LATER)

    assert row["cells"] == ["x", "3", 3, None, None, "5m30s", '{"a":[1]}']
    assert tables.column_definitions(kind)[5]["priority"] == 1


def test_a_row_carries_what_was_asked_for() -> None:
    live = create(CONFIG_MAP, obj_of(CONFIG_MAP, data={"a": "1"}))

    assert tables.row(CONFIG_MAP, live, LATER, "None")["object"] is None
    assert tables.row(CONFIG_MAP, live, LATER, "Object")["object"] == live
    partial = tables.row(CONFIG_MAP, live, LATER)["object"]
    assert partial == {
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": live["metadata"],
    }


def pod_row(**status: Any) -> list[Any]:
    pod = create(POD, obj_of(POD, spec={"containers": [{"name": "a", "image": "b"}]}))
    pod["status"] = {"phase": "Running"} | status
    return tables.row(POD, pod, LATER)["cells"][1:4]


def test_a_pod_that_restarts_says_how_often_and_when() -> None:
    container = {
        "name": "a",
        "ready": False,
        "restartCount": 3,
        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        "lastState": {"terminated": {"finishedAt": "2026-01-01T12:04:00Z"}},
    }

    assert pod_row(containerStatuses=[container]) == ["0/1", "CrashLoopBackOff", "3 (90s ago)"]


def test_a_completed_container_next_to_a_running_one_is_a_running_pod() -> None:
    done = {"name": "a", "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}}
    runs = {"name": "b", "ready": True, "state": {"running": {}}}
    ready = {"type": "Ready", "status": "True"}

    assert pod_row(containerStatuses=[done, runs], conditions=[ready])[1] == "Running"
    assert pod_row(containerStatuses=[done, runs])[1] == "NotReady"
    assert pod_row(containerStatuses=[done])[1] == "Completed"
