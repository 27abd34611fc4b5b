"""CloudEvents: valid by the standard's rules, bounded, with ids that stay."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote, urlsplit

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.notify.reports import CLUSTER_RBAC, ROWS, Json, change, report, vulnerability
from trivyop.kube.resources import ObjectKey
from trivyop.notify.endpoint import Endpoint
from trivyop.notify.events import Event, ScanFailed, Verb
from trivyop.notify.filters import Filter
from trivyop.notify.findings import FindingsDiff, diff, finding_ids
from trivyop.notify.formats.cloudevents import MAX_BATCHES, MAX_FINDINGS, CloudEventsFormat
from trivyop.notify.formats.message import Message
from trivyop.settings.kinds import SecretText

NOW = datetime(2026, 1, 2, 10, 0, 0, 5, tzinfo=UTC)
FAILED = ScanFailed(
    ObjectKey("trivy-system", "sha256-abc"),
    "u-1",
    "shop/web:1",
    "sha256:abc",
    "linux/amd64",
    "not-found",
    "the registry does not have it",
    2,
    ("Deployment/shop/web",),
    NOW,
    "h1",
)


def endpoint(cluster: str = "", **wanted: object) -> Endpoint:
    return Endpoint(
        name="bus",
        url=SecretText("https://unused"),
        format="cloudevents",
        cluster=cluster,
        filter=Filter.parse(wanted, endpoint="bus"),
    )


def render(
    event: Event, found: FindingsDiff | None = None, to: Endpoint | None = None, *, binary: bool = False
) -> Sequence[Message]:
    return CloudEventsFormat(binary=binary).render(event, found, to or endpoint(), NOW)


def told(document: Json, before: Json | None = None, **wanted: object) -> list[Json]:
    """The events about a report, of which another state is known, or none."""
    ids = finding_ids(before) if before else None
    messages = render(change(document), diff(ids, document), endpoint(**wanted))
    return [valid(message) for message in messages]


def valid(message: Message) -> Json:
    """Check an event by the rules of CloudEvents 1.0 and of its JSON format; returns it."""
    media_type, *parameters = message.content_type.replace(" ", "").split(";")
    assert media_type == "application/cloudevents+json"
    assert parameters == ["charset=utf-8"]
    event: Json = orjson.loads(message.body)
    attributes = {name: value for name, value in event.items() if name != "data"}
    check_attributes(attributes)
    assert attributes["datacontenttype"] == "application/json"
    assert attributes["id"] == message.id
    assert "data" in event
    return event


def check_attributes(attributes: dict[str, Any]) -> None:
    for name, value in attributes.items():
        assert re.fullmatch("[a-z0-9]{1,20}", name), name
        assert isinstance(value, str)
        assert value
        assert not re.search("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]", value)
    assert attributes["specversion"] == "1.0"
    assert {"id", "source", "type"} <= attributes.keys()
    assert re.fullmatch(r"[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]+", attributes["source"])
    assert urlsplit(attributes["source"]).path
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", attributes["time"])


def test_new_report_is_told_whole_and_its_findings_in_a_batch() -> None:
    document = report(vulnerability("CVE-1", "LOW"), vulnerability("CVE-2", "CRITICAL"))

    updated, added = told(document)

    assert (updated["type"], added["type"]) == ("report.updated", "finding.added")
    assert updated["data"] == document
    assert [one["name"] for one in added["data"]["findings"]] == ["CVE-2", "CVE-1"]
    assert updated["subject"] == added["subject"] == "vulnerabilityreports/shop/replicaset-web-7b8cd85855-app"
    assert (added["kind"], added["namespace"], added["severity"]) == (
        "VulnerabilityReport",
        "shop",
        "CRITICAL",
    )
    assert added["time"] == "2026-01-02T03:04:05Z"


def test_batch_says_what_was_found_in_what() -> None:
    _, added = told(report(vulnerability("CVE-1", installedVersion="1.0")))

    assert added["data"]["report"]["name"] == "replicaset-web-7b8cd85855-app"
    assert added["data"]["resource"] == {
        "kind": "ReplicaSet",
        "namespace": "shop",
        "name": "web-7b8cd85855",
        "container": "app",
    }
    assert added["data"]["image"]["digest"] == "sha256:abc"
    (row,) = added["data"]["findings"]
    assert row.pop("id")
    assert row == {
        "kind": "vulnerability",
        "name": "CVE-1",
        "severity": "HIGH",
        "package": "openssl",
        "installedVersion": "1.0",
        "fixedVersion": "2",
        "title": "about CVE-1",
        "fixable": True,
    }


def test_resolved_finding_has_the_id_it_was_added_with() -> None:
    one, two = vulnerability("CVE-1"), vulnerability("CVE-2", "LOW")
    _, added = told(report(one, two))

    _, resolved = told(report(two), before=report(one, two))

    assert resolved["type"] == "finding.resolved"
    assert resolved["data"]["findings"] == [
        {"id": added["data"]["findings"][0]["id"], "severity": "HIGH", "fixable": True}
    ]


def test_finding_for_which_a_fix_came_out_is_told_again_as_changed() -> None:
    before = report(vulnerability("CVE-1", fixed=""))

    _, added = told(report(vulnerability("CVE-1", fixed="2")), before=before)

    assert added["type"] == "finding.added"
    assert added["data"]["findings"][0]["changed"] is True


def test_deleted_report_is_told_as_it_was_and_its_findings_as_resolved() -> None:
    document = report(vulnerability("CVE-1"))
    gone = diff(finding_ids(document), document, deleted=True)

    deleted, resolved = map(valid, render(change(document, Verb.DELETE), gone))

    assert (deleted["type"], resolved["type"]) == ("report.deleted", "finding.resolved")
    assert deleted["data"] == document
    assert resolved["data"]["findings"][0]["name"] == "CVE-1"
    assert deleted["time"] == "2026-01-02T10:00:00Z"


def test_filter_chooses_types_and_findings() -> None:
    rows = [vulnerability("CVE-1", "CRITICAL"), vulnerability("CVE-2", "LOW")]

    (added,) = told(report(*rows), events=["finding.added"], severity="HIGH")

    assert [one["name"] for one in added["data"]["findings"]] == ["CVE-1"]


def test_only_new_findings_are_wanted_without_those_that_are_gone() -> None:
    before, after = report(vulnerability("CVE-1")), report(vulnerability("CVE-2"))

    types = [event["type"] for event in told(after, before=before, onlyNew=True)]

    assert types == ["report.updated", "finding.added"]


def test_failed_scan() -> None:
    (message,) = render(FAILED)

    event = valid(message)

    assert event["type"] == "scan.failed"
    assert event["subject"] == "imagescans/trivy-system/sha256-abc"
    assert event["data"]["reason"] == "not-found"
    assert event["data"]["workloads"] == ["Deployment/shop/web"]
    assert event["time"] == "2026-01-02T10:00:00Z"


def test_report_of_the_cluster_has_no_namespace() -> None:
    document = {"kind": "ClusterRbacAssessmentReport", "metadata": {"name": "x"}, "report": {"checks": []}}

    (message,) = render(change(document, resource=CLUSTER_RBAC), diff(None, document))

    event = valid(message)
    assert "namespace" not in event
    assert event["subject"] == "clusterrbacassessmentreports/x"


@given(ROWS, ROWS)
def test_sent_again_it_has_the_same_ids_and_no_two_are_alike(before: list[Json], after: list[Json]) -> None:
    event, found = change(report(*after)), diff(finding_ids(report(*before)), report(*after))

    first, second = ([message.id for message in render(event, found)] for _ in range(2))

    assert first == second
    assert len(set(first)) == len(first)


def test_same_content_that_comes_back_is_an_event_of_its_own() -> None:
    """Receivers drop what has an id that they know."""
    document = report(vulnerability("CVE-1"))
    later = {**document, "metadata": {**document["metadata"], "resourceVersion": "99"}}

    assert render(change(document))[0].id != render(change(later))[0].id


LONG_ROWS = st.lists(
    st.builds(
        vulnerability,
        st.text(min_size=1, max_size=40),
        resource=st.text(max_size=2_000),
        title=st.text(max_size=2_000),
    ),
    max_size=20,
)


@given(LONG_ROWS, st.integers(1, 40))
def test_batches_are_small_and_hold_each_finding_once(rows: list[Json], times: int) -> None:
    many = [{**row, "vulnerabilityID": f"{row['vulnerabilityID']}-{n}"} for row in rows for n in range(times)]
    found = diff(None, report(*many))

    events = [valid(message) for message in render(change(report(*many)), found)][1:]

    told_ids = [one["id"] for event in events for one in event["data"]["findings"]]
    assert len(set(told_ids)) == len(told_ids)
    assert len(told_ids) + sum(event["data"].get("omitted", 0) for event in events) == len(found.added)
    for number, event in enumerate(events, 1):
        assert len(event["data"]["findings"]) <= MAX_FINDINGS
        assert len(orjson.dumps(event)) < 64 * 1024
        assert (event["data"]["batch"], event["data"]["batches"]) == (number, len(events))


def test_very_many_findings_are_cut_worst_first_and_counted() -> None:
    count = MAX_FINDINGS * MAX_BATCHES + 7
    rows = [vulnerability(f"CVE-{n}", "LOW") for n in range(count - 1)]

    updated, *events = told(report(*rows, vulnerability("CVE-worst", "CRITICAL")))

    assert len(events) == MAX_BATCHES
    assert events[0]["data"]["findings"][0]["name"] == "CVE-worst"
    assert [event["data"].get("omitted") for event in events] == [None] * (MAX_BATCHES - 1) + [7]
    assert len(updated["data"]["report"]["vulnerabilities"]) == count


@given(st.text(min_size=1, max_size=50))
def test_source_names_the_cluster(cluster: str) -> None:
    (message,) = render(FAILED, to=endpoint(cluster))

    source = valid(message)["source"]

    assert source.startswith("/trivyop/clusters/")
    assert unquote(source.rpartition("/")[2]) == cluster


@given(st.sampled_from([FAILED, change(report(vulnerability("CVE-1")))]))
def test_binary_mode_says_the_same_in_headers(event: Event) -> None:
    (plain,) = render(event)
    (message,) = render(event, binary=True)

    structured = valid(plain)
    data = structured.pop("data")
    assert message.content_type == structured.pop("datacontenttype")
    assert orjson.loads(message.body) == data
    assert {name.removeprefix("ce-"): unquote(text) for name, text in message.headers.items()} == structured
    assert all(re.fullmatch(r"[\x21-\x7e]+", text) for text in message.headers.values())


@pytest.mark.parametrize("made", ["", "yesterday", "2026-01-02"])
def test_report_that_does_not_say_when_it_was_made_is_told_as_of_now(made: str) -> None:
    document = report()
    document["report"]["updateTimestamp"] = made

    (updated,) = told(document)

    assert updated["time"] == "2026-01-02T10:00:00Z"
