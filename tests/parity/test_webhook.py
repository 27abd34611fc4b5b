"""The webhook sends what the Go operator's webhook sent, to the byte."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from tests.parity.golden import GOLDEN, comparable
from trivyop.kube.resources import ObjectKey, Resource
from trivyop.notify.endpoint import Endpoint
from trivyop.notify.events import Change, Verb
from trivyop.notify.formats import FORMATS
from trivyop.notify.formats.message import Message
from trivyop.settings.kinds import SecretText

Json = dict[str, Any]
NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)
PAYLOADS = (GOLDEN / "webhook/payloads.jsonl").read_bytes()
RECORDED: list[Json] = [orjson.loads(line) for line in PAYLOADS.splitlines()]
IDS = [f"{number}-{each['body']['operatorObject']['kind']}" for number, each in enumerate(RECORDED)]
BOMS = [each for each in RECORDED if each["body"]["operatorObject"]["kind"] == "SbomReport"]


def as_stored(document: Json) -> Json:
    """As an API server returns it: keys by their names, and who wrote what."""
    managed = {"managedFields": [{"manager": "trivyop", "operation": "Apply", "fieldsV1": {"f:report": {}}}]}
    stored: Json = orjson.loads(orjson.dumps(document, option=orjson.OPT_SORT_KEYS))
    stored["metadata"].update(managed)
    return stored


def send(document: Json, verb: str, *, envelope: bool) -> Message:
    """The one request that tells of a report."""
    meta, kind = document["metadata"], document["kind"]
    resource = Resource("aquasecurity.github.io", "v1alpha1", f"{kind.lower()}s", kind)
    key = ObjectKey(meta.get("namespace", ""), meta["name"])
    change = Change(Verb(verb), resource, key, meta["uid"], "", document)
    endpoint = Endpoint(name="default", url=SecretText("https://unused"), envelope=envelope, deletes=True)
    (message,) = FORMATS["trivy-operator"].render(change, None, endpoint, NOW)  # type: ignore[union-attr]
    return message


@pytest.mark.parametrize("recorded", RECORDED, ids=IDS)
def test_stored_report_is_sent_as_recorded(recorded: Json) -> None:
    """The recorder parsed what it got; the length that it noted says whether escapes are right, too."""
    body = recorded["body"]

    sent = send(as_stored(body["operatorObject"]), body["verb"], envelope=True)

    assert orjson.loads(sent.body) == body
    assert list(_keys(orjson.loads(sent.body))) == list(_keys(body))
    assert len(sent.body) == int(recorded["headers"]["Content-Length"])
    assert sent.content_type == recorded["headers"]["Content-Type"]


@pytest.mark.parametrize("recorded", RECORDED, ids=IDS)
def test_without_envelope_it_is_the_report_alone(recorded: Json) -> None:
    body = recorded["body"]
    wrapped = send(as_stored(body["operatorObject"]), body["verb"], envelope=True).body

    bare = send(as_stored(body["operatorObject"]), body["verb"], envelope=False).body

    verb = f'"verb":"{body["verb"]}"'.encode()
    assert wrapped == b"{" + verb + b',"operatorObject":' + bare + b"}"


def test_recorded_reports_in_the_cluster_are_sent_as_recorded() -> None:
    """The recordings of the cluster and of the webhook are two; what both have must agree."""
    compared = 0
    for recorded in RECORDED:
        body = recorded["body"]
        meta = body["operatorObject"]["metadata"]
        plural = f"{body['operatorObject']['kind'].lower()}s"
        path = GOLDEN / "reports" / plural / f"{meta.get('namespace', '')}_{meta['name']}.json"
        if not path.exists():
            continue
        sent = orjson.loads(send(orjson.loads(path.read_bytes()), body["verb"], envelope=True).body)
        assert comparable(sent["operatorObject"]) == comparable(body["operatorObject"])
        compared += 1
    assert compared >= 10


@pytest.mark.parametrize("recorded", BOMS[:1])
def test_order_of_keys_in_the_store_does_not_matter(recorded: Json) -> None:
    body = recorded["body"]
    shuffled = _shuffled(body["operatorObject"], random.Random(1))

    assert (
        send(shuffled, body["verb"], envelope=True).body
        == send(as_stored(body["operatorObject"]), body["verb"], envelope=True).body
    )


def _keys(value: Any) -> Any:
    """All keys, in the order in which they are written."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from _keys(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _keys(inner)


def _shuffled(value: Any, chance: random.Random) -> Any:
    if isinstance(value, dict):
        keys = list(value)
        chance.shuffle(keys)
        return {key: _shuffled(value[key], chance) for key in keys}
    return [_shuffled(one, chance) for one in value] if isinstance(value, list) else value
