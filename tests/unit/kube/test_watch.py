"""Watch streams: any cut of the bytes gives the same lines, and each line its event."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivyop.errors import ExpiredError, TransientError
from trivyop.kube.objects import Object
from trivyop.kube.resources import ObjectKey
from trivyop.kube.watch import EventType, Lines, WatchEvent, batches, decoder


def gather(chunks: Iterable[bytes]) -> list[bytes]:
    lines = Lines()
    return [line for chunk in chunks for line in lines.cut(chunk)]


@given(st.lists(st.binary(max_size=8)), st.lists(st.integers(0, 60)))
def test_lines_do_not_depend_on_where_the_bytes_are_cut(parts: list[bytes], cuts: list[int]) -> None:
    stream = b"\n".join(parts)
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    chunks = [stream[a:b] for a, b in pairwise(edges)]

    *whole, _ = stream.split(b"\n")
    assert gather(chunks) == [line for line in whole if line]


def test_line_of_many_megabytes_comes_in_one_piece() -> None:
    line = b"x" * 8_000_000
    chunks = [line[i : i + 65_536] for i in range(0, len(line), 65_536)]

    assert gather([*chunks, b"\nshort\n"]) == [line, b"short"]


def event(kind: str, **metadata: Any) -> bytes:
    return json.dumps({"type": kind, "object": {"kind": "Pod", "metadata": metadata}}).encode()


def decode(line: bytes, left_out: list[ObjectKey] | None = None) -> WatchEvent[Object] | None:
    told = left_out if left_out is not None else []
    return decoder(Object, request="watch /x", on_malformed=lambda key, _: told.append(key))(line)


@pytest.mark.parametrize("kind", [EventType.ADDED, EventType.MODIFIED, EventType.DELETED])
def test_change_has_its_type_its_object_and_its_version(kind: EventType) -> None:
    found = decode(event(kind, name="web", namespace="shop", resourceVersion="7"))

    assert found is not None
    assert (found.type, found.resource_version) == (kind, "7")
    assert found.object is not None
    assert found.object.key == ObjectKey("shop", "web")


def test_managed_fields_do_not_matter_even_if_they_are_not_what_they_should_be() -> None:
    for fields in ({"f:a": {}}, {"f:a": [{}], "f:b": {}}):
        meta = {"name": "web", "managedFields": [{"fieldsV1": fields}], "resourceVersion": "7"}
        line = json.dumps({"type": "ADDED", "object": {"metadata": meta}}, separators=(",", ":")).encode()

        assert (found := decode(line)) is not None
        assert found.resource_version == "7"


def test_bookmark_has_no_object() -> None:
    """Its metadata has a version, and of all else nothing, or null."""
    found = decode(event("BOOKMARK", resourceVersion="8", creationTimestamp=None))

    assert found == WatchEvent(EventType.BOOKMARK, None, "8")


def test_bookmark_that_ends_the_initial_events_says_so() -> None:
    end = event("BOOKMARK", resourceVersion="8", annotations={"k8s.io/initial-events-end": "true"})

    assert decode(end) == WatchEvent(EventType.BOOKMARK, None, "8", initial_events_end=True)


def test_error_event_is_raised_as_what_it_means() -> None:
    status = {"kind": "Status", "message": "too old resource version", "reason": "Expired", "code": 410}

    with pytest.raises(ExpiredError, match="watch /x: 410 too old"):
        decode(json.dumps({"type": "ERROR", "object": status}).encode())


def test_malformed_object_is_named_and_passed_over() -> None:
    left_out: list[ObjectKey] = []

    assert decode(event("MODIFIED", name="web", namespace="shop", labels=1), left_out) is None
    assert decode(b'{"type": "ADDED", "object": []}', left_out) is None
    assert left_out == [ObjectKey("shop", "web"), ObjectKey("", "?")]


def test_event_of_an_unknown_type_is_nobodys_object() -> None:
    """A newer server may have more to say than we know."""
    left_out: list[ObjectKey] = []

    assert decode(event("RENAMED", name="web"), left_out) is None
    assert left_out == []


def test_order_of_the_fields_does_not_matter() -> None:
    line = b'{"object": {"metadata": {"name": "web"}}, "type": "ADDED"}'

    found = decode(line)
    assert found is not None
    assert found.type is EventType.ADDED


@pytest.mark.parametrize("line", [b"{", b"nonsense", b'{"type": "ADDED", "object": {"metadata"'])
def test_line_that_is_not_json_breaks_the_watch_not_the_program(line: bytes) -> None:
    with pytest.raises(TransientError):
        decode(line)


def test_dicts_can_be_watched_too() -> None:
    found = decoder(dict[str, Any], request="watch /x", on_malformed=lambda *_: None)(
        event("ADDED", name="web", resourceVersion="3")
    )

    assert found is not None
    assert found.object == {"kind": "Pod", "metadata": {"name": "web", "resourceVersion": "3"}}
    assert found.resource_version == "3"


async def test_events_that_came_at_once_are_handed_out_at_once_and_those_before_an_error_first() -> None:
    async def stream() -> AsyncIterator[bytes]:
        yield event("ADDED", name="a") + b"\n" + event("ADDED", name="b") + b"\n" + event("ADD")[:9]
        yield event("ADD")[9:] + b"\n"
        yield event("DELETED", name="a") + b"\n" + b'{"type": "ERROR", "object": {"code": 410}}\n'

    told: list[list[tuple[str, str]]] = []

    async def listen() -> None:
        async for batch in batches(stream(), decode):
            told.append([(one.type, one.object.metadata.name) for one in batch if one.object])  # noqa: PERF401

    with pytest.raises(ExpiredError):
        await listen()

    assert told == [[("ADDED", "a"), ("ADDED", "b")], [("DELETED", "a")]]
