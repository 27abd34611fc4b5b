"""What is read of objects by two ways is the same, and of statuses that others wrote, nothing fails."""

from __future__ import annotations

from typing import Any

import msgspec
import orjson
import pytest

from tests.unit.compliance.reports import audit_report
from trivyop.compliance.reading import AuditReport, version_of
from trivyop.compliance.resource import SaidStatus
from trivyop.kube.objects import Object
from trivyop.report import keys
from trivyop.report.stored import StoredReport


def _versions(**annotations: str) -> tuple[int, int]:
    document = audit_report("Pod", annotations=annotations)
    document["metadata"] |= {"uid": "u1", "resourceVersion": "17"}
    data = orjson.dumps(document)
    stored = StoredReport.parse(msgspec.json.decode(data, type=Object))
    return msgspec.json.decode(data, type=AuditReport).version, version_of(stored)


@pytest.mark.parametrize(
    "annotations",
    [{}, {keys.CONTENT_HASH: "h1"}, {keys.SUMMARY: "c=1,h=0,m=0,l=0,u=0", keys.CONTENT_HASH: "h1"}],
)
def test_a_report_has_one_version_whether_read_whole_or_by_its_metadata(annotations: dict[str, str]) -> None:
    """Else each would be read again and again."""
    whole, by_metadata = _versions(**annotations)

    assert whole == by_metadata
    assert whole != _versions(**{**annotations, keys.CONTENT_HASH: "h2"})[0]


@pytest.mark.parametrize(
    "status", [None, {}, {"conditions": 7}, {"summaryReport": {"controlCheck": None}}, []]
)
def test_a_status_that_is_none_counts_as_none(status: Any) -> None:
    said = SaidStatus.parse(orjson.dumps(status))

    assert said.summary is None
    assert said.conditions == ()


def test_statuses_are_told_apart_by_what_they_say_of_controls() -> None:
    def said(updated: str = "2026-12-01T12:00:00Z", **row: Any) -> SaidStatus:
        rows = [{"id": "1", "result": "pass", "totalFail": 0, **row}]
        return SaidStatus.parse(
            orjson.dumps({"updateTimestamp": updated, "summaryReport": {"id": "x", "controlCheck": rows}})
        )

    assert said().answers == said(updated="2026-12-02T12:00:00Z").answers
    assert said().answers != said(totalFail=1).answers
    assert said().answers != said(reason="ScannerOff").answers
    assert not said().foreign
    assert said(result="").foreign
