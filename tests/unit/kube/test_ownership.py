"""Taking over the fields of another program."""

from __future__ import annotations

from typing import Any

from trivyop.kube.ownership import take_over


def entry(manager: str, operation: str = "Update", subresource: str = "", **fields: Any) -> dict[str, Any]:
    named = {f"f:{name}": below for name, below in fields.items()}
    entry = {"manager": manager, "operation": operation, "apiVersion": "v1", "fieldsV1": named}
    return {**entry, "subresource": subresource} if subresource else entry


def test_all_writers_of_the_field_become_one_that_is_ours() -> None:
    theirs = entry("go", report={"f:os": {}}, metadata={"f:labels": {"f:a": {}}})
    restored = entry("backup", report={"f:os": {}, "f:summary": {}})

    (ours,) = take_over([theirs, restored], "trivyop", "report")

    assert (ours["manager"], ours["operation"], ours["fieldsType"]) == ("trivyop", "Apply", "FieldsV1")
    assert ours["fieldsV1"] == {
        "f:report": {"f:os": {}, "f:summary": {}},
        "f:metadata": {"f:labels": {"f:a": {}}},
    }


def test_who_set_other_fields_keeps_them() -> None:
    label = entry("kubectl", metadata={"f:labels": {"f:mine": {}}})
    status = entry("go", subresource="status", report={"f:os": {}})

    assert take_over([label, status], "trivyop", "report") == [label, status]
    assert take_over([label, entry("go", report={})], "trivyop", "report")[0] == label


def test_what_was_given_stays_as_it_was() -> None:
    theirs = [entry("go", report={"f:os": {}}), entry("backup", report={"f:os": {"f:name": {}}})]

    take_over(theirs, "trivyop", "report")

    assert theirs == [entry("go", report={"f:os": {}}), entry("backup", report={"f:os": {"f:name": {}}})]


def test_a_status_is_taken_over_from_who_wrote_it_and_nothing_else() -> None:
    """Who wrote the specification keeps it."""
    fields = {"f:status": {"f:summaryReport": {}}}
    theirs = {"manager": "other", "operation": "Update", "subresource": "status", "fieldsV1": fields}
    spec = {"manager": "kubectl", "operation": "Apply", "fieldsV1": {"f:spec": {"f:cron": {}}}}

    kept, ours = take_over([theirs, spec], "trivyop", "status", subresource="status")

    assert kept == spec
    assert (ours["manager"], ours["operation"], ours["subresource"]) == ("trivyop", "Apply", "status")
    assert ours["fieldsV1"] == fields
