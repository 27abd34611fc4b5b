"""Tombstones: what was deleted is kept until everybody was told, within a bound."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import orjson

from tests.clock import FakeClock
from trivyop.controllers.webhooks.tombstones import FullReport, Tombstones
from trivyop.kube.resources import VULNERABILITYREPORTS, ObjectKey
from trivyop.notify.events import Subject

BODY: dict[str, Any] = {
    "apiVersion": "aquasecurity.github.io/v1alpha1",
    "kind": "VulnerabilityReport",
    "metadata": {
        "name": "a",
        "namespace": "shop",
        "uid": "u1",
        "resourceVersion": "9",
        "generation": 2,
        "creationTimestamp": "2026-01-02T12:00:00Z",
        "labels": {"a": "b"},
        "annotations": {"c": "d"},
        "ownerReferences": [{"kind": "Pod", "blockOwnerDeletion": False}],
        "managedFields": [{"manager": "trivyop"}],
    },
    "report": {"vulnerabilities": [{"vulnerabilityID": "CVE-1"}]},
}


def tombstones(room_bytes: int = 1_000_000) -> Tombstones:
    # nothing in these tests asks the server
    return Tombstones(None, clock=FakeClock(), rng=random.Random(1), room_bytes=room_bytes)  # type: ignore[arg-type]


def whole(name: str, filler: str = "") -> FullReport:
    body = {**BODY, "metadata": {**BODY["metadata"], "name": name}, "report": {"filler": filler}}
    return msgspec.json.decode(orjson.dumps(body), type=FullReport)


def subject(name: str) -> Subject:
    return Subject(VULNERABILITYREPORTS, ObjectKey("shop", name))


def test_a_report_is_kept_whole_but_for_its_managed_fields() -> None:
    kept = tombstones()
    kept.audience = {"siem"}

    kept._keep(subject("a"), msgspec.json.decode(orjson.dumps(BODY), type=FullReport))

    change = kept.get(subject("a"), "siem")
    assert change is not None
    expected = {key: value for key, value in BODY["metadata"].items() if key != "managedFields"}
    assert change.object == {**BODY, "metadata": expected}
    assert change.uid == "u1"


def test_it_is_there_until_everybody_was_told() -> None:
    kept = tombstones()
    kept.audience = {"one", "two"}
    kept._keep(subject("a"), whole("a"))

    kept.settled(subject("a"), "one")

    assert kept.get(subject("a"), "one") is None
    assert kept.get(subject("a"), "two") is not None
    kept.settled(subject("a"), "two")
    assert not kept.has(subject("a"), "two")
    assert kept._bytes == 0


def test_without_an_audience_nothing_is_kept() -> None:
    kept = tombstones()

    kept._keep(subject("a"), whole("a"))

    assert not kept.has(subject("a"), "siem")


def test_the_oldest_make_room_and_that_is_told() -> None:
    kept = tombstones(room_bytes=3000)
    kept.audience = {"siem"}
    lost: list[str] = []
    kept.add_lost_handler(lost.append)
    rng = random.Random(1)

    for n in range(10):
        kept._keep(subject(f"r{n}"), whole(f"r{n}", rng.randbytes(500).hex()))

    present = [n for n in range(10) if kept.has(subject(f"r{n}"), "siem")]
    assert present == list(range(10 - len(present), 10))
    assert 0 < len(present) < 10
    assert lost == ["siem"] * (10 - len(present))
    assert kept._bytes <= 3000
